//! Reading an offer: which m-line is the video, what it can do, and where the peer's certificate is promised.

use super::answer::Answer;
use super::{Local, MAX_ENCODINGS, MAX_MEDIA, PayloadTypes, PublisherMedia, SdpError, ViewerMedia};
use crate::dtls::Fingerprint;
use crate::rtp::{ABS_SEND_TIME, MID, PLAYOUT_DELAY, REPAIRED_RTP_STREAM_ID, RTP_STREAM_ID, ViewerExtensions};
use crate::{Rid, Ssrc};
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

    /// Agrees to send video to a viewer; `ssrc` and `rtx_ssrc` are what it will carry.
    pub fn view(&self, local: &Local<'_>, ssrc: Ssrc, rtx_ssrc: Ssrc) -> Result<(ViewerMedia, String), SdpError> {
        let (at, media, payload_types) = self.video(&["recvonly", "sendrecv"])?;
        let extensions = ViewerExtensions {
            abs_send_time: extension_id(media, ABS_SEND_TIME),
            playout_delay: extension_id(media, PLAYOUT_DELAY),
        };
        let agreed = ViewerMedia { fingerprint: self.fingerprint, payload_types, extensions, ssrc, rtx_ssrc };
        let answer = Answer::new(local, &self.session, at).to_viewer(media, &agreed);
        Ok((agreed, answer))
    }

    /// Agrees to receive a publisher's encodings.
    pub fn publish(&self, local: &Local<'_>) -> Result<(PublisherMedia, String), SdpError> {
        let (at, media, payload_types) = self.video(&["sendonly", "sendrecv"])?;
        let rids = simulcast(media)?;
        let is_simulcast = !rids.is_empty();
        let agreed = PublisherMedia {
            fingerprint: self.fingerprint,
            payload_types,
            mid_extension: extension_id(media, MID),
            rid_extension: extension_id(media, RTP_STREAM_ID),
            repaired_rid_extension: extension_id(media, REPAIRED_RTP_STREAM_ID),
            mid: value(media, "mid").unwrap_or_default().to_owned(),
            encodings: if is_simulcast { rids } else { vec![Rid::SINGLE] },
            is_simulcast,
        };
        if is_simulcast && agreed.rid_extension.is_none() {
            return Err(SdpError::Unsupported("simulcast by rid needs the header extension sdes:rtp-stream-id"));
        }
        let answer = Answer::new(local, &self.session, at).to_publisher(media, &agreed);
        Ok((agreed, answer))
    }

    /// The first video m-line of one of these directions, with the H.264 it can do.
    fn video(&self, directions: &[&str]) -> Result<(usize, &MediaDescription, PayloadTypes), SdpError> {
        let mut lines = self.session.media_descriptions.iter().enumerate();
        let (at, media) = lines
            .find(|(_, m)| {
                m.media_name.media == "video" && m.media_name.port.value != 0 && directions.contains(&direction(m))
            })
            .ok_or(if directions.contains(&"recvonly") {
                SdpError::Unsupported("it has no video m-line that receives")
            } else {
                SdpError::Unsupported("it has no video m-line that sends")
            })?;
        let payload_types = h264(media).ok_or(SdpError::NoCodec)?;
        if value(media, "mid").is_none() {
            return Err(SdpError::Malformed("the video m-line has no a=mid".into()));
        }
        if !media.has_attribute("rtcp-mux") {
            return Err(SdpError::Unsupported("RTCP has to be muxed (a=rtcp-mux)"));
        }
        let setup = value(media, "setup").or_else(|| self.session.attribute("setup").map(String::as_str));
        if setup == Some("passive") {
            return Err(SdpError::Unsupported("the offerer has to be able to start DTLS (a=setup:actpass or active)"));
        }
        Ok((at, media, payload_types))
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

fn h264(media: &MediaDescription) -> Option<PayloadTypes> {
    let named = |name: &'static str| {
        values(media, "rtpmap").filter_map(payload_type).filter(move |(_, codec)| {
            codec.split('/').next().is_some_and(|encoding| encoding.eq_ignore_ascii_case(name))
        })
    };
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
    let usable = named("H264").map(|(n, _)| n).filter(|n| parameter(*n, "packetization-mode") == Some("1"));
    let chosen = usable.min_by_key(|n| rank(*n))?;
    let rtx = named("rtx").map(|(n, _)| n).find(|n| parameter(*n, "apt") == Some(chosen.to_string().as_str()));
    Some(PayloadTypes { media: chosen, rtx })
}

/// The id of a header extension, where it fits the one-byte form.
fn extension_id(media: &MediaDescription, uri: &str) -> Option<u8> {
    values(media, "extmap").find_map(|text| {
        let mut words = text.split_whitespace();
        let id = words.next()?.split('/').next()?.parse().ok()?;
        (words.next() == Some(uri) && (1..=14).contains(&id)).then_some(id)
    })
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
