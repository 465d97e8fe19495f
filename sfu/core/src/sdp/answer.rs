//! Writing an answer: ICE-lite, DTLS passive, all that is accepted in one bundle; all else is rejected.

use super::offer::{number_extension, value};
use super::{AudioMedia, AudioTypes, Local, PayloadTypes, PublisherMedia, SlotMedia};
use crate::ice::Credentials;
use crate::rtp::{
    ABS_SEND_TIME, MID, PLAYOUT_DELAY, REPAIRED_RTP_STREAM_ID, RTP_STREAM_ID, TRANSPORT_NUMBER, ViewerExtensions,
};
use crate::{Codec, Transport, TransportAddress};
use rtc_sdp::{MediaDescription, SessionDescription};
use std::net::IpAddr;

/// Canonical name of what we send (RFC 3550, section 6.5.1).
const CNAME: &str = "sunroom";

/// Which media stream a sent track belongs to: receivers play the tracks of one in step (RFC 8830).
#[derive(Clone, Copy)]
pub(super) enum StreamName {
    /// A picture and its sound.
    Only,
    /// One of several pictures.
    Slot(usize),
    /// The sound beside several pictures: of whichever, so in step with none.
    Sound,
}

impl std::fmt::Display for StreamName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Only => f.write_str("sunroom"),
            Self::Slot(number) => write!(f, "sunroom-{number}"),
            Self::Sound => f.write_str("sunroom-sound"),
        }
    }
}

/// An m-line that is accepted.
struct Accepted {
    /// What follows the protocol in its m-line: payload types.
    formats: Vec<u8>,
    lines: Vec<String>,
}

pub(super) struct Answer<'a> {
    local: &'a Local<'a>,
    offer: &'a SessionDescription,
    /// By the offer's m-lines.
    accepted: Vec<Option<Accepted>>,
}

impl<'a> Answer<'a> {
    pub(super) fn new(local: &'a Local<'a>, offer: &'a SessionDescription) -> Self {
        Self { local, offer, accepted: offer.media_descriptions.iter().map(|_| None).collect() }
    }

    fn accept(&mut self, at: usize, formats: Vec<u8>, lines: Vec<String>) {
        if let Some(place) = self.accepted.get_mut(at) {
            *place = Some(Accepted { formats, lines });
        }
    }

    pub(super) fn send_video(&mut self, at: usize, media: &MediaDescription, agreed: &SlotMedia, stream: StreamName) {
        let types = agreed.payload_types;
        let mut lines = sent_lines(stream, "video", agreed.extensions);
        lines.extend(video_codec_lines(media, types));
        lines.push(match agreed.extensions.transport_number {
            Some(_) => feedback_line(types.media),
            None => format!("a=rtcp-fb:{} goog-remb", types.media),
        });
        let (ssrc, rtx) = (agreed.ssrc.0, agreed.rtx_ssrc.0);
        if types.rtx.is_some() {
            lines.push(format!("a=ssrc-group:FID {ssrc} {rtx}"));
        }
        for one in [Some(ssrc), types.rtx.map(|_| rtx)].into_iter().flatten() {
            lines.extend(source_lines(one, stream, "video"));
        }
        self.accept(at, formats(types), lines);
    }

    pub(super) fn send_audio(&mut self, at: usize, media: &MediaDescription, agreed: &AudioMedia, stream: StreamName) {
        let extensions = ViewerExtensions { playout_delay: None, ..agreed.extensions };
        let mut lines = sent_lines(stream, "audio", extensions);
        lines.extend(audio_codec_lines(media, agreed.types));
        let is_told = |n: &u8| extensions.transport_number.is_some() && number_extension(media, [*n]).is_some();
        lines.extend(agreed.types.codecs().map(|(_, n)| n).filter(is_told).map(feedback_line));
        lines.extend(source_lines(agreed.ssrc.0, stream, "audio"));
        self.accept(at, agreed.types.codecs().map(|(_, n)| n).collect(), lines);
    }

    pub(super) fn receive_video(&mut self, at: usize, media: &MediaDescription, agreed: &PublisherMedia) {
        let mut lines = vec!["a=recvonly".to_owned()];
        lines.extend(extension_lines(&[
            (agreed.mid_extension, MID),
            (agreed.rid_extension, RTP_STREAM_ID),
            (agreed.repaired_rid_extension, REPAIRED_RTP_STREAM_ID),
            (agreed.number_extension, TRANSPORT_NUMBER),
        ]));
        lines.extend(video_codec_lines(media, agreed.payload_types));
        lines.extend(agreed.number_extension.map(|_| feedback_line(agreed.payload_types.media)));
        if agreed.is_simulcast {
            let rids: Vec<&str> = agreed.encodings.iter().map(crate::Rid::as_str).collect();
            lines.extend(rids.iter().map(|rid| format!("a=rid:{rid} recv")));
            lines.push(format!("a=simulcast:recv {}", rids.join(";")));
        }
        self.accept(at, formats(agreed.payload_types), lines);
    }

