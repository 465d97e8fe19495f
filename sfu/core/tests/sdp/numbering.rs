//! Who gets transport-wide numbers, and who is to tell when packets come.

use crate::setup::*;
use sfu_core::bandwidth::Estimation;
use sfu_core::sdp::{MAX_SLOTS, Offer, SdpError, ViewTerms, ViewerMedia};

fn view_by_twcc(offer: &str) -> Result<(ViewerMedia, String), SdpError> {
    let offer = Offer::parse(offer)?;
    local(|local| offer.view(local, ViewTerms { slots: MAX_SLOTS, ssrcs: 0, estimation: Estimation::Twcc }))
}

const NUMBER: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

#[test]
fn a_viewer_is_asked_when_packets_come_where_it_can_tell_and_that_is_wished() {
    let (media, answer) = view_by_twcc(CHROMIUM).expect("answered");
    let extensions = media.slots[0].extensions;
    assert!(media.is_numbered());
    assert_eq!((extensions.abs_send_time, extensions.playout_delay.is_some()), (None, true), "one of the two");
    let number = extensions.transport_number.expect("a number");
    assert!(has(&answer, &format!("a=extmap:{number} {NUMBER}")), "{answer}");
    assert!(has(&answer, "a=rtcp-fb:108 transport-cc") && !answer.contains("goog-remb"), "{answer}");
    parsed(&answer);
    let (media, answer) = view(CHROMIUM).expect("answered");
    assert!(!media.is_numbered() && answer.contains("a=rtcp-fb:108 goog-remb"));
}

#[test]
fn a_viewer_that_cannot_tell_it_of_all_pictures_is_asked_for_an_estimate() {
    let told =
        |mid, id: u8| format!("{}a=extmap:{id} {NUMBER}\r\na=rtcp-fb:102 transport-cc\r\n", video(mid, "recvonly"));
    let (media, answer) = view_by_twcc(&(session() + &told("0", 7) + &told("1", 7))).expect("answered");
    assert!(media.slots.iter().all(|slot| slot.extensions.transport_number == Some(7)));
    assert_eq!(lines(&answer, "a=rtcp-fb:102 transport-cc").len(), 2);
    let without_number = told("1", 7).replace("a=extmap", "a=nothing");
    let without_feedback = told("1", 7).replace("transport-cc", "nack");
    for other in [told("1", 8), without_number, without_feedback] {
        let (media, answer) = view_by_twcc(&(session() + &told("0", 7) + &other)).expect("answered");
        assert!(!media.is_numbered(), "{other}");
        assert!(!answer.contains(NUMBER) && !answer.contains("transport-cc"), "{answer}");
        assert_eq!(lines(&answer, "a=rtcp-fb:102 goog-remb").len(), 2);
    }
}

#[test]
fn sound_is_numbered_with_the_pictures_where_it_is_offered_so() {
    let picture = format!("{}a=extmap:7 {NUMBER}\r\na=rtcp-fb:102 transport-cc\r\n", video("0", "recvonly"));
    for (line, is_told) in [("a=rtcp-fb:111 transport-cc\r\n", true), ("", false)] {
        let sound = format!("{}a=extmap:7 {NUMBER}\r\n{line}", audio("1"));
        let (media, answer) = view_by_twcc(&format!("{}{picture}{sound}", session())).expect("answered");
        assert!(media.is_numbered());
        let agreed = media.audio.expect("sound");
        assert_eq!(agreed.extensions.transport_number, Some(7).filter(|_| is_told));
        assert_eq!(has(&answer, "a=rtcp-fb:111 transport-cc"), is_told);
        assert!(!has(&answer, "a=rtcp-fb:0 transport-cc"), "what was not offered is not answered");
        assert_eq!(lines(&answer, "a=extmap:7 ").len(), 1 + usize::from(is_told));
    }
}

#[test]
fn packets_are_numbered_where_the_number_and_feedback_on_it_are_offered() {
    let feedback = simulcast().replace("a=rtcp-mux\r\n", "a=rtcp-mux\r\na=rtcp-fb:102 transport-cc\r\n");
    let both = feedback.replace("a=rtcp-mux\r\n", &format!("a=rtcp-mux\r\na=extmap:7 {NUMBER}\r\n"));
    let has_both = |answer: &str| (answer.contains(NUMBER), answer.contains("a=rtcp-fb:102 transport-cc"));
    let (media, answer) = publish(&both).expect("answered");
    assert_eq!((media.number_extension, has_both(&answer)), (Some(7), (true, true)));
    for offer in [feedback, both.replace("a=rtcp-fb:102 transport-cc", "a=rtcp-fb:96 transport-cc")] {
        let (media, answer) = publish(&offer).expect("answered");
        assert_eq!((media.number_extension, has_both(&answer)), (None, (false, false)));
    }
}
