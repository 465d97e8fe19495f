//! What a viewer's network carries, as one rate: by what its receiver tells, by what it loses, and by probes.
//!
//! What receivers tell is one of two things, each with a room: an estimate (`remb`), or when which packets came (`twcc`).
//! Either shows that the network is full, or that it carries what is sent. What follows is the same: the rate is lowered, a
//! step of a probe (`probe`) counts or ends.
//!
//! Invariants: the rate rises only to what was sent and arrived; a probe ends by itself, at its goal, at the first sign of
//! a queue, or in silence.

mod probe;
mod remb;
mod twcc;

use probe::Probe;
use remb::Remb;
use std::time::{Duration, Instant};
use twcc::Twcc;

/// Without a limit: the receiver gives no estimate.
const UNLIMITED: u64 = u64::MAX;
/// What a network is taken to carry until it says otherwise, in bit/s: two large pictures, or a wall of small ones.
const START: u64 = 5_000_000;
/// No network is taken to carry less, in bit/s.
const LEAST: u64 = 50_000;
/// A receiver that was sent pictures for so long and has not given an estimate gives none.
const NO_ESTIMATE_AFTER: Duration = Duration::from_secs(8);
/// Spans over which is measured what was sent.
const SPAN: Duration = Duration::from_millis(500);
/// Share of packets lost from which on the network is too small, and not just poor (draft-ietf-rmcat-gcc-02, section 6).
const TOO_LOSSY: f32 = 0.1;
/// Reports speak of the time before a reaction to the one before them, until so long after it.
const REACTION: Duration = Duration::from_millis(1500);
/// So much more round trip than the least is a queue that a probe made ...
const PROBE_QUEUE: Duration = Duration::from_millis(80);
/// ... and so much more, twice in a row, one that pictures make ...
const QUEUE: Duration = Duration::from_millis(250);
/// ... for which this share of what is sent remains.
const WITH_QUEUE: f64 = 0.7;
/// Pause after a step down or a probe in vain, at first.
const BACK_OFF: Duration = Duration::from_secs(3);
/// Pause after a probe that reached its goal.
const AFTER_PROBE: Duration = Duration::from_secs(1);
/// How much more is sent each second to a receiver that gives no estimate, after its rate was lowered.
const BLIND_GROWTH: f64 = 1.08;
/// A rate that has held for so long has proved itself.
const PROVED: Duration = Duration::from_secs(20);

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Bandwidth {
    /// In bit/s.
    rate: u64,
    evidence: Evidence,
    sent: Sent,
    first: Option<Instant>,
    /// When the rate was last lowered.
    lowered: Option<Instant>,
    /// By slight evidence, of which it is not known yet whether it was a moment of jitter: since when, and the rate before.
    unsure: Option<(Instant, u64)>,
    /// Mean share of packets lost.
    lost: f32,
    /// Least round trip; the last one, and whether it was much longer.
    round_trip: Option<Duration>,
    way: Option<(Instant, Duration)>,
    is_late: bool,
    /// What would have to be carried for the next better picture.
    goal: Option<u64>,
    probe: Option<Probe>,
    /// The rate before the last probe, and when that sent something last.
    unprobed: u64,
    probed: Option<Instant>,
    /// When the next probe may begin, and how long the pause before it was.
    next_probe: Option<Instant>,
    back_off: Duration,
    raised: Option<Instant>,
}

/// How it is estimated what a viewer's network carries.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Estimation {
    /// By the receiver (draft-alvestrand-rmcat-remb-03).
    #[default]
    Remb,
    /// Here, by feedback on when packets came (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    Twcc,
}

/// What the receiver told.
#[derive(Clone, Copy, Debug)]
enum Evidence {
    Remb(Remb),
    Twcc(Twcc),
}

impl Evidence {
    /// Whether it has told anything.
    fn is_known(&self) -> bool {
        match self {
            Self::Remb(remb) => remb.is_known(),
            Self::Twcc(twcc) => twcc.is_known(),
        }
    }

    /// Whether nothing speaks against a probe.
    fn is_calm(&self, now: Instant) -> bool {
        match self {
            Self::Remb(remb) => remb.is_calm(now),
            Self::Twcc(twcc) => twcc.is_calm(),
        }
    }

    /// The longest pause after a probe in vain.
    fn longest_back_off(&self) -> Duration {
        match self {
            Self::Remb(_) => remb::LONGEST_BACK_OFF,
            Self::Twcc(_) => twcc::LONGEST_BACK_OFF,
        }
    }

    /// The rate was lowered.
    fn lowered(&mut self) {
        if let Self::Remb(remb) = self {
            remb.lowered();
        }
    }

    /// A probe was given up.
    fn gave_up(&mut self) {
        if let Self::Remb(remb) = self {
            remb.gave_up();
        }
    }

    /// A step of a probe begins.
    fn step(&mut self) {
        match self {
            Self::Remb(remb) => remb.step(),
            Self::Twcc(twcc) => twcc.step(),
        }
    }
}

/// What was sent: bytes in all at a few moments, at least a [`SPAN`] apart, newest first.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    marks: [Option<(Instant, u64)>; 4],
}

impl Sent {
    /// Bit/s over the last one to two spans.
    fn rate(&mut self, now: Instant, bytes: u64) -> u64 {
        if self.marks[0].is_none_or(|(at, _)| now >= at + SPAN) {
            self.marks.rotate_right(1);
            self.marks[0] = Some((now, bytes));
        }
        self.marks[1].map_or(0, |(at, before)| bit_rate(now, at, bytes - before))
    }

