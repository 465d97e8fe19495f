//! One incoming stream: extended sequence numbers, what is reported of it, and what is asked for again.

use proptest::prelude::*;
use sfu_core::ClockPair;
use sfu_core::source::{MAX_ASKS, MAX_MISSING, Received, Source};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
fn start() -> Instant {
    Instant::now()
}

const CYCLE: u64 = 65_536;
const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A source that got these, all at one instant.
fn received(sequences: impl IntoIterator<Item = u16>) -> (Source, Instant) {
    let now = start();
    let mut source = Source::default();
    for sequence in sequences {
        source.receive(now, now, sequence, 0, 90_000);
    }
    (source, now)
}

#[test]
fn sequence_numbers_are_extended_over_the_roll_over() {
    use Received::{InOrder, Late, Restarted};
    let now = start();
    let mut source = Source::default();
    for (sequence, expected) in [
        (65_533, Restarted(CYCLE + 65_533)),
        (65_534, InOrder(CYCLE + 65_534)),
        (1, InOrder(2 * CYCLE + 1)),
        (65_535, Late(CYCLE + 65_535)),
        (0, Late(2 * CYCLE)),
        (1, Late(2 * CYCLE + 1)),
        (2, InOrder(2 * CYCLE + 2)),
        (65_532, Late(CYCLE + 65_532)),
        (3002, InOrder(2 * CYCLE + 3002)),
    ] {
        assert_eq!(source.receive(now, now, sequence, 0, 90_000), expected, "{sequence}");
    }
}

#[test]
fn packets_from_before_the_first_have_a_place() {
    let now = start();
    let mut source = Source::default();
    assert_eq!(source.receive(now, now, 0, 0, 90_000), Received::Restarted(CYCLE));
    assert_eq!(source.receive(now, now, 65_535, 0, 90_000), Received::Late(CYCLE - 1));
}

#[test]
fn a_jump_is_a_new_start_and_its_numbers_are_new() {
    for (to, restarts) in
        [(1000 + 3000, false), (1000 + 3001, true), (1000 + 0x7fff, true), (1000 + 0x8000, true), (60_000, true)]
    {
        let (mut source, now) = received([1000]);
        match source.receive(now, now, to, 0, 90_000) {
            Received::Restarted(n) => {
                assert!(restarts, "{to}");
                assert!(n > CYCLE + 1000 + 3000, "{to}: {n} was given before");
                assert_eq!(n as u16, to);
                assert!(source.nack(now).is_empty(), "what was before is not asked for");
                let report = source.reception(now).expect("a packet came");
                assert_eq!((report.total_lost, report.fraction_lost), (0, 0));
            }
            other => assert!(!restarts, "{to}: {other:?}"),
        }
    }
    let (mut source, now) = received([10_000]);
    assert!(matches!(source.receive(now, now, 7_000, 0, 90_000), Received::Late(_)));
    assert!(matches!(source.receive(now, now, 6_999, 0, 90_000), Received::Restarted(_)));
}

#[test]
fn there_is_no_report_before_the_first_packet() {
    assert_eq!(Source::default().reception(start()), None);
}

