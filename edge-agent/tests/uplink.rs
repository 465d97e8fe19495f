//! What the uplink is taken to carry, and what is sent over it: simulations in virtual time over a line with a queue,
//! seeded.
#![allow(clippy::print_stdout)] // a failed test tells its seed

use edge_agent::uplink::{Candidate, Estimator, Told, divide};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

const MS: Duration = Duration::from_millis(1);
/// The far clock is another one.
const FAR_MICROS: i64 = 77_000_000;
const PACKET: u32 = 1_200;
/// What probes the line leaves so often, in ms.
const PADDING_INTERVAL: usize = 5;

/// A line with a queue of at most 300 ms, and chance.
struct Line {
    bits: f64,
    free: Instant,
    way: Duration,
    /// In 1/1000.
    loss: u64,
    random: u64,
}

impl Line {
    /// When a packet arrives, if it does.
    fn take(&mut self, now: Instant, bytes: u32) -> Option<Instant> {
        let begins = self.free.max(now);
        if begins > now + 300 * MS || self.roll() % 1000 < self.loss {
            return None;
        }
        self.free = begins + Duration::from_secs_f64(8.0 * f64::from(bytes) / self.bits);
        Some(self.free + self.way)
    }

    /// Splitmix64.
    fn roll(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// One camera: its connection, and what it sends in each size.
struct Camera {
    way: u64,
    wanted: [bool; 2],
    sent: [bool; 2],
    /// Bits that are to be sent yet.
    due: f64,
    /// Since the last report: number, and when it came.
    told: VecDeque<(u16, Option<Instant>)>,
}

/// A site with cameras that have a small and a large picture each.
struct Site {
    now: Instant,
    began: Instant,
    estimator: Estimator,
    line: Line,
    cameras: Vec<Camera>,
    /// Of the small and the large pictures: bit/s, and frames per second.
    rates: [u64; 2],
    frames: [u64; 2],
    /// What was sent from when on: small and large pictures.
    log: Vec<(Duration, usize, usize)>,
}

const RATES: [u64; 2] = [540_000, 2_160_000];
/// Small pictures: frames per second, and packets of each.
const SMALL: [(u64, u64); 5] = [(15, 1), (15, 2), (25, 1), (25, 2), (25, 4)];

impl Site {
    fn new(cameras: usize, bits: f64, seed: u64) -> Self {
        println!("seed {seed}");
        let (now, mut estimator) = (Instant::now(), Estimator::default());
        let camera = |way| Camera { way, wanted: [false, true], sent: [false; 2], due: 0.0, told: VecDeque::new() };
        let cameras = (0..cameras).map(|_| camera(estimator.open(now))).collect();
        let line = Line { bits, free: now, way: 20 * MS, loss: 0, random: seed };
        Self { now, began: now, estimator, line, cameras, rates: RATES, frames: [25; 2], log: Vec::new() }
    }

    /// One camera whose large picture is of 4.5 Mbit/s, and whose small one takes so many packets for each of so many
    /// frames per second.
    fn of_little_traffic(bits: f64, (frames, packets): (u64, u64), seed: u64) -> Self {
        let small = 8 * u64::from(PACKET) * frames * packets;
        let mut site = Self { rates: [small, 4_500_000], frames: [frames, 25], ..Self::new(1, bits, seed) };
        site.cameras[0].wanted = [true, true];
        site
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += MS;
            let ms = (self.now - self.began).as_millis() as usize;
            for at in 0..self.cameras.len() {
                self.play(at, ms);
                // Reports at moments of each connection's own.
                if (ms + 23 * at).is_multiple_of(60) {
                    self.tell(at);
                }
            }
            if ms.is_multiple_of(100) {
                self.estimator.tick(self.now);
                self.regulate();
            }
        }
    }

    /// One frame in a hundred is ten times as large.
    fn play(&mut self, at: usize, ms: usize) {
        for size in (0..2).filter(|size| self.cameras[at].sent[*size]).collect::<Vec<_>>() {
            let interval = 1000 / self.frames[size] as usize;
            if (ms + 13 * at).is_multiple_of(interval) {
                let is_key = (ms / interval).is_multiple_of(100);
                let bits = self.rates[size] / self.frames[size];
                self.cameras[at].due += bits as f64 * if is_key { 10.0 } else { 0.91 };
            }
        }
        let packet = 8.0 * f64::from(PACKET);
        while self.cameras[at].due >= packet && self.estimator.pace(self.now, 0) <= self.now {
            self.estimator.pace(self.now, PACKET as usize);
            self.cameras[at].due -= packet;
            self.send(at);
        }
        if ms.is_multiple_of(PADDING_INTERVAL) {
            for _ in 0..self.estimator.padding(self.now) / u64::from(PACKET) {
                self.send(at);
            }
        }
    }

    fn send(&mut self, at: usize) {
        let number = self.estimator.send(self.now, self.cameras[at].way, PACKET);
        let came = self.line.take(self.now, PACKET);
        self.cameras[at].told.push_back((number, came));
    }

    /// What has come by now, and what was lost before it.
    fn tell(&mut self, at: usize) {
        let (now, began) = (self.now - self.line.way, self.began);
        let told = &mut self.cameras[at].told;
        let Some(last) = told.iter().rposition(|(_, came)| came.is_some_and(|came| came <= now)) else { return };
        let far = |came: Instant| (came - began).as_micros() as i64 + FAR_MICROS;
        let told: Vec<_> = told.drain(..=last).map(|(number, came)| Told { number, came: came.map(far) }).collect();
        self.estimator.hear(self.now, self.cameras[at].way, told);
    }

    fn regulate(&mut self) {
        let candidate = |camera: &Camera, size: usize| Candidate {
            rate: Some(self.rates[size]),
            is_wanted: camera.wanted[size],
            is_sent: camera.sent[size],
        };
        let candidates: Vec<_> = self.cameras.iter().map(|c| vec![candidate(c, 0), candidate(c, 1)]).collect();
        let division = divide(self.estimator.limit(), 0, &candidates);
        self.estimator.aim(division.goal);
        for (camera, sent) in self.cameras.iter_mut().zip(&division.sent) {
            camera.sent.copy_from_slice(sent);
        }
        let count = |size: usize| self.cameras.iter().filter(|camera| camera.sent[size]).count();
        let now = (count(0), count(1));
        if self.log.last().is_none_or(|(_, small, large)| (*small, *large) != now) {
            self.log.push((self.now - self.began, now.0, now.1));
        }
    }

    fn limit(&self) -> f64 {
        self.estimator.limit().map_or(f64::INFINITY, |limit| limit as f64 / 1e6)
    }

    /// What is sent now: small and large pictures.
    fn sent(&self) -> (usize, usize) {
        self.log.last().map_or((0, 0), |(_, small, large)| (*small, *large))
    }

    fn queue(&self) -> Duration {
        self.line.free.saturating_duration_since(self.now)
    }
}

#[test]
fn a_good_uplink_has_no_limit_and_carries_all() {
    let mut site = Site::new(3, 50e6, 1);
    site.run(Duration::from_secs(60));
    assert_eq!((site.estimator.limit(), site.sent()), (None, (0, 3)));
}

#[test]
fn a_poor_uplink_carries_every_small_picture_before_a_large_one() {
    for seed in 0..8 {
        let mut site = Site::new(3, 2e6, seed);
        site.run(Duration::from_secs(3));
        assert_eq!(site.sent(), (3, 0), "{:?}", site.log);
        site.run(Duration::from_secs(60));
        println!("{:.2} Mbit/s, {:?}", site.limit(), site.log);
        assert!((1.6..2.05).contains(&site.limit()), "{} Mbit/s", site.limit());
        assert_eq!(
            site.log.last().map(|(at, ..)| *at < Duration::from_secs(3)),
            Some(true),
            "no pumping: {:?}",
            site.log
        );
    }
}

#[test]
fn probes_make_no_long_queue() {
    let mut site = Site::new(3, 2e6, 9);
    site.run(Duration::from_secs(4));
    let mut longest = Duration::ZERO;
    for _ in 0..6000 {
        site.run(10 * MS);
        longest = longest.max(site.queue());
    }
    // A keyframe of all cameras at once is some 200 ms by itself.
    assert!(longest < 290 * MS, "{longest:?}");
}

#[test]
fn large_pictures_come_back_when_the_uplink_grows() {
    for seed in 10..14 {
        let mut site = Site::new(3, 2e6, seed);
        site.run(Duration::from_secs(30));
        site.line.bits = 20e6;
        site.run(Duration::from_secs(20));
        assert!(site.sent().1 > 0, "a large one within 20 s: {:?}", site.log);
        site.run(Duration::from_secs(10));
        println!("{:.2} Mbit/s, {:?}", site.limit(), site.log);
        assert_eq!(site.sent().1, 3, "all within 30 s: {:?}", site.log);
    }
}

#[test]
fn a_large_picture_comes_back_beside_however_little_traffic() {
    let mut late = Vec::new();
    for (bits, small) in [2e6, 5e6].into_iter().flat_map(|bits| SMALL.map(|small| (bits, small))) {
        for seed in 40..44 {
            let mut site = Site::of_little_traffic(2e6, small, seed);
            // By the thousand; few packets, of which one is lost, look like many.
            site.line.loss = 2 * (seed - 40);
            site.run(Duration::from_secs(5));
            site.line.bits = bits;
            site.run(Duration::from_secs(25));
            let (before, was_sent) = (site.limit(), site.sent());
            site.line.bits = 100e6;
            site.run(Duration::from_secs(90));
            let since = site.log.last().map(|(at, ..)| *at).unwrap_or_default();
            let (after, is_sent) = (site.limit(), site.sent());
            println!(
                "{} Mbit/s, {small:?}: {before:.2} {was_sent:?}, then {after:.2} {is_sent:?} since {since:?}",
                bits / 1e6
            );
            if is_sent != (1, 1) || (bits < 3e6 && was_sent != (1, 0)) {
                late.push((bits, small, seed));
            }
        }
    }
    assert!(late.is_empty(), "{late:?}");
}

#[test]
fn a_drop_is_followed_within_two_seconds() {
    let mut site = Site::new(3, 20e6, 20);
    site.run(Duration::from_secs(10));
    assert_eq!(site.sent(), (0, 3));
    site.line.bits = 2.4e6;
    site.run(Duration::from_secs(2));
    assert_eq!(site.sent(), (3, 0), "{:?}", site.log);
    site.run(Duration::from_secs(2));
    assert!(site.queue() < 100 * MS, "{:?}", site.queue());
}

#[test]
fn loss_by_chance_sheds_nothing() {
    let mut site = Site::new(3, 20e6, 30);
    site.line.loss = 30;
    site.run(Duration::from_secs(60));
    assert_eq!(site.sent(), (0, 3), "3 % are lost: {:?}", site.log);
}

#[test]
fn the_poorest_uplink_still_repairs() {
    let mut site = Site::new(1, 60_000.0, 50);
    site.rates = [90_000, 2_160_000];
    site.run(Duration::from_secs(60));
    let limit = site.estimator.limit().expect("it was full");
    assert!(limit < 131_000, "{limit} bit/s");
    let repaired = (0..100).filter(|at| site.estimator.may_repair(site.now + at * 100 * MS, 1_272)).count();
    assert!((5..20).contains(&repaired), "{repaired} packets in 10 s of {limit} bit/s");
}

fn candidate(rate: u64, is_wanted: bool, is_sent: bool) -> Candidate {
    Candidate { rate: Some(rate), is_wanted, is_sent }
}

#[test]
fn the_smallest_stands_in_for_what_is_wanted_and_larger_ones_follow_in_order() {
    let camera = vec![candidate(500, false, false), candidate(2000, true, false)];
    let divide = |limit| divide(Some(limit), 100, &[camera.clone(), camera.clone()]);
    assert_eq!(divide(1_000).sent, [[true, false], [false, false]], "the first always has one");
    assert_eq!(divide(1_200).sent, [[true, false], [true, false]]);
    assert_eq!(divide(2_900).sent, [[false, true], [true, false]], "a stand-in leaves room");
    assert_eq!(divide(4_400).sent, [[false, true], [false, true]]);
    assert_eq!(divide(4_400).goal, None);
    assert!(divide(1_200).goal.is_some_and(|goal| goal > 2_730), "the goal covers the margin");
}

#[test]
fn what_is_sent_stays_while_it_fits_and_what_is_not_needs_a_margin() {
    let cameras = |sent| vec![vec![candidate(500, true, true), candidate(2000, true, sent)]];
    assert_eq!(divide(Some(2_500), 0, &cameras(false)).sent, [[true, false]]);
    assert_eq!(divide(Some(2_500), 0, &cameras(true)).sent, [[true, true]]);
    assert_eq!(divide(Some(2_300), 0, &cameras(true)).sent, [[true, false]]);
}

#[test]
fn a_camera_whose_small_picture_does_not_come_gets_no_stand_in() {
    let camera = vec![Candidate::default(), candidate(2000, true, false)];
    assert_eq!(divide(Some(3_000), 0, &[camera]).sent, [[false, true]]);
}
