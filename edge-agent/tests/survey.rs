//! What is found in pictures, and what is not taken for a finding.

use edge_agent::{
    finding::Kind,
    h264, h265,
    health::Board,
    survey::{Codec, Survey},
};
use proptest::prelude::*;
use protocol::{Rid, agent::StreamState};

const IDR: &[u8] = &[0x65, 0x88, 0x80];
const P: &[u8] = &[0x41, 0x9a, 0x00];
/// `first_mb_in_slice` 0 (1), `slice_type` 6: B (00111).
const B: &[u8] = &[0x01, 0b1001_1100, 0x00];

/// A survey of GOPs of these lengths in seconds, at 10 pictures a second, that ends with a keyframe.
fn survey(gops: &[u64]) -> Survey {
    let mut survey = Survey::new(Codec::H264);
    let mut at = 0;
    for seconds in gops {
        for i in 0..seconds * 10 {
            survey.picture([if i == 0 { IDR } else { P }], Some(at));
            at += 9000;
        }
    }
    survey.picture([IDR], Some(at));
    survey
}

#[test]
fn a_gop_of_four_seconds_is_no_finding_and_one_of_five_is() {
    assert_eq!(survey(&[4, 4, 4]).findings(), []);
    assert_eq!(survey(&[5, 5]).findings(), [Kind::LongGop(Some(5))]);
    assert_eq!(survey(&[12]).findings(), [Kind::LongGop(Some(12))]);
}

#[test]
fn a_keyframe_that_was_lost_is_no_finding() {
    assert_eq!(survey(&[2, 2, 8, 2]).findings(), []);
}

#[test]
fn a_gop_that_has_not_ended_is_a_finding_already() {
    let mut survey = Survey::new(Codec::H264);
    (0..60).for_each(|i| survey.picture([P], Some(i * 9000)));
    assert!(matches!(survey.findings()[..], [Kind::LongGop(_)]), "the start was in mid-GOP");
}

#[test]
fn one_b_slice_is_enough() {
    let mut survey = survey(&[2]);
    survey.picture([P, B], Some(300_000));
    assert_eq!(survey.findings(), [Kind::BFrames]);
}

#[test]
fn the_rate_is_the_average() {
    let rate = survey(&[2, 2]).frames_per_second().expect("enough pictures");
    assert!((rate - 10.0).abs() < 0.01, "{rate}");
}

#[test]
fn findings_are_reported_until_a_later_session_shows_them_gone() {
    let version = tokio::sync::watch::Sender::new(0);
    let board = edge_agent::health::StreamBoard::new("Playroom", Rid::high(), version);
    board.add_findings(vec![Kind::BFrames]);
    board.add_findings(vec![Kind::LongGop(Some(10))]);
    let texts: Vec<_> = board.findings().into_iter().map(|f| f.text).collect();
    assert_eq!(
        texts[0],
        "camera 'Playroom' (main stream) sends B-frames: turn off B-frames (or choose the Baseline profile) in its \
         encoder settings"
    );
    assert_eq!(texts.len(), 2);
    board.set_findings(Vec::new());
    assert_eq!(board.findings(), []);
}

#[test]
fn a_sub_stream_that_is_missing_or_silent_is_a_finding_of_the_camera() {
    let board = |sub: &str| {
        let text = format!(
            "signaling: https://s.example\ngrant: g\ncameras:\n  - {{id: 0190a1b2-0000-7000-8000-000000000001, name: \
             Gate, main: 'rtsp://10.0.0.5/main'{sub}}}\n"
        );
        let config = edge_agent::config::Config::from_yaml(&text).expect("sound");
        Board::new(&config.cameras)
    };
    let one = board("");
    assert_eq!(one.health()[0].findings[0].code, "no_sub_stream");
    let two = board(", sub: 'rtsp://10.0.0.5/sub'");
    assert_eq!(two.health()[0].findings, []);
    let id = two.health()[0].id;
    let camera = two.camera(id).expect("on the board");
    camera.stream(&Rid::high()).expect("main").set_state(StreamState::Online, None);
    camera.stream(&Rid::low()).expect("sub").set_state(StreamState::Unreachable, Some("the camera does not answer"));
    assert_eq!(two.health()[0].findings[0].code, "no_sub_stream");
}

proptest! {
    #[test]
    fn any_nal_unit_is_looked_at_without_harm(nal in prop::collection::vec(any::<u8>(), 0..200), kind in 0usize..4) {
        let nal = [&[0x67, 0x42, 0x01, 0x65][kind..kind + 1], &nal].concat();
        let _ = (h264::sps(&nal), h264::is_b_slice(&nal), h265::sps(&nal));
        let mut survey = Survey::new(Codec::H264);
        survey.picture([&nal[..]], None);
    }
}
