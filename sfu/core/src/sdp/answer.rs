//! Writing an answer: ICE-lite, DTLS passive, bundled on the one video m-line; all else is rejected.

use super::offer::value;
use super::{Local, PayloadTypes, PublisherMedia, ViewerMedia};
use crate::rtp::{ABS_SEND_TIME, MID, PLAYOUT_DELAY, REPAIRED_RTP_STREAM_ID, RTP_STREAM_ID};
use rtc_sdp::{MediaDescription, SessionDescription};
use std::net::{IpAddr, SocketAddr};

/// Canonical name and media stream of what we send (RFC 3550, section 6.5.1; RFC 8830).
const CNAME: &str = "sunroom";

pub(super) struct Answer<'a> {
    local: &'a Local<'a>,
    offer: &'a SessionDescription,
    /// Which of the offer's m-lines is answered.
    at: usize,
}

impl<'a> Answer<'a> {
    pub(super) fn new(local: &'a Local<'a>, offer: &'a SessionDescription, at: usize) -> Self {
        Self { local, offer, at }
    }

    pub(super) fn to_viewer(&self, media: &MediaDescription, agreed: &ViewerMedia) -> String {
        let mut lines = vec!["a=sendonly".to_owned(), format!("a=msid:{CNAME} video")];
        let extensions =
            [(agreed.extensions.abs_send_time, ABS_SEND_TIME), (agreed.extensions.playout_delay, PLAYOUT_DELAY)];
        lines.extend(extension_lines(&extensions));
        lines.extend(codec_lines(media, agreed.payload_types));
        lines.push(format!("a=rtcp-fb:{} goog-remb", agreed.payload_types.media));
        let (ssrc, rtx) = (agreed.ssrc.0, agreed.rtx_ssrc.0);
        if agreed.payload_types.rtx.is_some() {
            lines.push(format!("a=ssrc-group:FID {ssrc} {rtx}"));
        }
        for one in [Some(ssrc), agreed.payload_types.rtx.map(|_| rtx)].into_iter().flatten() {
            lines.push(format!("a=ssrc:{one} cname:{CNAME}"));
            lines.push(format!("a=ssrc:{one} msid:{CNAME} video"));
        }
        self.write(media, agreed.payload_types, &lines)
    }

    pub(super) fn to_publisher(&self, media: &MediaDescription, agreed: &PublisherMedia) -> String {
        let mut lines = vec!["a=recvonly".to_owned()];
        lines.extend(extension_lines(&[
            (agreed.mid_extension, MID),
            (agreed.rid_extension, RTP_STREAM_ID),
            (agreed.repaired_rid_extension, REPAIRED_RTP_STREAM_ID),
        ]));
        lines.extend(codec_lines(media, agreed.payload_types));
        if agreed.is_simulcast {
            let rids: Vec<&str> = agreed.encodings.iter().map(crate::Rid::as_str).collect();
            lines.extend(rids.iter().map(|rid| format!("a=rid:{rid} recv")));
            lines.push(format!("a=simulcast:recv {}", rids.join(";")));
        }
        self.write(media, agreed.payload_types, &lines)
    }

    fn write(&self, media: &MediaDescription, payload_types: PayloadTypes, lines: &[String]) -> String {
        let mid = value(media, "mid").unwrap_or_default();
        let mut text = format!(
            "v=0\r\no=- {} 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mid}\r\na=ice-lite\r\na=msid-semantic: WMS *\r\n",
            self.local.session
        );
        for (at, offered) in self.offer.media_descriptions.iter().enumerate() {
            if at == self.at {
                self.write_accepted(&mut text, media, payload_types, lines);
            } else {
                write_rejected(&mut text, offered);
            }
        }
        text
    }

    fn write_accepted(&self, text: &mut String, media: &MediaDescription, types: PayloadTypes, lines: &[String]) {
        let mut push = |line: &str| {
            text.push_str(line);
            text.push_str("\r\n");
        };
        let rtx = types.rtx.map(|n| format!(" {n}")).unwrap_or_default();
        push(&format!("m=video 9 {} {}{rtx}", media.media_name.protos.join("/"), types.media));
        push("c=IN IP4 0.0.0.0");
        push(&format!("a=ice-ufrag:{}", self.local.ice.ufrag));
        push(&format!("a=ice-pwd:{}", self.local.ice.password));
        push(&format!("a=fingerprint:sha-256 {}", self.local.fingerprint));
        push("a=setup:passive");
        push(&format!("a=mid:{}", value(media, "mid").unwrap_or_default()));
        push("a=rtcp-mux");
        push("a=rtcp-rsize");
        // Receivers may ask for the round trip (RFC 3611, section 5.1); pages learn a frame's age by it.
        if media.has_attribute("rtcp-xr") {
            push("a=rtcp-xr:rcvr-rtt=all");
        }
        lines.iter().for_each(|line| push(line));
        for (i, candidate) in self.local.candidates.iter().enumerate() {
            push(&candidate_line(i, *candidate));
        }
        push("a=end-of-candidates");
    }
}

fn write_rejected(text: &mut String, offered: &MediaDescription) {
    let name = &offered.media_name;
    let format = name.formats.first().map_or("0", String::as_str);
    text.push_str(&format!(
        "m={} 0 {} {format}\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n",
        name.media,
        name.protos.join("/")
    ));
    if let Some(mid) = value(offered, "mid") {
        text.push_str(&format!("a=mid:{mid}\r\n"));
    }
}

fn extension_lines(extensions: &[(Option<u8>, &str)]) -> Vec<String> {
    extensions.iter().filter_map(|(id, uri)| Some(format!("a=extmap:{} {uri}", (*id)?))).collect()
}

fn codec_lines(media: &MediaDescription, types: PayloadTypes) -> Vec<String> {
    let n = types.media;
    let prefix = format!("{n} ");
    let offered = media.attributes.iter().filter(|a| a.key == "fmtp").filter_map(|a| a.value.as_deref());
    let parameters = offered.filter_map(|v| v.strip_prefix(&prefix)).next().unwrap_or("packetization-mode=1");
    let mut lines = vec![format!("a=rtpmap:{n} H264/90000"), format!("a=fmtp:{n} {parameters}")];
    lines.extend(["nack", "nack pli", "ccm fir"].map(|feedback| format!("a=rtcp-fb:{n} {feedback}")));
    if let Some(rtx) = types.rtx {
        lines.push(format!("a=rtpmap:{rtx} rtx/90000"));
        lines.push(format!("a=fmtp:{rtx} apt={n}"));
    }
    lines
}

/// RFC 8839, section 5.1; priorities by RFC 8445, section 5.1.2.1.
fn candidate_line(order: usize, address: SocketAddr) -> String {
    let local_preference = 65_535u32.saturating_sub(order as u32);
    let priority = (126u32 << 24) + (local_preference << 8) + 255;
    let ip = match address.ip() {
        IpAddr::V6(v6) => v6.to_canonical(),
        v4 @ IpAddr::V4(_) => v4,
    };
    format!("a=candidate:{} 1 udp {priority} {ip} {} typ host", order + 1, address.port())
}
