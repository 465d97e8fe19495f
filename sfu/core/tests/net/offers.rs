//! What peers offer: SDP as browsers write it, but short.

use super::peer::{NUMBER, SEND_TIME};

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n";
const CODEC: &str = "a=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:102 H264/90000\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\na=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n";

fn media(fingerprint: &str) -> String {
    format!(
        "m=video 9 UDP/TLS/RTP/SAVPF 96 102 103\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:peer\r\na=ice-pwd:peerpeerpeerpeerpeerpeer\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\na=mid:0\r\n{CODEC}"
    )
}

const AUDIO: &str = "a=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n";

pub fn audio(fingerprint: &str, mid: usize, direction: &str) -> String {
    format!(
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 8 0\r\nc=IN IP4 0.0.0.0\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\na=mid:{mid}\r\n{AUDIO}a={direction}\r\n"
    )
}

/// So many pictures, and sound.
pub fn session_offer(fingerprint: &str, slots: usize) -> String {
    let video = |mid: usize| media(fingerprint).replace("a=mid:0", &format!("a=mid:{mid}")) + "a=recvonly\r\n";
    let videos: String = (0..slots).map(video).collect();
    format!("{HEAD}{videos}{}", audio(fingerprint, slots, "recvonly"))
}

pub fn view_offer(fingerprint: &str) -> String {
    wall_offer(fingerprint, 1)
}

/// A viewer's m-line has transport-wide numbers, and feedback on them.
pub const NUMBERED: &str = "a=extmap:6 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\na=rtcp-fb:* transport-cc\r\n";

/// So many pictures with all header extensions, and feedback on transport-wide numbers.
pub fn wall_offer(fingerprint: &str, slots: usize) -> String {
    let (send_time, playout_delay) = (sfu_core::rtp::ABS_SEND_TIME, sfu_core::rtp::PLAYOUT_DELAY);
    let extensions = format!("a=extmap:{SEND_TIME} {send_time}\r\na=extmap:5 {playout_delay}\r\n{NUMBERED}");
    let video = |mid: usize| media(fingerprint).replace("a=mid:0", &format!("a=mid:{mid}"));
    let videos: String = (0..slots).map(|mid| video(mid) + "a=recvonly\r\n" + &extensions).collect();
    format!("{HEAD}{videos}")
}

pub fn publish_offer(fingerprint: &str, rids: &[&str]) -> String {
    let extensions = format!("a=extmap:1 {}\r\na=extmap:3 {}\r\n", sfu_core::rtp::MID, sfu_core::rtp::RTP_STREAM_ID);
    let lines: String = rids.iter().map(|rid| format!("a=rid:{rid} send\r\n")).collect();
    let rids = format!("{lines}a=simulcast:send {}\r\n", rids.join(";"));
    let sound = audio(fingerprint, 1, "sendonly");
    format!("{HEAD}{}a=sendonly\r\n{extensions}{rids}{sound}", media(fingerprint))
}

/// A publisher's offer with transport-wide numbers, and feedback on them, in pictures and sound.
pub fn numbered(offer: &str) -> String {
    let extension = format!("a=extmap:{NUMBER} {}\r\na=sendonly", sfu_core::rtp::TRANSPORT_NUMBER);
    let feedback: String = [102, 111, 8, 0].map(|n| format!("a=rtcp-fb:{n} transport-cc\r\n")).concat();
    offer.replace("a=sendonly", &format!("{feedback}{extension}"))
}