    /// `number` is the id of the transport-wide number, where the sound is numbered.
    pub(super) fn receive_audio(&mut self, at: usize, media: &MediaDescription, types: AudioTypes, number: Option<u8>) {
        let mut lines = vec!["a=recvonly".to_owned()];
        lines.extend(extension_lines(&[(number, TRANSPORT_NUMBER)]));
        lines.extend(audio_codec_lines(media, types));
        lines.extend(number.into_iter().flat_map(|_| types.codecs()).map(|(_, n)| feedback_line(n)));
        self.accept(at, types.codecs().map(|(_, n)| n).collect(), lines);
    }

    /// Name of the first m-line of the bundle (the BUNDLE-tag of RFC 9143).
    pub(super) fn tag(&self) -> String {
        let mut offered = self.offer.media_descriptions.iter().zip(&self.accepted);
        offered.find_map(|(m, accepted)| accepted.as_ref().and(value(m, "mid"))).unwrap_or_default().to_owned()
    }

    /// The whole answer; m-lines that were not accepted are rejected.
    pub(super) fn write(&self) -> String {
        let offered = || self.offer.media_descriptions.iter().zip(&self.accepted);
        let bundle: Vec<&str> =
            offered().filter(|(_, a)| a.is_some()).map(|(m, _)| value(m, "mid").unwrap_or_default()).collect();
        let mut text = format!(
            "v=0\r\no=- {} 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\na=ice-lite\r\na=msid-semantic: WMS *\r\n",
            self.local.session,
            bundle.join(" ")
        );
        let mut is_first = true;
        for (media, accepted) in offered() {
            match accepted {
                Some(accepted) => {
                    self.write_accepted(&mut text, media, accepted, is_first);
                    is_first = false;
                }
                None => write_rejected(&mut text, media),
            }
        }
        text
    }

    /// The transport's candidates stand in the first m-line of the bundle.
    fn write_accepted(&self, text: &mut String, media: &MediaDescription, accepted: &Accepted, is_first: bool) {
        let mut push = |line: &str| {
            text.push_str(line);
            text.push_str("\r\n");
        };
        let name = &media.media_name;
        let formats: Vec<String> = accepted.formats.iter().map(u8::to_string).collect();
        push(&format!("m={} 9 {} {}", name.media, name.protos.join("/"), formats.join(" ")));
        push("c=IN IP4 0.0.0.0");
        credential_lines(self.local.ice).iter().for_each(|line| push(line));
        push(&format!("a=fingerprint:sha-256 {}", self.local.fingerprint));
        push("a=setup:passive");
        push(&format!("a=mid:{}", value(media, "mid").unwrap_or_default()));
        push("a=rtcp-mux");
        push("a=rtcp-rsize");
        // Receivers may ask for the round trip (RFC 3611, section 5.1); pages learn a frame's age by it.
        if media.has_attribute("rtcp-xr") {
            push("a=rtcp-xr:rcvr-rtt=all");
        }
        accepted.lines.iter().for_each(|line| push(line));
        if is_first {
            candidate_lines(self.local.candidates).iter().for_each(|line| push(line));
        }
    }
}

/// The fragment that answers an ICE restart (RFC 8840, section 9; RFC 9725, section 4.3.3): new credentials for the
/// whole bundle, whose first m-line is `mid`, and where they may be used.
pub fn restart_fragment(ice: &Credentials, candidates: &[TransportAddress], mid: &str) -> String {
    let mut lines = vec!["a=ice-lite".to_owned()];
    lines.extend(credential_lines(ice));
    lines.push("m=video 9 UDP/TLS/RTP/SAVPF 0".to_owned());
    lines.push(format!("a=mid:{mid}"));
    lines.extend(candidate_lines(candidates));
    lines.join("\r\n") + "\r\n"
}

fn credential_lines(ice: &Credentials) -> [String; 2] {
    [format!("a=ice-ufrag:{}", ice.ufrag), format!("a=ice-pwd:{}", ice.password)]
}

fn formats(types: PayloadTypes) -> Vec<u8> {
    std::iter::once(types.media).chain(types.rtx).collect()
}

