//! SDP offers: whatever is answered is an answer to that offer, with nothing in it that the offer put there unseen.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rtc_sdp::SessionDescription;
use sfu_core::TransportAddress;
use sfu_core::dtls::Fingerprint;
use sfu_core::bandwidth::Estimation;
use sfu_core::sdp::{Local, MAX_ENCODINGS, MAX_MEDIA, MAX_SLOTS, Offer, ViewTerms};
use std::io::Cursor;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let Ok(offer) = Offer::parse(&text) else { return };
    let offered = SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes())).expect("it was read once");
    let (ice, candidates) = (fuzz::credentials(), [TransportAddress::udp(([192, 0, 2, 1], 4000).into())]);
    let local = Local { ice: &ice, fingerprint: Fingerprint([9; 32]), candidates: &candidates, session: 1 };
    for slots in [1, MAX_SLOTS] {
        let Ok((media, answer)) = offer.view(&local, ViewTerms { slots, ssrcs: 0x1234_5678, estimation: Estimation::Twcc }) else { continue };
        assert!((1..=slots).contains(&media.slots.len()));
        let ids = |e: sfu_core::rtp::ViewerExtensions| e.abs_send_time.into_iter().chain(e.playout_delay);
        assert!(media.slots.iter().flat_map(|s| ids(s.extensions)).all(|id| (1..=14).contains(&id)));
        check(&offered, &answer, media.slots.len() + usize::from(media.audio.is_some()));
    }
    for takes_audio in [false, true] {
        let Ok((media, answer)) = offer.publish(&local, takes_audio) else { continue };
        assert!((1..=MAX_ENCODINGS).contains(&media.encodings.len()));
        assert!(takes_audio || media.audio.is_none());
        check(&offered, &answer, 1 + usize::from(media.audio.is_some()));
    }
});

fn check(offered: &SessionDescription, answer: &str, accepted: usize) {
    for line in answer.split("\r\n") {
        assert!(line.is_empty() || line.as_bytes().get(1) == Some(&b'='), "no line of SDP: {line:?}");
        assert!(!line.contains(['\r', '\n']), "a line within a line: {line:?}");
    }
    let read = SessionDescription::unmarshal(&mut Cursor::new(answer.as_bytes())).expect("the answer is SDP");
    assert!(read.media_descriptions.len() <= MAX_MEDIA);
    assert_eq!(read.media_descriptions.len(), offered.media_descriptions.len(), "m-lines");
    for (ours, theirs) in read.media_descriptions.iter().zip(&offered.media_descriptions) {
        assert_eq!(ours.media_name.media, theirs.media_name.media);
        assert_eq!(ours.media_name.protos, theirs.media_name.protos);
        let is_accepted = ours.media_name.port.value != 0;
        assert!(!is_accepted || theirs.media_name.port.value != 0, "a line that was not offered is accepted");
        assert_eq!(is_accepted, ours.attribute("ice-ufrag").is_some());
        for key in ["ice-ufrag", "ice-pwd", "fingerprint", "setup"] {
            assert!(ours.attributes.iter().filter(|a| a.key == key).count() <= 1, "{key} twice");
        }
    }
    let live = read.media_descriptions.iter().filter(|m| m.media_name.port.value != 0).count();
    assert_eq!(live, accepted, "accepted m-lines");
    assert_eq!(answer.matches("a=candidate:").count(), 1, "candidates");
}
