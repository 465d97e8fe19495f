//! What was sent to a viewer, and what its feedback says of the way there.
#![allow(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]

use sfu_core::Ssrc;
use sfu_core::arrivals::Report;
use sfu_core::departures::{Arriving, Departures};
use sfu_core::rtcp;
use sfu_core::transport_feedback::TransportFeedback;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);
/// Bytes of a packet.
const PACKET: u32 = 1000;
/// Ticks in a millisecond.
const TICKS: i64 = 4;

/// Somebody who is sent frames, each a few packets, and tells when they came.
struct Way {
    departures: Departures,
    began: Instant,
    ms: u64,
    /// By how much its clock is ahead, in ticks.
    clock: i64,
    /// Numbers that were not told of, and when their packets came; in ticks.
    untold: Vec<(u16, Option<i64>)>,
}

impl Way {
    fn new() -> Self {
        let began = Instant::now();
        Self { departures: Departures::new(began), began, ms: 0, clock: 77_777, untold: Vec::new() }
    }

    fn now(&self) -> Instant {
        self.began + MS * self.ms as u32
    }

    /// A frame leaves, and what `came` of each packet by its delay in milliseconds; 40 ms pass.
    fn frame(&mut self, packets: u16, delay: impl Fn(u16) -> Option<u64>) {
        let first = self.departures.next();
        self.departures.leave(self.now(), packets, u32::from(packets) * PACKET);
        for n in 0..packets {
            let came = delay(n).map(|delay| TICKS * (self.ms + delay) as i64 + self.clock);
            self.untold.push((first.wrapping_add(n), came));
        }
        self.ms += 40;
    }

    /// So many frames of four packets, all with this delay; told every third frame.
    fn frames(&mut self, frames: u64, delay: impl Fn(u64) -> u64) -> Option<Arriving> {
        let mut last = None;
        for n in 0..frames {
            self.frame(4, |_| Some(delay(n)));
            if n % 3 == 2 {
                last = self.tell().or(last);
            }
        }
        self.tell().or(last)
    }

    fn tell(&mut self) -> Option<Arriving> {
        let told = std::mem::take(&mut self.untold);
        self.tell_of(&told)
    }

    fn tell_of(&mut self, told: &[(u16, Option<i64>)]) -> Option<Arriving> {
        let first = told.iter().find_map(|(_, came)| *came)?;
        let reference = first.div_euclid(256);
        let mut last = reference * 256;
        let mut delta =
            |came: &(u16, Option<i64>)| came.1.map(|came| (came - std::mem::replace(&mut last, came)) as i16);
        let deltas = told.iter().map(&mut delta).collect();
        let report = Report { base: told[0].0, reference: reference.rem_euclid(1 << 24) as u32, count: 0, deltas };
        let packet = rtcp::arrivals(Ssrc(1), Ssrc(2), &report);
        self.departures.hear(TransportFeedback::read(&packet).expect("feedback"))
    }
}

/// Of four packets each 40 ms, in bit/s.
const RATE: u64 = 800_000;

fn is_near(rate: u64, expected: u64) -> bool {
    rate.abs_diff(expected) <= expected / 5
}

#[test]
fn a_way_without_a_queue_shows_what_arrives() {
    let mut way = Way::new();
    let seen = way.frames(60, |_| 25).expect("news");
    assert!(is_near(seen.rate, RATE) && is_near(seen.newer_rate, RATE), "{seen:?}");
    assert_eq!((seen.queue, seen.older_queue, seen.last_queue), (Duration::ZERO, Duration::ZERO, Duration::ZERO));
    assert_eq!(seen.through_queue, None);
}

#[test]
fn a_queue_that_grows_is_longer_in_the_newer_half_and_lets_less_through() {
    let mut way = Way::new();
    way.frames(60, |_| 25);
    // Each frame takes 80 ms to get through, twice as long as there is to the next.
    let seen = way.frames(15, |n| 25 + 40 * n).expect("news");
    assert!(seen.older_queue > MS * 50 && seen.queue > seen.older_queue + MS * 100, "{seen:?}");
    assert!(seen.last_queue > seen.queue, "{seen:?}");
    assert!(is_near(seen.newer_rate, RATE / 2), "{seen:?}");
    assert!(seen.through_queue.is_some_and(|rate| is_near(rate, RATE / 2)), "{seen:?}");
}

#[test]
fn numbers_and_clocks_begin_anew_and_nothing_changes() {
    let mut way = Way::new();
    // The far clock is about to pass 2^32 ticks.
    way.clock = (1 << 32) - 10_000;
    for _ in 0..300 {
        let seen = way.frames(60, |_| 25).expect("news");
        assert!(is_near(seen.rate, RATE) && seen.queue.is_zero() && seen.last_queue.is_zero(), "{seen:?}");
    }
    assert!(way.untold.is_empty() && way.ms > 700_000, "72,000 packets");
}

#[test]
fn a_longer_way_is_a_queue_at_first_and_the_way_as_it_is_after_twenty_seconds() {
    let mut way = Way::new();
    way.frames(60, |_| 25);
    assert_eq!(way.frames(60, |_| 125).expect("news").queue, MS * 100);
    assert_eq!(way.frames(600, |_| 125).expect("news").queue, Duration::ZERO);
}

#[test]
fn another_clock_is_no_queue() {
    for jump in [1 << 28, -(1 << 28)] {
        let mut way = Way::new();
        way.frames(60, |_| 25);
        way.clock += jump;
        let seen = way.frames(60, |_| 25).expect("news");
        assert!(seen.queue.is_zero() && is_near(seen.rate, RATE), "{jump}: {seen:?}");
    }
}

#[test]
fn a_viewer_that_moved_has_another_way() {
    let mut way = Way::new();
    way.frames(60, |_| 25);
    way.departures.moved();
    let seen = way.frames(60, |_| 300).expect("news");
    assert!(seen.queue.is_zero() && is_near(seen.rate, RATE), "{seen:?}");
}

#[test]
fn each_packet_counts_once_and_those_that_were_not_sent_never() {
    let mut way = Way::new();
    way.frames(60, |_| 25);
    for _ in 0..15 {
        way.frame(4, |_| Some(25));
        let told = std::mem::take(&mut way.untold);
        assert!(way.tell_of(&told).is_some());
        for _ in 0..50 {
            assert_eq!(way.tell_of(&told), None, "it was told before");
        }
        let next = way.departures.next();
        let came = told[0].1;
        assert_eq!(way.tell_of(&[(next, came), (next.wrapping_add(20_000), came)]), None, "nobody sent it");
    }
    let seen = way.frames(3, |_| 25).expect("news");
    assert!(is_near(seen.rate, RATE), "{seen:?}");
}

#[test]
fn what_is_lost_does_not_arrive() {
    let mut way = Way::new();
    for n in 0..60 {
        way.frame(4, |packet| (packet % 2 == 0).then_some(25));
        if n % 3 == 2 {
            way.tell();
        }
    }
    let seen = way.frames(1, |_| 25).expect("news");
    assert!(is_near(seen.rate, RATE / 2), "{seen:?}");
}

#[test]
fn whoever_tells_nothing_costs_no_more_than_what_is_kept() {
    let mut way = Way::new();
    for _ in 0..100_000 {
        way.frame(4, |_| None);
    }
    way.untold.clear();
    let seen = way.frames(60, |_| 25).expect("news");
    assert!(is_near(seen.rate, RATE), "{seen:?}");
}