#[test]
fn losses_are_counted_as_rfc_3550_says() {
    // Rounds of packets, and after each the fraction and the total.
    type Round = (&'static [u16], u8, u32);
    let tables: &[(&str, &[Round])] = &[
        ("nothing lost", &[(&[1, 2, 3, 4], 0, 0), (&[5, 6], 0, 0)]),
        ("one of four", &[(&[1, 2, 4], 64, 1), (&[5, 6, 7, 8], 0, 1)]),
        ("all but the ends", &[(&[1, 10], 204, 8)]),
        ("nothing came since", &[(&[1, 2, 4], 64, 1), (&[], 0, 1)]),
        ("late in the next round", &[(&[1, 2, 4], 64, 1), (&[3, 5], 0, 0)]),
        ("a duplicate counts as received", &[(&[1, 1, 3], 0, 0), (&[4, 6], 85, 1)]),
        ("duplicates do not go below nothing", &[(&[1, 1, 1, 2], 0, 0)]),
        ("duplicates of one round hide no loss of the next", &[(&[1, 2, 2, 2, 2, 2], 0, 0), (&[3, 6], 128, 0)]),
        ("over the roll-over", &[(&[65_534, 65_535, 1], 64, 1)]),
    ];
    for (name, rounds) in tables {
        let (mut source, now) = received([]);
        for (sequences, fraction, total) in *rounds {
            for sequence in *sequences {
                source.receive(now, now, *sequence, 0, 90_000);
            }
            let report = source.reception(now).expect("a packet came");
            assert_eq!((report.fraction_lost, report.total_lost), (*fraction, *total), "{name}: {sequences:?}");
        }
    }
}

#[test]
fn jitter_is_estimated_as_rfc_3550_says() {
    // (arrival in ms, timestamp, jitter afterwards)
    let start = start();
    let mut source = Source::default();
    for (arrival, time, jitter) in [
        (0, 1_000, 0),
        (40, 4_600, 0),
        (50, 4_600, 56),      // 900 / 16 = 56.25
        (90, 8_200, 52),      // in time: 56.25 * 15/16 = 52.7
        (120, 11_800, 105),   // 10 ms early: 52.7 * 15/16 + 56.25 = 105.7
        (3_000, 15_400, 105), // nearly 3 s late is a pause, no jitter
    ] {
        source.receive(start + ms(arrival), start, arrival as u16, time, 90_000);
        let found = source.reception(start).expect("a packet came").jitter;
        assert_eq!(found, jitter, "at {arrival} ms");
    }
}

#[test]
fn a_timestamp_that_wraps_is_no_jitter() {
    let start = start();
    let mut source = Source::default();
    for n in 0..10u32 {
        source.receive(
            start + ms(40 * u64::from(n)),
            start,
            n as u16,
            (u32::MAX - 9_000).wrapping_add(n * 3_600),
            90_000,
        );
    }
    assert_eq!(source.reception(start).expect("a packet came").jitter, 0);
}

#[test]
fn a_report_names_the_last_sender_report_and_how_long_ago_it_came() {
    let (mut source, now) = received([7]);
    let report = source.reception(now).expect("a packet came");
    assert_eq!((report.last_report, report.delay), (0, 0));
    source.sender_report(now, ClockPair { ntp: 0x1122_3344_5566_7788, rtp: 1 });
    let report = source.reception(now + ms(1500)).expect("a packet came");
    assert_eq!((report.last_report, report.delay), (0x3344_5566, 65_536 * 3 / 2));
    assert_eq!(report.highest as u16, 7);
}

#[test]
fn a_missing_packet_is_asked_for_every_60_ms_and_no_more_than_so_often() {
    let (mut source, now) = received([1, 3]);
    let mut asked = Vec::new();
    for at in 0..1000 {
        for sequence in source.nack(now + ms(at)) {
            asked.push((at, sequence));
        }
    }
    assert_eq!(asked, [(0, 2), (60, 2), (120, 2), (180, 2)]);
    assert_eq!(asked.len(), usize::from(MAX_ASKS));
}

#[test]
fn a_packet_that_came_is_not_asked_for_again() {
    let (mut source, now) = received([65_533, 2]);
    assert_eq!(source.nack(now), [65_534, 65_535, 0, 1]);
    source.receive(now, now, 65_535, 0, 90_000);
    source.receive(now, now, 1, 0, 90_000);
    assert_eq!(source.nack(now + ms(60)), [65_534, 0]);
    source.receive(now, now, 5, 0, 90_000);
    assert_eq!(source.nack(now + ms(61)), [3, 4], "each has its own schedule");
}

#[test]
fn of_a_large_hole_the_newest_packets_are_asked_for() {
    let (mut source, now) = received([0, 1001]);
    let asked = source.nack(now);
    assert_eq!(asked.len(), MAX_MISSING);
    assert_eq!(asked.last(), Some(&1000));
    assert_eq!(asked.first(), Some(&(1001 - MAX_MISSING as u16)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_packet_gets_its_own_number_back(
        first in any::<u16>(),
        steps in proptest::collection::vec((-40i64..60, 0..100u64), 1..400),
    ) {
        let start = start();
        let mut source = Source::default();
        let mut now = start;
        // True numbers, told to the source as 16 bits.
        let mut highest = CYCLE as i64 + i64::from(first);
        source.receive(now, start, first, 0, 90_000);
        let base = highest;
        let mut asks: BTreeMap<u16, Vec<Instant>> = BTreeMap::new();
        for (step, wait) in steps {
            now += ms(wait);
            let number = (highest + step).max(base);
            let expected = if number > highest {
                Received::InOrder(number as u64)
            } else {
                Received::Late(number as u64)
            };
            prop_assert_eq!(source.receive(now, start, number as u16, 0, 90_000), expected);
            asks.remove(&(number as u16));
            highest = highest.max(number);
            let due = source.nack(now);
            prop_assert!(due.len() <= MAX_MISSING);
            for sequence in due {
                prop_assert!(sequence != number as u16, "it just came");
                let before = asks.entry(sequence).or_default();
                prop_assert!(before.last().is_none_or(|at| now - *at >= ms(60)));
                before.push(now);
                prop_assert!(before.len() <= usize::from(MAX_ASKS));
            }
            let report = source.reception(now).expect("a packet came");
            prop_assert_eq!(u64::from(report.highest), highest as u64);
            prop_assert!(i64::from(report.total_lost) <= highest - base);
        }
    }

    #[test]
    fn no_stream_is_too_odd(packets in proptest::collection::vec((any::<u16>(), any::<u32>(), 0..100u64), 1..300)) {
        let start = start();
        let mut source = Source::default();
        let mut now = start;
        let mut newest = 0;
        for (sequence, time, wait) in packets {
            now += ms(wait);
            match source.receive(now, start, sequence, time, 90_000) {
                Received::InOrder(n) | Received::Restarted(n) => {
                    prop_assert!(n > newest, "{} after {}", n, newest);
                    newest = n;
                }
                Received::Late(n) => prop_assert!(n <= newest),
            }
            source.nack(now);
            source.reception(now);
        }
    }
}
