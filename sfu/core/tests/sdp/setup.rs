//! Offers, and what is made of them.

use rtc_sdp::SessionDescription;
use sfu_core::bandwidth::Estimation;
use sfu_core::dtls::Fingerprint;
use sfu_core::ice::Credentials;
use sfu_core::sdp::{Local, MAX_SLOTS, Offer, PublisherMedia, SdpError, ViewTerms, ViewerMedia};
use sfu_core::{ShardId, TransportAddress};
use std::io::Cursor;

/// What Chromium 156 offers to view with, its candidates' addresses replaced.
pub(crate) const CHROMIUM: &str = include_str!("chromium-156-viewer.sdp");
pub(crate) const FINGERPRINT: &str =
    "CC:58:16:FF:89:B4:6C:32:33:57:B6:85:5B:82:4F:4F:EF:D4:AE:93:01:F9:C1:68:19:62:7A:9D:99:CD:96:FD";

pub(crate) fn local<T>(then: impl FnOnce(&Local<'_>) -> T) -> T {
    let ice = Credentials::new(ShardId(0), &[5; 24]);
    let [by_tcp, udp @ ..] = ["192.0.2.1:443", "192.0.2.1:4000", "[2001:db8::1]:4000", "[::ffff:192.0.2.3]:4001"]
        .map(|address| address.parse().expect("an address"));
    let candidates: Vec<TransportAddress> =
        udp.map(TransportAddress::udp).into_iter().chain([TransportAddress::tcp(by_tcp)]).collect();
    then(&Local { ice: &ice, fingerprint: Fingerprint([0xab; 32]), candidates: &candidates, session: 42 })
}

pub(crate) fn view(offer: &str) -> Result<(ViewerMedia, String), SdpError> {
    let offer = Offer::parse(offer)?;
    local(|local| offer.view(local, ViewTerms { slots: 1, ssrcs: 1111, estimation: Estimation::Remb }))
}

pub(crate) fn view_slots(offer: &str) -> Result<(ViewerMedia, String), SdpError> {
    let offer = Offer::parse(offer)?;
    local(|local| offer.view(local, ViewTerms { slots: MAX_SLOTS, ssrcs: u32::MAX, estimation: Estimation::Remb }))
}

pub(crate) fn publish(offer: &str) -> Result<(PublisherMedia, String), SdpError> {
    let offer = Offer::parse(offer)?;
    local(|local| offer.publish(local, true))
}

pub(crate) fn parsed(text: &str) -> SessionDescription {
    SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes())).expect("SDP")
}

pub(crate) fn lines(text: &str, start: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix(start)).map(str::to_owned).collect()
}

pub(crate) fn has(text: &str, line: &str) -> bool {
    text.split("\r\n").any(|l| l == line)
}

/// A session without m-lines.
pub(crate) fn session() -> String {
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n".to_owned()
}

/// A video m-line of this mid and direction.
pub(crate) fn video(mid: &str, direction: &str) -> String {
    format!(
        "m=video 9 UDP/TLS/RTP/SAVPF 96 102 103\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:peer\r\na=ice-pwd:peerpeerpeerpeerpeerpeer\r\n\
         a=fingerprint:sha-256 {FINGERPRINT}\r\na=setup:actpass\r\na=mid:{mid}\r\na={direction}\r\na=rtcp-mux\r\n\
         a=rtpmap:96 VP8/90000\r\na=rtpmap:102 H264/90000\r\n\
         a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
         a=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n"
    )
}

pub(crate) fn audio(mid: &str) -> String {
    format!(
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\na=fingerprint:sha-256 {FINGERPRINT}\r\na=setup:actpass\r\n\
         a=mid:{mid}\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n"
    )
}

pub(crate) fn data(mid: &str) -> String {
    format!(
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=fingerprint:sha-256 {FINGERPRINT}\r\n\
         a=setup:actpass\r\na=mid:{mid}\r\na=sctp-port:5000\r\n"
    )
}

/// What a browser offers that sends three sizes.
pub(crate) fn simulcast() -> String {
    let extensions = "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
                      a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
                      a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n";
    let rids = "a=rid:h send\r\na=rid:m send\r\na=rid:l send\r\na=simulcast:send h;m;l\r\n";
    session() + &video("0", "sendonly") + extensions + rids
}
