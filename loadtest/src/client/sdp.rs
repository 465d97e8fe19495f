//! Offers of virtual peers, as browsers make them in what servers look at, and what is needed of the answers (RFC 8866,
//! RFC 8829).

use super::stun::UFRAG;
use ring::digest::{SHA256, digest};
use rtc_sdp::{MediaDescription, SessionDescription};
use std::fmt::Write;
use std::net::SocketAddr;

/// Payload type of H.264 in our offers.
pub const VIDEO: u8 = 102;
/// Payload type of retransmissions (RFC 4588) in our offers.
pub const RTX: u8 = 103;
/// Id of the header extension with the encoding's rid (RFC 8852) in publishers' offers.
pub const RID_EXTENSION: u8 = 4;
/// Id of the header extension with the transport-wide number in viewers' offers.
pub const NUMBER_EXTENSION: u8 = 6;
/// Longest answer that is looked at, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
const TRANSPORT_NUMBER: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const RTP_STREAM_ID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its ICE credentials.
    pub ufrag: String,
    /// See `ufrag`.
    pub password: String,
    /// SHA-256 of its certificate.
    pub fingerprint: String,
    /// Where it receives: its first UDP candidate.
    pub candidate: SocketAddr,
    /// The streams that it sends, by m-line: of media, and of retransmissions.
    pub streams: Vec<(u32, Option<u32>)>,
    /// Its packets have transport-wide numbers, and it wants to be told when they come.
    pub is_numbered: bool,
}

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer {0}")]
pub struct InvalidAnswer(&'static str);

/// SHA-256 of a certificate as SDP writes it (RFC 8122, section 5).
pub fn fingerprint(der: &[u8]) -> String {
    let pairs: Vec<String> = digest(&SHA256, der).as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

/// An offer to be sent so many videos.
pub fn offer_to_view(fingerprint: &str, slots: usize) -> String {
    let mut text = head(slots);
    for mid in 0..slots {
        transport(&mut text, fingerprint, mid);
        text.push_str("a=recvonly\r\n");
        let _ = write!(text, "a=extmap:2 {ABS_SEND_TIME}\r\na=extmap:5 {PLAYOUT_DELAY}\r\n");
        let _ = write!(text, "a=extmap:{NUMBER_EXTENSION} {TRANSPORT_NUMBER}\r\n");
        codec(&mut text, true);
        let _ = write!(text, "a=rtcp-fb:{VIDEO} goog-remb\r\na=rtcp-fb:{VIDEO} transport-cc\r\n");
    }
    text
}

/// An offer to send one camera's encodings, by their rids: one plain stream, or simulcast (RFC 8853).
pub fn offer_to_publish(fingerprint: &str, rids: &[&str], ssrc: u32) -> String {
    let mut text = head(1);
    transport(&mut text, fingerprint, 0);
    text.push_str("a=sendonly\r\n");
    codec(&mut text, false);
    if rids.len() == 1 {
        let _ = write!(text, "a=ssrc:{ssrc} cname:loadtest\r\n");
        return text;
    }
    let _ = write!(text, "a=extmap:{RID_EXTENSION} {RTP_STREAM_ID}\r\n");
    for rid in rids {
        let _ = write!(text, "a=rid:{rid} send\r\n");
    }
    let _ = write!(text, "a=simulcast:send {}\r\n", rids.join(";"));
    text
}

fn head(media: usize) -> String {
    let mids: Vec<String> = (0..media).map(|mid| mid.to_string()).collect();
    format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n", mids.join(" "))
}

fn transport(text: &mut String, fingerprint: &str, mid: usize) {
    let _ = write!(
        text,
        "m=video 9 UDP/TLS/RTP/SAVPF {VIDEO} {RTX}\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:{UFRAG}\r\n\
         a=ice-pwd:loadtestloadtestloadtest\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:active\r\na=mid:{mid}\r\n\
         a=rtcp-mux\r\na=rtcp-rsize\r\n"
    );
}

fn codec(text: &mut String, has_rtx: bool) {
    let _ = write!(
        text,
        "a=rtpmap:{VIDEO} H264/90000\r\na=fmtp:{VIDEO} packetization-mode=1;profile-level-id=42e01f\r\n\
         a=rtcp-fb:{VIDEO} nack\r\na=rtcp-fb:{VIDEO} nack pli\r\n"
    );
    if has_rtx {
        let _ = write!(text, "a=rtpmap:{RTX} rtx/90000\r\na=fmtp:{RTX} apt={VIDEO}\r\n");
    }
}

impl Answer {
    /// Reads what is needed of an answer.
    pub fn parse(text: &str) -> Result<Self, InvalidAnswer> {
        if text.len() > MAX_ANSWER {
            return Err(InvalidAnswer("is too long"));
        }
        let sdp = SessionDescription::unmarshal(&mut std::io::Cursor::new(text.as_bytes()))
            .map_err(|_| InvalidAnswer("is no SDP"))?;
        let accepted: Vec<&MediaDescription> =
            sdp.media_descriptions.iter().filter(|m| m.media_name.port.value != 0).collect();
        let first = accepted.first().ok_or(InvalidAnswer("rejects all that was offered"))?;
        let value = |key: &str| first.attribute(key).flatten().map(str::to_owned);
        let fingerprint = value("fingerprint").ok_or(InvalidAnswer("has no fingerprint"))?;
        let fingerprint = fingerprint.strip_prefix("sha-256 ").ok_or(InvalidAnswer("has no SHA-256 fingerprint"))?;
        let candidates = first.attributes.iter().filter(|a| a.key == "candidate").filter_map(|a| a.value.as_deref());
        Ok(Self {
            ufrag: value("ice-ufrag").ok_or(InvalidAnswer("has no ice-ufrag"))?,
            password: value("ice-pwd").ok_or(InvalidAnswer("has no ice-pwd"))?,
            fingerprint: fingerprint.to_owned(),
            candidate: candidates.filter_map(candidate).next().ok_or(InvalidAnswer("has no UDP candidate"))?,
            streams: accepted.iter().filter_map(|media| stream(media)).collect(),
            is_numbered: first
                .attributes
                .iter()
                .filter_map(|a| a.value.as_deref())
                .any(|v| v.ends_with(TRANSPORT_NUMBER)),
        })
    }
}

/// `1 1 udp 2130706431 192.0.2.1 40000 typ host` (RFC 8839, section 5.1).
fn candidate(line: &str) -> Option<SocketAddr> {
    let words: Vec<&str> = line.split(' ').collect();
    let is_udp = words.get(2).is_some_and(|protocol| protocol.eq_ignore_ascii_case("udp"));
    let (address, port) = (words.get(4)?.parse().ok()?, words.get(5)?.parse().ok()?);
    is_udp.then(|| SocketAddr::new(address, port))
}

fn stream(media: &MediaDescription) -> Option<(u32, Option<u32>)> {
    let number = |text: &str| text.split(' ').next()?.parse().ok();
    if let Some(group) = media.attribute("ssrc-group").flatten().and_then(|g| g.strip_prefix("FID ")) {
        let mut pair = group.split(' ').filter_map(number);
        return Some((pair.next()?, pair.next()));
    }
    Some((number(media.attribute("ssrc").flatten()?)?, None))
}
