//! A camera's sound on its way: one stream's at a time, in packets that fit, on a clock that goes on.

use bytes::Bytes;
use edge_agent::{
    packetize::MAX_PAYLOAD,
    sound::{Codec, Packet, Recorder, SoundFeed},
    synthetic::beep,
};
use std::time::Duration;

fn packet(stream: usize, ticks: u64) -> Packet {
    Packet { codec: Codec::Pcma, payload: Bytes::from_static(&[0xd5; 160]), ticks, captured_micros: 0, stream }
}

#[tokio::test]
async fn the_larger_streams_sound_is_let_through_when_both_have_it() {
    let feed = SoundFeed::default();
    assert!(!feed.is_heard());
    let mut listener = feed.listen();
    assert!(feed.is_heard());
    feed.push(packet(1, 1));
    feed.push(packet(0, 2));
    feed.push(packet(1, 3));
    feed.push(packet(0, 4));
    for expected in [1, 2, 4] {
        assert_eq!(listener.next().await.expect("lives").ticks, expected);
    }
}

#[test]
fn long_g711_is_split_and_keeps_its_time() {
    let mut recorder = Recorder::new(Codec::Pcmu, 0);
    let payload = Bytes::from((0..3000u32).map(|i| i as u8).collect::<Vec<_>>());
    let parts = recorder.record(&payload, 0, Duration::from_secs(1), 10_000_000, |by_arrival| by_arrival);
    assert_eq!(parts.iter().map(|p| p.payload.len()).collect::<Vec<_>>(), [MAX_PAYLOAD, MAX_PAYLOAD, 680]);
    assert_eq!(parts.iter().flat_map(|p| p.payload.to_vec()).collect::<Vec<_>>(), payload);
    assert_eq!(parts[1].ticks - parts[0].ticks, MAX_PAYLOAD as u64);
    // 3000 samples last 375 ms, and arrive when they are over.
    assert_eq!(parts[0].captured_micros, 10_000_000 - 375_000);
    assert_eq!(parts[2].captured_micros - parts[0].captured_micros, 2 * MAX_PAYLOAD as u64 * 125);
}

#[test]
fn a_clock_that_jumps_becomes_the_time_that_passed() {
    let mut recorder = Recorder::new(Codec::Pcma, 0);
    let payload = Bytes::from_static(&[0xd5; 160]);
    let mut at = |camera: u32, millis: u64| {
        recorder.record(&payload, camera, Duration::from_millis(millis), millis * 1000, |a| a).remove(0).ticks
    };
    let first = at(1_000_000, 1000);
    assert_eq!(at(1_000_160, 1020), first + 160);
    assert_eq!(at(1_000_160 + 3600 * 8000, 1040), first + 320, "an hour on");
    assert_eq!(at(0, 1060), first + 480, "to zero");
    assert_eq!(at(160, 1080), first + 640);
}

#[test]
fn an_opus_packet_that_does_not_fit_is_left_out() {
    let mut recorder = Recorder::new(Codec::Opus, 0);
    let long = Bytes::from(vec![0; MAX_PAYLOAD + 1]);
    assert!(recorder.record(&long, 0, Duration::ZERO, 0, |a| a).is_empty());
    assert!(recorder.record(&Bytes::new(), 0, Duration::ZERO, 0, |a| a).is_empty());
}

#[test]
fn only_what_browsers_play_is_passed_on() {
    let mono = std::num::NonZeroU16::new(1);
    let stereo = std::num::NonZeroU16::new(2);
    for (name, rate, channels, expected) in [
        ("pcma", 8000, None, Some(Codec::Pcma)),
        ("PCMU", 8000, mono, Some(Codec::Pcmu)),
        ("pcma", 16_000, mono, None),
        ("pcma", 8000, stereo, None),
        ("opus", 48_000, stereo, Some(Codec::Opus)),
        ("mpeg4-generic", 16_000, mono, None),
    ] {
        assert_eq!(Codec::of_rtp(name, rate, channels), expected, "{name}/{rate}");
    }
}

/// An A-law byte as a sample of 16 bits (ITU-T G.711, table 1a).
fn linear(a_law: u8) -> i32 {
    let inverted = a_law ^ 0x55;
    let (segment, step) = (i32::from(inverted >> 4 & 7), i32::from(inverted & 15));
    let magnitude = if segment == 0 { step * 16 + 8 } else { (step * 16 + 264) << (segment - 1) };
    if inverted & 0x80 == 0 { -magnitude } else { magnitude }
}

#[test]
fn the_synthetic_beep_is_440_hertz_and_the_rest_is_silence() {
    assert!(beep::payload(5).iter().chain(&beep::payload(49)).all(|b| linear(*b).abs() <= 8));
    for number in 0..5 {
        for (i, byte) in beep::payload(number).iter().enumerate() {
            let at = (number * 160) as f64 + i as f64;
            let expected = 2500.0 * (std::f64::consts::TAU * 440.0 * at / 8000.0).sin();
            let error = (f64::from(linear(*byte)) - expected).abs();
            assert!(error <= 16.0 + expected.abs() / 16.0, "{expected} became {}", linear(*byte));
        }
    }
}
