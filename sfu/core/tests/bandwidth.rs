//! What a viewer's network carries, by what its receiver says and by probes.
#![allow(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]

use sfu_core::bandwidth::{Bandwidth, Estimation};
use sfu_core::departures::Arriving;
use std::time::{Duration, Instant};

const REPORT: Duration = Duration::from_millis(400);
const MEGABIT: u64 = 1_000_000;

/// A viewer that is sent so much, and whose receiver reports.
struct Viewer {
    bandwidth: Bandwidth,
    now: Instant,
    sent: u64,
}

impl Viewer {
    fn new() -> Self {
        Self { bandwidth: Bandwidth::new(Estimation::Remb), now: Instant::now(), sent: 0 }
    }

    /// One whose receiver tells when packets come.
    fn telling() -> Self {
        Self { bandwidth: Bandwidth::new(Estimation::Twcc), ..Self::new() }
    }

    /// Sends `rate` bit/s for so long, and what a probe needs beside it; each 100 ms it is told that `through` bit/s
    /// arrive, with a queue that is `ms` at first and grows by `growth` ms each time.
    fn arriving(&mut self, rate: u64, time: Duration, through: impl Fn(u64) -> u64, [ms, growth]: [u64; 2]) {
        let mut queue = ms;
        for _ in 0..time.as_millis() / 100 {
            let before = self.sent;
            for _ in 0..5 {
                self.now += Duration::from_millis(20);
                self.sent += rate / 8 / 50;
                self.sent += self.bandwidth.padding(self.now, self.sent);
            }
            let arrives = through(80 * (self.sent - before));
            let ago = |hundreds: u64| Duration::from_millis(queue.saturating_sub(hundreds * growth));
            let arriving = Arriving {
                rate: arrives,
                newer_rate: arrives,
                older_queue: ago(4),
                queue: ago(1),
                last_queue: ago(0),
                through_queue: (queue > 50).then_some(arrives),
            };
            self.bandwidth.arrived(self.now, self.sent, arriving);
            queue += growth;
        }
    }

    /// Sends `rate` bit/s, and what a probe needs beside it, until the next report.
    fn send(&mut self, rate: u64) {
        for _ in 0..REPORT.as_millis() / 20 {
            self.now += Duration::from_millis(20);
            self.sent += rate / 8 / 50;
            self.sent += self.bandwidth.padding(self.now, self.sent);
        }
    }

    /// The same, and then a report.
    fn report(&mut self, rate: u64, estimate: u64) {
        self.send(rate);
        self.bandwidth.estimate(self.now, self.sent, estimate);
    }

    /// A round trip of `ms` is measured so much `later`, in milliseconds.
    fn way(&mut self, later: u64, ms: u64) {
        self.now += Duration::from_millis(later);
        self.bandwidth.round_trip(self.now, self.sent, Duration::from_millis(ms));
    }

    /// Sends `rate` for so many reports, each an estimate a little larger than the one before.
    fn rising(&mut self, rate: u64, from: u64, reports: u64) -> u64 {
        for n in 0..reports {
            self.report(rate, from + n * from / 50);
        }
        from + (reports - 1) * from / 50
    }
}

#[test]
fn a_receiver_that_gives_no_estimate_sets_no_limit() {
    let mut viewer = Viewer::new();
    assert_eq!(viewer.bandwidth.rate(), 5 * MEGABIT, "until it should have given one");
    viewer.send(MEGABIT);
    viewer.bandwidth.visit(viewer.now, viewer.sent);
    viewer.bandwidth.visit(viewer.now + Duration::from_secs(9), viewer.sent);
    assert_eq!(viewer.bandwidth.rate(), u64::MAX);
}

#[test]
fn an_estimate_that_only_follows_what_is_sent_is_no_limit() {
    let mut viewer = Viewer::new();
    viewer.rising(MEGABIT / 2, 600_000, 20);
    assert_eq!(viewer.bandwidth.rate(), 5 * MEGABIT);
    assert!(!viewer.bandwidth.is_limited());
}

#[test]
fn a_clear_fall_is_acted_on_at_once() {
    let mut viewer = Viewer::new();
    viewer.rising(2 * MEGABIT, 3 * MEGABIT, 5);
    viewer.report(2 * MEGABIT, 510_000);
    assert_eq!(viewer.bandwidth.rate(), 510_000);
    assert!(viewer.bandwidth.is_limited());
}

