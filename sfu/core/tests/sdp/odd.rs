//! Nothing that an offer says leads to a wrong answer.

use crate::setup::*;
use proptest::prelude::*;
use sfu_core::dtls::Fingerprint;
use sfu_core::sdp::{MAX_SLOTS, PublisherMedia, ViewerMedia};

/// Whatever an offer says: an answer, if there is one, is SDP with the offer's m-lines, of which as many are taken as
/// were agreed on.
fn check(offer: &str) {
    let count = || parsed(offer).media_descriptions.len();
    let viewed = |(media, answer): (ViewerMedia, String)| (answer, media.slots.len(), media.audio.is_some());
    let published = |(media, answer): (PublisherMedia, String)| (answer, 1, media.audio.is_some());
    let answers = [view(offer).map(viewed), view_slots(offer).map(viewed), publish(offer).map(published)];
    for (answer, videos, sound) in answers.into_iter().flatten() {
        let answer = parsed(&answer);
        assert_eq!(answer.media_descriptions.len(), count());
        let taken = answer.media_descriptions.iter().filter(|m| m.media_name.port.value != 0);
        assert!(taken.clone().all(|m| m.has_attribute("fingerprint")));
        assert_eq!(taken.count(), videos + usize::from(sound));
        assert!((1..=MAX_SLOTS).contains(&videos));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_too_odd(text in "\\PC*") {
        check(&text);
    }

    #[test]
    fn no_session_is_too_odd(
        lines in proptest::collection::vec(("[voistcbkam]", "[ -~\u{a0}\u{20ac}]{0,30}", "\r\n|\n|\r|"), 0..20),
    ) {
        let mut text = session();
        for (kind, value, end) in lines {
            text.push_str(&format!("{kind}={value}{end}"));
        }
        check(&text);
    }

    #[test]
    fn no_change_of_an_offer_is_too_odd(
        which in 0..3usize,
        changes in proptest::collection::vec(
            (any::<proptest::sample::Index>(), 0..4u8, "[ -~\r\n\u{a0}\u{20ac}]{0,6}", 1..40usize),
            1..6,
        ),
    ) {
        let sound = [CHROMIUM.to_owned(), simulcast(), session() + &audio("0") + &data("1") + &video("2", "sendrecv")];
        let mut text: Vec<char> = sound[which].chars().collect();
        for (at, kind, insert, len) in changes {
            let at = at.index(text.len() + 1);
            let end = (at + len).min(text.len());
            match kind {
                0 => drop(text.splice(at..at, insert.chars())),
                1 => drop(text.drain(at..end)),
                2 => drop(text.splice(at..end, insert.chars())),
                _ => {
                    let again: Vec<char> = text[at..end].to_vec();
                    text.splice(end..end, again);
                }
            }
        }
        check(&text.into_iter().collect::<String>());
    }

    #[test]
    fn offers_without_some_lines_are_no_trouble(which in 0..2usize, keep in proptest::collection::vec(prop::bool::weighted(0.9), 80)) {
        let sound = [CHROMIUM.to_owned(), simulcast()];
        let kept: Vec<&str> =
            sound[which].split_inclusive('\n').zip(&keep).filter(|(_, keep)| **keep).map(|(line, _)| line).collect();
        check(&kept.concat());
    }

    #[test]
    fn fingerprints_are_read_as_they_are_written(bytes in any::<[u8; 32]>(), text in "[0-9a-fA-F:+ -]{0,100}") {
        let fingerprint = Fingerprint(bytes);
        prop_assert_eq!(Fingerprint::parse(&fingerprint.to_string()), Some(fingerprint));
        prop_assert_eq!(Fingerprint::parse(&fingerprint.to_string().to_lowercase()), Some(fingerprint));
        if let Some(read) = Fingerprint::parse(&text) {
            prop_assert_eq!(read.to_string(), text.to_uppercase());
        }
    }
}

#[test]
fn signs_are_no_part_of_a_fingerprint() {
    assert_eq!(Fingerprint::parse(&FINGERPRINT.replace("CC", "+C")), None);
}
