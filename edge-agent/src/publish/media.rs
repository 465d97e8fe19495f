//! What a publishing connection offers: codecs, header extensions and tracks; and the lines of SDP that tell what came
//! of it (RFC 8866, RFC 9429).

use crate::{backoff::random_u32, sound::Codec};
use protocol::{CameraId, Rid};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RTCRtpHeaderExtensionCapability, RTCRtpParameters, RtpCodecKind,
};
use webrtc::{media_stream::MediaStreamTrack, peer_connection::MediaEngine};

pub(super) const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
pub(super) const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
pub(super) const NUMBER_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const PAYLOAD_TYPE: u8 = 96;

fn feedback(typ: &str, parameter: &str) -> RTCPFeedback {
    RTCPFeedback { typ: typ.into(), parameter: parameter.into() }
}

fn h264() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: "video/H264".into(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f".into(),
        rtcp_feedback: vec![
            feedback("nack", ""),
            feedback("nack", "pli"),
            feedback("ccm", "fir"),
            feedback("transport-cc", ""),
        ],
    }
}

/// What is offered: H.264, and all codecs of sound, for a camera's may be known only once it is heard.
pub(super) fn media_engine() -> Result<MediaEngine, webrtc::error::Error> {
    let mut engine = MediaEngine::default();
    let codec = RTCRtpCodecParameters { rtp_codec: h264(), payload_type: PAYLOAD_TYPE };
    engine.register_codec(codec, RtpCodecKind::Video)?;
    for codec in sound_codecs() {
        engine.register_codec(codec, RtpCodecKind::Audio)?;
    }
    let (video, audio) = (RtpCodecKind::Video, RtpCodecKind::Audio);
    for (uri, kind) in [(MID_URI, video), (RID_URI, video), (NUMBER_URI, video), (MID_URI, audio), (NUMBER_URI, audio)]
    {
        engine.register_header_extension(RTCRtpHeaderExtensionCapability { uri: uri.into() }, kind, None)?;
    }
    Ok(engine)
}

/// All codecs of sound that are offered.
pub(super) fn sound_codecs() -> Vec<RTCRtpCodecParameters> {
    let parameters = |c| RTCRtpCodecParameters { rtp_codec: sound(c), payload_type: payload_type(c) };
    Codec::ALL.into_iter().map(parameters).collect()
}

/// The codec's usual payload type; those of G.711 are static (RFC 3551, section 6).
fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => 111,
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
    }
}

fn sound(codec: Codec) -> RTCRtpCodec {
    let (channels, sdp_fmtp_line) = match codec {
        // RFC 7587, section 7: always two channels; a mono stream is one that does not use them.
        Codec::Opus => (2, "minptime=10;useinbandfec=1".to_owned()),
        Codec::Pcmu | Codec::Pcma => (1, String::new()),
    };
    RTCRtpCodec {
        mime_type: format!("audio/{}", codec.name()),
        clock_rate: codec.clock_rate(),
        channels,
        sdp_fmtp_line,
        rtcp_feedback: vec![feedback("transport-cc", "")],
    }
}

/// Which codec of sound this is.
pub(super) fn codec_of(codec: &RTCRtpCodec) -> Option<Codec> {
    let name = codec.mime_type.split_once('/')?.1;
    Codec::ALL.into_iter().find(|c| c.name().eq_ignore_ascii_case(name))
}

/// The pictures: one coding for each encoding.
pub(super) fn media_track(camera: CameraId, rids: &[Rid]) -> MediaStreamTrack {
    let encodings = rids.iter().map(|rid| coding(rid.to_string(), h264()));
    MediaStreamTrack::new(
        camera.to_string(),
        camera.to_string(),
        "video".to_owned(),
        RtpCodecKind::Video,
        encodings.collect(),
    )
}

/// The sound, of the same media stream as the pictures, so that browsers play them in step.
pub(super) fn sound_track(camera: CameraId) -> MediaStreamTrack {
    MediaStreamTrack::new(
        camera.to_string(),
        format!("{camera}-sound"),
        "audio".to_owned(),
        RtpCodecKind::Audio,
        vec![coding(String::new(), sound(Codec::Opus))],
    )
}

fn coding(rid: String, codec: RTCRtpCodec) -> RTCRtpEncodingParameters {
    RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            rid,
            // Zero is not random enough for some receivers, and the rest is as good as any.
            ssrc: Some(random_u32().max(1)),
            ..Default::default()
        },
        active: true,
        codec,
        ..Default::default()
    }
}

/// The id that was agreed for a header extension.
pub(super) fn extension(parameters: &RTCRtpParameters, uri: &str) -> Option<u8> {
    let found = parameters.header_extensions.iter().find(|e| e.uri == uri);
    found.and_then(|e| u8::try_from(e.id).ok())
}

/// The lines of the first m-line of a kind, and of its attributes.
pub(super) fn section<'a>(sdp: &'a str, kind: &str) -> Option<Vec<&'a str>> {
    let mut lines = sdp.lines().skip_while(|l| media_kind(l) != Some(kind));
    let first = lines.next()?;
    Some(std::iter::once(first).chain(lines.take_while(|l| media_kind(l).is_none())).map(str::trim_end).collect())
}

fn media_kind(line: &str) -> Option<&str> {
    line.strip_prefix("m=")?.split(' ').next()
}

/// The value of an attribute.
pub(super) fn attribute<'a>(section: &[&'a str], name: &str) -> Option<&'a str> {
    section.iter().find_map(|l| l.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
}

/// Whether an answered m-line takes what we send: it is rejected by port 0, and may be of another direction.
pub(super) fn takes_media(section: &[&str]) -> bool {
    let port = section.first().and_then(|l| l.split(' ').nth(1));
    port.is_some_and(|p| p != "0") && !section.iter().any(|l| matches!(*l, "a=inactive" | "a=sendonly"))
}