fn sent_lines(stream: StreamName, track: &str, extensions: ViewerExtensions) -> Vec<String> {
    let mut lines = vec!["a=sendonly".to_owned(), format!("a=msid:{stream} {track}")];
    lines.extend(extension_lines(&[
        (extensions.abs_send_time, ABS_SEND_TIME),
        (extensions.playout_delay, PLAYOUT_DELAY),
        (extensions.transport_number, TRANSPORT_NUMBER),
    ]));
    lines
}

fn source_lines(ssrc: u32, stream: StreamName, track: &str) -> [String; 2] {
    [format!("a=ssrc:{ssrc} cname:{CNAME}"), format!("a=ssrc:{ssrc} msid:{stream} {track}")]
}

fn write_rejected(text: &mut String, offered: &MediaDescription) {
    let name = &offered.media_name;
    let format = name.formats.first().map_or("0", String::as_str);
    text.push_str(&format!(
        "m={} 0 {} {format}\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n",
        name.media,
        name.protos.join("/")
    ));
    // Some stacks look up every format of an answer, of a rejected m-line too.
    let prefix = format!("{format} ");
    let maps = offered.attributes.iter().filter(|a| a.key == "rtpmap").filter_map(|a| a.value.as_deref());
    for map in maps.filter(|map| map.starts_with(&prefix)) {
        text.push_str(&format!("a=rtpmap:{map}\r\n"));
    }
    if let Some(mid) = value(offered, "mid") {
        text.push_str(&format!("a=mid:{mid}\r\n"));
    }
}

fn extension_lines(extensions: &[(Option<u8>, &str)]) -> Vec<String> {
    extensions.iter().filter_map(|(id, uri)| Some(format!("a=extmap:{} {uri}", (*id)?))).collect()
}

/// The parameters that the offer has for a payload type.
fn parameters(media: &MediaDescription, payload_type: u8) -> Option<&str> {
    let prefix = format!("{payload_type} ");
    let offered = media.attributes.iter().filter(|a| a.key == "fmtp").filter_map(|a| a.value.as_deref());
    offered.filter_map(|v| v.strip_prefix(&prefix)).next()
}

fn video_codec_lines(media: &MediaDescription, types: PayloadTypes) -> Vec<String> {
    let n = types.media;
    let parameters = parameters(media, n).unwrap_or("packetization-mode=1");
    let mut lines = vec![format!("a=rtpmap:{n} {}", Codec::H264.rtpmap()), format!("a=fmtp:{n} {parameters}")];
    lines.extend(["nack", "nack pli", "ccm fir"].map(|feedback| format!("a=rtcp-fb:{n} {feedback}")));
    if let Some(rtx) = types.rtx {
        lines.push(format!("a=rtpmap:{rtx} rtx/90000"));
        lines.push(format!("a=fmtp:{rtx} apt={n}"));
    }
    lines
}

fn audio_codec_lines(media: &MediaDescription, types: AudioTypes) -> Vec<String> {
    let mut lines = Vec::new();
    for (codec, n) in types.codecs() {
        lines.push(format!("a=rtpmap:{n} {}", codec.rtpmap()));
        lines.extend(parameters(media, n).map(|text| format!("a=fmtp:{n} {text}")));
    }
    lines
}

fn feedback_line(payload_type: u8) -> String {
    format!("a=rtcp-fb:{payload_type} transport-cc")
}

fn candidate_lines(candidates: &[TransportAddress]) -> Vec<String> {
    let candidates = candidates.iter().enumerate().map(|(i, candidate)| candidate_line(i, *candidate));
    candidates.chain(std::iter::once("a=end-of-candidates".to_owned())).collect()
}

/// RFC 8839, section 5.1, and RFC 6544, section 4.5.
fn candidate_line(order: usize, address: TransportAddress) -> String {
    let (protocol, kind) = match address.transport {
        Transport::Udp => ("udp", "host"),
        Transport::Tcp => ("tcp", "host tcptype passive"),
    };
    let ip = match address.socket.ip() {
        IpAddr::V6(v6) => v6.to_canonical(),
        v4 @ IpAddr::V4(_) => v4,
    };
    format!(
        "a=candidate:{} 1 {protocol} {} {ip} {} typ {kind}",
        order + 1,
        priority(order, address),
        address.socket.port()
    )
}

/// RFC 8445, section 5.1.2.1, and RFC 6544, section 4.2: TCP after every way by UDP but a relay's, which costs somebody.
fn priority(order: usize, address: TransportAddress) -> u32 {
    let (type_preference, highest) = match address.transport {
        Transport::Udp => (126, 65_535),
        // Direction preference 4: passive; the other 13 bits are the order's.
        Transport::Tcp => (90, (4 << 13) + 8191),
    };
    let local_preference = u32::saturating_sub(highest, order as u32);
    (type_preference << 24) + (local_preference << 8) + 255
}
