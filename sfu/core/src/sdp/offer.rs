//! Reading an offer: which m-lines are video and sound, what they can do, and where the peer's certificate is promised.

use super::answer::{Answer, StreamName};
use super::{
    AudioMedia, AudioTypes, Local, MAX_ENCODINGS, MAX_MEDIA, MAX_SLOTS, PayloadTypes, PublisherMedia, SdpError,
    SlotMedia, ViewTerms, ViewerMedia,
};
use crate::Rid;
use crate::bandwidth::Estimation;
use crate::dtls::Fingerprint;
use crate::rtp::{
    ABS_SEND_TIME, MID, PLAYOUT_DELAY, REPAIRED_RTP_STREAM_ID, RTP_STREAM_ID, TRANSPORT_NUMBER, ViewerExtensions,
};
use rtc_sdp::{MediaDescription, SessionDescription};
use std::io::Cursor;

/// H.264 profiles by preference: constrained baseline is what every browser decodes; a stream of a higher profile
/// labelled so decodes too.
const PROFILES: [&str; 4] = ["42e0", "4200", "4d00", "f400"];

/// An offer that can be answered: bundled, muxed, with one certificate.
pub struct Offer {
    session: SessionDescription,
    fingerprint: Fingerprint,
}

impl Offer {
    /// Reads an offer.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        let malformed = |e: &dyn std::fmt::Display| SdpError::Malformed(e.to_string());
        // What an offer says is said back in the answer, line by line: a line may have no end within.
        if text.replace("\r\n", "\n").contains(|c: char| c.is_control() && c != '\n' && c != '\t') {
            return Err(malformed(&"it has control characters"));
        }
        let session = SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes())).map_err(|e| malformed(&e))?;
        if session.media_descriptions.is_empty() {
            return Err(malformed(&"it has no m-line"));
        }
        if session.media_descriptions.len() > MAX_MEDIA {
            return Err(SdpError::Unsupported("too many m-lines"));
        }
        let fingerprints = session.media_descriptions.iter().find_map(|m| value(m, "fingerprint"));
        let promised = fingerprints.or_else(|| session.attribute("fingerprint").map(String::as_str));
        let promised = promised.ok_or_else(|| malformed(&"it has no a=fingerprint"))?;
        let (algorithm, hex) = promised.split_once(' ').ok_or_else(|| malformed(&"its a=fingerprint is cut"))?;
        if !algorithm.eq_ignore_ascii_case("sha-256") {
            return Err(SdpError::Unsupported("the certificate's fingerprint has to be sha-256"));
        }
        let fingerprint =
            Fingerprint::parse(hex.trim()).ok_or_else(|| malformed(&"its a=fingerprint is no SHA-256"))?;
        Ok(Self { session, fingerprint })
    }

    /// Agrees to send to a viewer.
    pub fn view(&self, local: &Local<'_>, terms: ViewTerms) -> Result<(ViewerMedia, String), SdpError> {
        let receives = |kind| self.lines(kind, &["recvonly", "sendrecv"]);
        let mut lines = receives("video");
        if lines.is_empty() {
            return Err(SdpError::Unsupported("it has no video m-line that receives"));
        }
        if lines.len() > MAX_SLOTS {
            return Err(SdpError::Unsupported("more than 16 video m-lines; a connection has 16 slots at most"));
        }
        lines.truncate(terms.slots.max(1));
        let mut answer = Answer::new(local, &self.session);
        let number = if terms.estimation == Estimation::Twcc { common_number(&lines) } else { None };
        let mut slots = Vec::with_capacity(lines.len());
        for (place, (at, media)) in lines.iter().enumerate() {
            let payload_types = h264(media).ok_or(SdpError::NoCodec)?;
            self.check_transport(media)?;
            let (ssrc, rtx_ssrc) = terms.slot_ssrcs(place);
            let slot = SlotMedia { payload_types, extensions: viewer_extensions(media, number), ssrc, rtx_ssrc };
            let name = if lines.len() == 1 { StreamName::Only } else { StreamName::Slot(place) };
            answer.send_video(*at, media, &slot, name);
            slots.push(slot);
        }
        let audio = receives("audio").into_iter().find_map(|(at, media)| Some((at, media, audio_types(media)?)));
        let audio = match audio {
            Some((at, media, types)) => {
                self.check_transport(media)?;
                // Feedback on sound is offered for some of its codecs: it is on packets, whatever they carry.
                let is_told = |(_, n)| number.is_some() && number_extension(media, [n]) == number;
                let number = number.filter(|_| types.codecs().any(is_told));
                let extensions = viewer_extensions(media, number);
                let agreed = AudioMedia { types, extensions, ssrc: terms.audio_ssrc() };
                let name = if lines.len() == 1 { StreamName::Only } else { StreamName::Sound };
                answer.send_audio(at, media, &agreed, name);
                Some(agreed)
            }
            None => None,
        };
        Ok((ViewerMedia { fingerprint: self.fingerprint, tag: answer.tag(), slots, audio }, answer.write()))
    }

    /// Agrees to receive a publisher's encodings, and its sound where `takes_audio`.
    pub fn publish(&self, local: &Local<'_>, takes_audio: bool) -> Result<(PublisherMedia, String), SdpError> {
        let sends = |kind| self.lines(kind, &["sendonly", "sendrecv"]);
        let (at, media) = *sends("video").first().ok_or(SdpError::Unsupported("it has no video m-line that sends"))?;
        let payload_types = h264(media).ok_or(SdpError::NoCodec)?;
        self.check_transport(media)?;
        let rids = simulcast(media)?;
        let is_simulcast = !rids.is_empty();
        let sound = if takes_audio { sends("audio") } else { Vec::new() };
        let sound = sound.into_iter().find_map(|(at, media)| Some((at, media, audio_types(media)?)));
        let name = |media: &MediaDescription| value(media, "mid").unwrap_or_default().to_owned();
        let number_extension = number_extension(media, [payload_types.media]);
        let is_numbered = |(_, media, types): &(usize, &MediaDescription, AudioTypes)| {
            let number = number_extension.filter(|_| types.codecs().count() > 0);
            number.is_some() && self::number_extension(media, types.codecs().map(|(_, n)| n)) == number
        };
        let mut agreed = PublisherMedia {
            tag: String::new(),
            fingerprint: self.fingerprint,
            payload_types,
            mid_extension: extension_id(media, MID),
            rid_extension: extension_id(media, RTP_STREAM_ID),
            repaired_rid_extension: extension_id(media, REPAIRED_RTP_STREAM_ID),
            number_extension,
            mids: (name(media), sound.as_ref().map(|(_, media, _)| name(media))),
            encodings: if is_simulcast { rids } else { vec![Rid::SINGLE] },
            is_simulcast,
            audio: sound.map(|(_, _, types)| types),
            audio_is_numbered: sound.as_ref().is_some_and(is_numbered),
        };
        if is_simulcast && agreed.rid_extension.is_none() {
            return Err(SdpError::Unsupported("simulcast by rid needs the header extension sdes:rtp-stream-id"));
        }
        let mut answer = Answer::new(local, &self.session);
        answer.receive_video(at, media, &agreed);
        if let Some((at, media, types)) = sound {
            self.check_transport(media)?;
            answer.receive_audio(at, media, types, agreed.number_extension.filter(|_| agreed.audio_is_numbered));
        }
        agreed.tag = answer.tag();
        Ok((agreed, answer.write()))
    }

    /// The m-lines of a kind and one of these directions, with their places.
    fn lines(&self, kind: &str, directions: &[&str]) -> Vec<(usize, &MediaDescription)> {
        let lines = self.session.media_descriptions.iter().enumerate();
        lines
            .filter(|(_, m)| {
                m.media_name.media == kind && m.media_name.port.value != 0 && directions.contains(&direction(m))
            })
            .collect()
    }

    /// Whether an m-line can share our one transport.
    fn check_transport(&self, media: &MediaDescription) -> Result<(), SdpError> {
        if value(media, "mid").is_none() {
            return Err(SdpError::Malformed("an m-line has no a=mid".into()));
        }
        if !media.has_attribute("rtcp-mux") {
            return Err(SdpError::Unsupported("RTCP has to be muxed (a=rtcp-mux)"));
        }
        let setup = value(media, "setup").or_else(|| self.session.attribute("setup").map(String::as_str));
        if setup == Some("passive") {
            return Err(SdpError::Unsupported("the offerer has to be able to start DTLS (a=setup:actpass or active)"));
        }
        Ok(())
    }
}