#[test]
fn one_fall_that_is_not_deep_is_a_moment_of_jitter_until_another_follows() {
    for follows in [false, true] {
        let mut viewer = Viewer::new();
        viewer.rising(2 * MEGABIT, 3 * MEGABIT, 5);
        viewer.report(2 * MEGABIT, 1_400_000);
        assert!(!viewer.bandwidth.is_limited());
        viewer.report(2 * MEGABIT, if follows { 1_100_000 } else { 1_420_000 });
        assert_eq!(viewer.bandwidth.is_limited(), follows);
    }
}

#[test]
fn what_flows_keeps_the_benefit_of_the_doubt_for_one_deep_fall() {
    let mut viewer = Viewer::new();
    viewer.rising(2 * MEGABIT, 3 * MEGABIT, 5);
    viewer.report(2 * MEGABIT, 900_000);
    assert_eq!((viewer.bandwidth.rate(), viewer.bandwidth.benefit_of_doubt(viewer.now)), (900_000, 5 * MEGABIT));
    let mut sure = Viewer { bandwidth: viewer.bandwidth, ..viewer };
    for n in 1..6 {
        viewer.report(1_500_000, 900_000 + n * 10_000);
    }
    assert!(viewer.bandwidth.rate().abs_diff(1_500_000) < 50_000, "what flows is carried: {}", viewer.bandwidth.rate());
    sure.report(1_500_000, 700_000);
    assert_eq!((sure.bandwidth.rate(), sure.bandwidth.benefit_of_doubt(sure.now)), (700_000, 700_000));
}

#[test]
fn what_arrives_between_two_keyframes_is_no_limit() {
    let mut viewer = Viewer::new();
    let quiet = |viewer: &mut Viewer, estimate: u64| {
        // A GOP of 4 s: most of it is its keyframe.
        viewer.sent += 60_000;
        for _ in 0..9 {
            viewer.send(150_000);
            viewer.bandwidth.visit(viewer.now, viewer.sent);
        }
        viewer.report(150_000, estimate);
    };
    for estimate in [150_000, 190_000, 225_000, 128_000] {
        quiet(&mut viewer, estimate);
        assert!(!viewer.bandwidth.is_limited(), "{estimate}");
    }
}

#[test]
fn a_first_estimate_that_comes_early_is_a_fall_where_enough_is_sent() {
    for (rate, is_fall) in [(2 * MEGABIT, true), (400_000, false)] {
        let mut viewer = Viewer::new();
        for _ in 0..4 {
            viewer.send(rate);
            viewer.bandwidth.visit(viewer.now, viewer.sent);
        }
        viewer.report(rate, rate / 4);
        assert_eq!(viewer.bandwidth.is_limited(), is_fall, "{rate} bit/s");
    }
}

#[test]
fn a_small_fall_is_no_limit_and_many_are() {
    let mut viewer = Viewer::new();
    let last = viewer.rising(2 * MEGABIT, 2_500_000, 5);
    viewer.report(2 * MEGABIT, 1_700_000);
    for _ in 0..5 {
        viewer.report(2 * MEGABIT, 1_700_000);
    }
    assert_eq!(viewer.bandwidth.rate(), 5 * MEGABIT, "after {last}");
    for estimate in [1_650_000, 1_550_000, 1_450_000, 1_350_000] {
        viewer.report(2 * MEGABIT, estimate);
    }
    assert_eq!(viewer.bandwidth.rate(), 1_350_000);
}

#[test]
fn falls_of_an_estimate_far_below_what_is_sent_are_a_limit_when_they_add_up() {
    let mut viewer = Viewer::new();
    viewer.rising(2 * MEGABIT, 900_000, 5);
    viewer.report(2 * MEGABIT, 930_000);
    assert_eq!(viewer.bandwidth.rate(), 5 * MEGABIT);
    for estimate in [880_000, 830_000, 770_000] {
        viewer.report(2 * MEGABIT, estimate);
    }
    assert_eq!(viewer.bandwidth.rate(), 770_000);
    viewer.report(500_000, 520_000);
    assert_eq!(viewer.bandwidth.rate(), 520_000, "what follows a fall at once belongs to it");
}

#[test]
fn a_way_that_stays_much_longer_is_a_limit_and_a_moment_of_it_is_none() {
    let mut viewer = Viewer::new();
    viewer.rising(2 * MEGABIT, 3 * MEGABIT, 5);
    viewer.way(0, 40);
    viewer.way(1000, 400);
    viewer.way(1000, 45);
    viewer.way(1000, 400);
    assert!(!viewer.bandwidth.is_limited());
    viewer.rising(2 * MEGABIT, 3 * MEGABIT, 3);
    viewer.way(0, 420);
    assert!((1_200_000..1_600_000).contains(&viewer.bandwidth.rate()), "{}", viewer.bandwidth.rate());
}