    /// Bit/s over that one of the last spans in which the least was sent, as of the last [`Sent::rate`].
    fn least(&self) -> u64 {
        let spans = self.marks.windows(2).filter_map(|pair| Some((pair[0]?, pair[1]?)));
        spans.map(|((now, bytes), (at, before))| bit_rate(now, at, bytes - before)).min().unwrap_or(0)
    }
}

fn bit_rate(now: Instant, since: Instant, bytes: u64) -> u64 {
    let seconds = now.saturating_duration_since(since).as_secs_f64().max(0.001);
    (8.0 * bytes as f64 / seconds) as u64
}

fn share(rate: u64, of: f64) -> u64 {
    (rate as f64 * of) as u64
}

impl Bandwidth {
    /// Of a network of which nothing is known.
    pub fn new(estimation: Estimation) -> Self {
        let evidence = match estimation {
            Estimation::Remb => Evidence::Remb(Remb::default()),
            Estimation::Twcc => Evidence::Twcc(Twcc::default()),
        };
        Self {
            rate: START,
            evidence,
            sent: Sent::default(),
            first: None,
            lowered: None,
            unsure: None,
            lost: 0.0,
            round_trip: None,
            way: None,
            is_late: false,
            goal: None,
            probe: None,
            unprobed: START,
            probed: None,
            next_probe: None,
            back_off: BACK_OFF,
            raised: None,
        }
    }

    /// What the network is taken to carry, in bit/s.
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// What is sent already may go on up to this, in bit/s: more than the rate where that was lowered on slight evidence.
    pub fn benefit_of_doubt(&self, now: Instant) -> u64 {
        self.unsure.filter(|_| self.is_reacting(now)).map_or(self.rate, |(_, before)| before.max(self.rate))
    }

    /// Whether the network has shown what it does not carry.
    pub fn is_limited(&self) -> bool {
        self.lowered.is_some()
    }

    /// The receiver lost this share of packets, in 1/256. True when the rate is another than before.
    pub fn loss(&mut self, now: Instant, sent: u64, fraction_lost: u8) -> bool {
        self.lost = (self.lost + f32::from(fraction_lost) / 256.0) / 2.0;
        let (before, sending) = (self.rate, self.sent.rate(now, sent));
        if self.lost > TOO_LOSSY && self.was_probing(now) {
            self.give_up(now);
        } else if self.lost > TOO_LOSSY && sending > 0 && !self.is_reacting(now) {
            // What is sent beyond the rate, to repair, is what has to stop first.
            self.lower(now, share(sending.min(before), 1.0 - f64::from(self.lost) / 2.0));
        }
        self.rate != before
    }

    /// A round trip was measured. True when the rate is another than before.
    pub fn round_trip(&mut self, now: Instant, sent: u64, measured: Duration) -> bool {
        // The least of long ago may be that of another way.
        let least = self.round_trip.map_or(measured, |least| (least + least / 64).min(measured));
        self.round_trip = Some(least);
        let (before, sending) = (self.rate, self.sent.rate(now, sent));
        if self.probe.is_some_and(|probe| now >= probe.since + measured) && measured > least + PROBE_QUEUE {
            self.give_up(now);
        }
        // Reports of several streams come one after another, and a queue that drains is no news.
        if self.way.is_some_and(|(at, _)| now < at + SPAN) {
            return self.rate != before;
        }
        let last = self.way.replace((now, measured));
        let grows = last.is_none_or(|(_, last)| measured >= last);
        let was_late = std::mem::replace(&mut self.is_late, measured > least + QUEUE);
        if was_late && self.is_late && self.was_probing(now) {
            self.give_up(now);
        } else if was_late && self.is_late && grows && sending > 0 && !self.is_reacting(now) {
            self.lower(now, share(sending.min(before), WITH_QUEUE));
        }
        self.rate != before
    }

    /// The receiver is elsewhere: the way is another.
    pub fn moved(&mut self) {
        (self.round_trip, self.way, self.is_late, self.lost, self.probe) = (None, None, false, 0.0, None);
    }

    /// Time passes.
    pub fn visit(&mut self, now: Instant, sent: u64) {
        self.sent.rate(now, sent);
        if sent > 0 {
            self.first.get_or_insert(now);
        }
        if self.raised.is_some_and(|at| now >= at + PROVED) {
            (self.raised, self.back_off) = (None, BACK_OFF);
        }
        let is_silent = !self.evidence.is_known() && self.first.is_some_and(|at| now >= at + NO_ESTIMATE_AFTER);
        if is_silent && self.lowered.is_none() {
            self.rate = UNLIMITED;
        } else if is_silent && !self.is_reacting(now) && self.rate != UNLIMITED {
            // Nothing will tell that more is carried, so more is tried.
            self.rate = share(self.rate, BLIND_GROWTH);
        }
    }

    /// Whether the rate was lowered so lately that what is reported may be the time before it.
    fn is_reacting(&self, now: Instant) -> bool {
        self.lowered.is_some_and(|at| now < at + REACTION)
    }

    /// Whether what is reported may be what a probe did.
    fn was_probing(&self, now: Instant) -> bool {
        self.probed.is_some_and(|at| now < at + REACTION)
    }

    fn lower(&mut self, now: Instant, rate: u64) {
        if self.probe.take().is_some() || self.raised.take().is_some() {
            self.fail();
        }
        (self.lowered, self.unsure) = (Some(now), None);
        self.rate = self.rate.min(rate).max(LEAST);
        self.evidence.lowered();
        // What was sent before says nothing of what is carried from now on.
        self.sent = Sent::default();
        self.pause(now);
    }

    fn pause(&mut self, now: Instant) {
        self.next_probe = Some(now + self.back_off);
    }
}