pub(super) fn value<'a>(media: &'a MediaDescription, key: &str) -> Option<&'a str> {
    media.attribute(key).flatten()
}

fn values<'a>(media: &'a MediaDescription, key: &'static str) -> impl Iterator<Item = &'a str> {
    media.attributes.iter().filter(move |a| a.key == key).filter_map(|a| a.value.as_deref())
}

fn direction(media: &MediaDescription) -> &'static str {
    ["sendonly", "recvonly", "inactive"].into_iter().find(|d| media.has_attribute(d)).unwrap_or("sendrecv")
}

/// `a=fmtp:PT parameters` or `a=rtpmap:PT encoding`, split.
fn payload_type(text: &str) -> Option<(u8, &str)> {
    let (number, rest) = text.split_once(' ')?;
    let number = number.parse().ok().filter(|n: &u8| *n < 128)?;
    Some((number, rest))
}

/// The payload types of an encoding name, as `a=rtpmap` gives them.
fn named<'a>(media: &'a MediaDescription, name: &'a str) -> impl Iterator<Item = u8> + 'a {
    let maps = values(media, "rtpmap").filter_map(payload_type);
    maps.filter(move |(_, codec)| codec.split('/').next().is_some_and(|n| n.eq_ignore_ascii_case(name))).map(|(n, _)| n)
}