#[test]
fn a_rate_rises_by_probes_alone_and_each_step_has_to_be_confirmed() {
    let mut viewer = Viewer::new();
    viewer.rising(2 * MEGABIT, 3 * MEGABIT, 5);
    viewer.report(2 * MEGABIT, 510_000);
    viewer.bandwidth.aim(Some(2_300_000));
    let estimate = viewer.rising(450_000, 520_000, 7);
    assert_eq!(viewer.bandwidth.rate(), 510_000, "nothing is tried for 3 s");
    let mut rates = Vec::new();
    for n in 1..20 {
        viewer.report(450_000, estimate + n * 20_000);
        rates.push(viewer.bandwidth.rate());
    }
    let steps: Vec<u64> = rates.windows(2).filter(|pair| pair[0] != pair[1]).map(|pair| pair[1]).collect();
    assert!(steps.len() >= 4, "{steps:?}");
    assert!(steps.windows(2).all(|pair| pair[0] < pair[1] && pair[1] <= pair[0] * 8 / 5), "{steps:?}");
    assert!(viewer.bandwidth.rate().abs_diff(2_300_000) < 120_000, "{steps:?}");
    assert!(!viewer.bandwidth.is_probing(), "it has reached what was wanted");
}

#[test]
fn a_probe_ends_at_the_first_sign_of_a_queue_and_the_next_one_waits_longer() {
    for sign in ["a fall", "silence", "no rise", "a longer way"] {
        let mut viewer = Viewer::new();
        viewer.rising(2 * MEGABIT, 3 * MEGABIT, 5);
        viewer.report(2 * MEGABIT, 510_000);
        viewer.way(0, 40);
        viewer.bandwidth.aim(Some(2_300_000));
        let mut estimate = 510_000;
        let mut begins = |viewer: &mut Viewer| {
            let since = viewer.now;
            while !viewer.bandwidth.is_probing() {
                estimate += 5_000;
                viewer.report(450_000, estimate);
                assert!(viewer.now < since + Duration::from_secs(20), "no probe");
            }
            (viewer.now - since, estimate)
        };
        let (first, at) = begins(&mut viewer);
        match sign {
            "a fall" => viewer.report(450_000, at - 10_000),
            "silence" => (0..4).for_each(|_| viewer.send(450_000)),
            "no rise" => (0..5).for_each(|_| viewer.report(450_000, at)),
            _ => viewer.way(200, 140),
        }
        assert!(!viewer.bandwidth.is_probing(), "{sign}");
        assert!(viewer.bandwidth.rate() <= at, "{sign}");
        let (second, _) = begins(&mut viewer);
        assert!(second > first + Duration::from_secs(1), "{sign}: {first:?}, then {second:?}");
    }
}

#[test]
fn heavy_loss_lowers_the_rate_once_for_a_time_and_light_loss_does_not() {
    let mut viewer = Viewer::new();
    viewer.rising(2 * MEGABIT, 3 * MEGABIT, 5);
    for _ in 0..20 {
        viewer.send(2 * MEGABIT);
        viewer.bandwidth.loss(viewer.now, viewer.sent, 13);
    }
    assert!(!viewer.bandwidth.is_limited(), "5 % are a poor network, not a small one");
    viewer.bandwidth.loss(viewer.now, viewer.sent, 128);
    let once = viewer.bandwidth.rate();
    assert!((1_400_000..1_900_000).contains(&once), "{once}");
    viewer.bandwidth.loss(viewer.now, viewer.sent, 128);
    assert_eq!(viewer.bandwidth.rate(), once);
}