fn h264(media: &MediaDescription) -> Option<PayloadTypes> {
    let parameters = |wanted: u8| values(media, "fmtp").filter_map(payload_type).find(|(n, _)| *n == wanted);
    let parameter = |wanted: u8, key: &str| {
        let (_, text) = parameters(wanted)?;
        text.split(';')
            .filter_map(|p| p.trim().split_once('='))
            .find(|(k, _)| k.eq_ignore_ascii_case(key))
            .map(|(_, v)| v)
    };
    let rank = |wanted: u8| {
        let profile = parameter(wanted, "profile-level-id").unwrap_or("42000a").to_ascii_lowercase();
        PROFILES.iter().position(|p| profile.starts_with(p)).unwrap_or(PROFILES.len())
    };
    let usable = named(media, "H264").filter(|n| parameter(*n, "packetization-mode") == Some("1"));
    let chosen = usable.min_by_key(|n| rank(*n))?;
    let rtx = named(media, "rtx").find(|n| parameter(*n, "apt") == Some(chosen.to_string().as_str()));
    Some(PayloadTypes { media: chosen, rtx })
}

/// The sound codecs that we carry; `None` where there is none. Those of G.711 have static payload types too (RFC 3551,
/// section 6).
fn audio_types(media: &MediaDescription) -> Option<AudioTypes> {
    let has = |n: &u8| media.media_name.formats.iter().any(|format| format.parse() == Ok(*n));
    let types = AudioTypes {
        opus: named(media, "opus").next(),
        pcma: named(media, "PCMA").next().or(Some(8).filter(has)),
        pcmu: named(media, "PCMU").next().or(Some(0).filter(has)),
    };
    (types != AudioTypes::default()).then_some(types)
}

/// Receivers estimate by the send time where packets have no `number`.
fn viewer_extensions(media: &MediaDescription, number: Option<u8>) -> ViewerExtensions {
    ViewerExtensions {
        abs_send_time: extension_id(media, ABS_SEND_TIME).filter(|_| number.is_none()),
        playout_delay: extension_id(media, PLAYOUT_DELAY),
        transport_number: number,
    }
}

/// The id of the transport-wide number, where feedback on it is offered for the pictures of all of these m-lines.
fn common_number(lines: &[(usize, &MediaDescription)]) -> Option<u8> {
    let mut numbers = lines.iter().map(|(_, media)| number_extension(media, h264(media).map(|types| types.media)));
    let first = numbers.next()??;
    numbers.all(|number| number == Some(first)).then_some(first)
}

/// The id of a header extension, where it fits the one-byte form.
fn extension_id(media: &MediaDescription, uri: &str) -> Option<u8> {
    values(media, "extmap").find_map(|text| {
        let mut words = text.split_whitespace();
        let id = words.next()?.split('/').next()?.parse().ok()?;
        (words.next() == Some(uri) && (1..=14).contains(&id)).then_some(id)
    })
}

/// The id of the transport-wide number, where feedback on it is offered for all of these payload types.
pub(super) fn number_extension(media: &MediaDescription, payload_types: impl IntoIterator<Item = u8>) -> Option<u8> {
    let has_feedback = |n: u8| {
        let feedback = values(media, "rtcp-fb").filter_map(|text| text.split_once(' '));
        let mut of_it = feedback.filter(|(types, _)| *types == "*" || types.parse() == Ok(n));
        of_it.any(|(_, kind)| kind.trim() == "transport-cc")
    };
    extension_id(media, TRANSPORT_NUMBER).filter(|_| payload_types.into_iter().all(has_feedback))
}

/// The rids that are sent, in the order of `a=simulcast` (RFC 8853); of alternatives the first.
fn simulcast(media: &MediaDescription) -> Result<Vec<Rid>, SdpError> {
    let Some(line) = value(media, "simulcast") else { return Ok(Vec::new()) };
    let mut words = line.split_whitespace();
    while let (Some(direction), Some(list)) = (words.next(), words.next()) {
        if direction != "send" {
            continue;
        }
        let names = list.split(';').filter_map(|alternatives| alternatives.split(',').next());
        let rids: Option<Vec<Rid>> = names.map(|n| Rid::new(n.trim_start_matches('~').as_bytes())).collect();
        let rids = rids.ok_or_else(|| SdpError::Malformed("a rid is not 1 to 16 letters or digits".into()))?;
        if (1..rids.len()).any(|i| rids[..i].contains(&rids[i])) {
            return Err(SdpError::Malformed("a rid stands twice in a=simulcast".into()));
        }
        if rids.len() > MAX_ENCODINGS {
            return Err(SdpError::Unsupported("more than 3 encodings"));
        }
        return Ok(rids);
    }
    Ok(Vec::new())
}