/// All that is sent.
fn whole(sent: u64) -> u64 {
    sent
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn packets_that_come_without_a_queue_set_no_limit() {
    let mut viewer = Viewer::telling();
    viewer.arriving(6 * MEGABIT, 5 * SECOND, whole, [0, 0]);
    assert!(!viewer.bandwidth.is_limited());
    assert!(viewer.bandwidth.rate().abs_diff(6 * MEGABIT) < 100_000, "what arrives is carried");
}

#[test]
fn a_queue_that_grows_limits_the_rate_to_a_little_less_than_what_comes_through_it() {
    let mut viewer = Viewer::telling();
    viewer.arriving(2 * MEGABIT, 5 * SECOND, whole, [0, 0]);
    // Little is missing, so it takes a while to show.
    viewer.arriving(2 * MEGABIT, 2 * SECOND, |_| 1_800_000, [0, 11]);
    assert_eq!(viewer.bandwidth.rate(), 1_620_000);
}

#[test]
fn a_network_that_suddenly_carries_far_less_is_known_within_half_a_second() {
    let mut viewer = Viewer::telling();
    viewer.arriving(2 * MEGABIT, 5 * SECOND, whole, [0, 0]);
    viewer.arriving(2 * MEGABIT, SECOND / 2, |_| 600_000, [0, 70]);
    assert_eq!(viewer.bandwidth.rate(), 540_000);
}

#[test]
fn what_arrived_before_a_network_became_small_is_no_longer_carried() {
    let mut viewer = Viewer::telling();
    viewer.arriving(2 * MEGABIT, 5 * SECOND, whole, [0, 0]);
    let none = Duration::ZERO;
    let mut arriving = Arriving {
        rate: 1_500_000,
        newer_rate: 1_100_000,
        older_queue: none,
        queue: none,
        last_queue: Duration::from_millis(200),
        through_queue: Some(600_000),
    };
    viewer.bandwidth.arrived(viewer.now, viewer.sent, arriving);
    assert_eq!(viewer.bandwidth.rate(), 540_000);
    for last_queue in [Duration::from_millis(260), none] {
        arriving = Arriving { last_queue, through_queue: None, ..arriving };
        viewer.bandwidth.arrived(viewer.now + Duration::from_millis(60), viewer.sent, arriving);
        assert_eq!(viewer.bandwidth.rate(), 540_000, "{last_queue:?}");
    }
}

#[test]
fn a_queue_that_does_not_grow_is_no_limit() {
    let mut viewer = Viewer::telling();
    for queue in [0, 120, 60, 0] {
        viewer.arriving(2 * MEGABIT, 5 * SECOND, whole, [queue, 0]);
        assert!(!viewer.bandwidth.is_limited(), "{queue} ms");
    }
}

/// One whose network has shown that it carries 0.6 Mbit/s, until a probe is under way.
fn probing() -> Viewer {
    let mut viewer = Viewer::telling();
    viewer.arriving(2 * MEGABIT, 5 * SECOND, whole, [0, 0]);
    viewer.arriving(2 * MEGABIT, SECOND / 2, |_| 600_000, [0, 70]);
    viewer.bandwidth.aim(Some(2_300_000));
    let since = viewer.now;
    while !viewer.bandwidth.is_probing() {
        assert!(viewer.bandwidth.rate() < 600_000, "no step up without a probe");
        assert!(viewer.now < since + 10 * SECOND, "no probe");
        viewer.arriving(450_000, SECOND / 10, whole, [0, 0]);
    }
    assert!(viewer.now > since + 2 * SECOND);
    viewer
}

#[test]
fn steps_of_a_probe_count_as_soon_as_they_arrive_without_a_queue() {
    let mut viewer = probing();
    let since = viewer.now;
    let mut rates = vec![viewer.bandwidth.rate()];
    while viewer.bandwidth.is_probing() {
        viewer.arriving(450_000, SECOND / 10, whole, [0, 0]);
        rates.push(viewer.bandwidth.rate());
    }
    rates.dedup();
    assert!(
        rates.len() >= 4 && rates.windows(2).all(|pair| pair[0] < pair[1] && pair[1] <= pair[0] * 8 / 5),
        "{rates:?}"
    );
    assert!(viewer.bandwidth.rate().abs_diff(2_300_000) < 120_000, "{rates:?}");
    assert!(viewer.now < since + 4 * SECOND, "{:?}", viewer.now - since);
}

#[test]
fn a_step_that_queues_or_does_not_arrive_does_not_count() {
    for (through, queue) in [(whole as fn(u64) -> u64, [35, 30]), (|_| 450_000, [0, 0])] {
        let mut viewer = probing();
        let before = viewer.bandwidth.rate();
        let since = viewer.now;
        while viewer.bandwidth.is_probing() {
            viewer.arriving(450_000, SECOND / 10, through, queue);
        }
        assert!(viewer.now < since + 2 * SECOND, "{queue:?}");
        assert_eq!(viewer.bandwidth.rate(), before, "{queue:?}");
    }
}

#[test]
fn each_kind_of_evidence_is_for_those_who_give_it() {
    let mut viewer = Viewer::telling();
    viewer.rising(2 * MEGABIT, 3 * MEGABIT, 5);
    viewer.report(2 * MEGABIT, 100_000);
    assert!(!viewer.bandwidth.is_limited(), "an estimate of a receiver that was asked for none");
    let mut viewer = Viewer::new();
    viewer.arriving(2 * MEGABIT, 5 * SECOND, |_| 600_000, [0, 70]);
    assert!(!viewer.bandwidth.is_limited());
}
