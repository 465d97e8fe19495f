//! What a viewer's network carries, as one rate: by what its receiver says that it can take (REMB,
//! draft-alvestrand-rmcat-remb-03), by what it loses, and by probes.
//!
//! A receiver that estimates as draft-ietf-rmcat-gcc-02 has it (section 5) lowers its REMB only when packets queue, to 0.85
//! of what arrives, again and again while they do, and tells that at once. Else it raises it, by some 8 % a second or less,
//! and by no more than to 1.5 times what arrives; so after a fall it stays far below what is carried for a long time. Hence
//! falls are evidence of a small link and rises of one that is not full, but not the value as such, and one fall is little
//! of it: a moment of jitter brings it about. A small link makes the next one follow at once.
//!
//! Invariants: the rate rises only to what was sent and arrived; a probe ends by itself, at its goal, at the first sign of
//! a queue, or in silence.

use std::time::{Duration, Instant};

/// Without a limit: the receiver gives no estimate.
const UNLIMITED: u64 = u64::MAX;
/// What a network is taken to carry until it says otherwise, in bit/s: two large pictures, or a wall of small ones.
const START: u64 = 5_000_000;
/// No network is taken to carry less, in bit/s.
const LEAST: u64 = 50_000;
/// A receiver that was sent pictures for so long and has not given an estimate gives none.
const NO_ESTIMATE_AFTER: Duration = Duration::from_secs(8);
/// A first estimate within so long is a fall, or it would have come 5 s after the first packet and been what arrives.
const EARLY: Duration = Duration::from_millis(3500);
/// Spans over which is measured what was sent.
const SPAN: Duration = Duration::from_millis(500);
/// Falls are a small link when they lead below this share of the least that was sent lately, and of the estimate before
/// them: a receiver measures what arrives over a second, in which there may be a keyframe or none.
const CLEAR_FALL: f64 = 0.8;
/// One fall alone is one only when it leads below this share of that.
const DEEP_FALL: f64 = 0.6;
/// What is left of what arrives after a fall.
const BETA: f64 = 0.85;
/// No probe begins for so long after any fall.
const DOUBT: Duration = Duration::from_millis(1500);
/// Share of packets lost from which on the network is too small, and not just poor (draft-ietf-rmcat-gcc-02, section 6).
const TOO_LOSSY: f32 = 0.1;
/// Reports speak of the time before a reaction to the one before them, until so long after it.
const REACTION: Duration = Duration::from_millis(1500);
/// A probe sends so many times what the step before it did.
const PROBE_STEP: f64 = 1.5;
/// How long a probe's step lasts before a report can confirm it, beside the round trip; and the one that reaches the goal,
/// for a queue that grows slowly shows late.
const PROBE_HOLD: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(900));
/// A step that is not confirmed so long after that is not carried.
const PROBE_PATIENCE: Duration = Duration::from_millis(600);
/// Packets that may be missed during a step, beside twice what is lost anyway.
const PROBE_MISSED: f32 = 3.0;
/// A packet, in bytes.
const PACKET: f32 = 1100.0;
/// Of what was sent in a confirmed step, the share that had to be reached: the rest is what the frames left open.
const PROBE_REACHED: f64 = 0.98;
/// So much more round trip than the least is a queue that a probe made ...
const PROBE_QUEUE: Duration = Duration::from_millis(80);
/// ... and so much more, twice in a row, one that pictures make ...
const QUEUE: Duration = Duration::from_millis(250);
/// ... for which this share of what is sent remains.
const WITH_QUEUE: f64 = 0.7;
/// Pause after a step down or a probe in vain: at first, and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(6));
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
    /// The last estimate, and the highest since the rate was lowered, in bit/s.
    estimate: Option<u64>,
    highest: u64,
    sent: Sent,
    first: Option<Instant>,
    /// When the estimate last fell, and when the rate was last lowered.
    fell: Option<Instant>,
    lowered: Option<Instant>,
    /// It was lowered to the estimate.
    by_estimate: bool,
    /// By one fall, of which it is not known yet whether it was a moment of jitter: since when, and the rate before.
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

/// One step of a probe.
#[derive(Clone, Copy, Debug)]
struct Probe {
    since: Instant,
    /// Bytes that had been sent then.
    sent: u64,
    /// In bit/s.
    rate: u64,
    /// The estimate when it began.
    estimate: u64,
    /// Packets that were missed since.
    missed: usize,
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

/// Of a network of which nothing is known.
impl Default for Bandwidth {
    fn default() -> Self {
        Self {
            rate: START,
            estimate: None,
            highest: 0,
            sent: Sent::default(),
            first: None,
            fell: None,
            lowered: None,
            by_estimate: false,
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
            back_off: BACK_OFF.0,
            raised: None,
        }
    }
}

impl Bandwidth {
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

    /// The receiver says at `now` that it can take `estimate` bit/s; `sent` bytes were sent in all. True when the rate is
    /// another than before.
    pub fn estimate(&mut self, now: Instant, sent: u64, estimate: u64) -> bool {
        let before = self.rate;
        let sending = self.sent.rate(now, sent);
        let last = self.estimate.replace(estimate);
        let is_early = last.is_none() && self.first.is_none_or(|at| now < at + EARLY);
        let least = if is_early { sending } else { self.sent.least() };
        let is_low = estimate < share(least, CLEAR_FALL);
        let has_fallen = last.map_or(is_low, |last| estimate < last);
        let has_risen = last.is_some_and(|last| estimate > last);
        if before == UNLIMITED {
            self.rate = START.max(sending);
        }
        if has_fallen {
            let again = self.fell.replace(now).is_some_and(|at| now < at + REACTION);
            let is_plain = again || estimate < share(least, DEEP_FALL);
            let is_clear = is_low && (is_early || (is_plain && estimate < share(self.highest, CLEAR_FALL)));
            if self.was_probing(now) {
                self.give_up(now);
            } else if is_clear || (self.is_reacting(now) && self.by_estimate) {
                let unsure = Some((now, self.rate)).filter(|_| !self.is_reacting(now));
                self.lower(now, estimate);
                (self.by_estimate, self.unsure) = (true, unsure);
            } else if self.is_reacting(now) {
                // The estimate may be far below for older reasons.
                self.lower(now, estimate.max(share(self.rate, BETA)));
            }
        }
        self.highest = self.highest.max(estimate);
        self.confirm(now, sent, has_risen);
        let was_jitter = self.unsure.is_some() && !self.is_reacting(now);
        if !has_fallen && (estimate >= sending || was_jitter) {
            self.rate = self.rate.max(sending);
        }
        self.unsure = self.unsure.filter(|_| self.is_reacting(now));
        self.begin_probe(now, sent, sending);
        self.rate != before
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

    /// The receiver misses so many packets and asks for them.
    pub fn missed(&mut self, now: Instant, sent: u64, packets: usize) {
        let Some(probe) = &mut self.probe else { return };
        probe.missed += packets;
        let usual = 2.0 * self.lost * (sent - probe.sent) as f32 / PACKET;
        if probe.missed as f32 > PROBE_MISSED + usual {
            self.give_up(now);
        }
    }

    /// What would have to be carried, in bit/s, for a better picture; `None` when there is none.
    pub fn aim(&mut self, goal: Option<u64>) {
        self.goal = goal;
        self.probe = self.probe.filter(|_| goal.is_some());
    }

    /// Whether a probe is under way.
    pub fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    /// Bytes to be sent now beside what is sent anyway, for the probe that is under way.
    pub fn padding(&mut self, now: Instant, sent: u64) -> u64 {
        let Some(probe) = self.probe else { return 0 };
        let elapsed = now.saturating_duration_since(probe.since);
        if elapsed >= self.hold(&probe) + PROBE_PATIENCE {
            self.give_up(now);
            return 0;
        }
        self.probed = Some(now);
        let due = (probe.rate as f64 * elapsed.as_secs_f64() / 8.0) as u64;
        due.saturating_sub(sent - probe.sent)
    }

    /// Time passes.
    pub fn visit(&mut self, now: Instant, sent: u64) {
        self.sent.rate(now, sent);
        if sent > 0 {
            self.first.get_or_insert(now);
        }
        if self.raised.is_some_and(|at| now >= at + PROVED) {
            (self.raised, self.back_off) = (None, BACK_OFF.0);
        }
        let is_silent = self.estimate.is_none() && self.first.is_some_and(|at| now >= at + NO_ESTIMATE_AFTER);
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
        (self.lowered, self.by_estimate, self.unsure) = (Some(now), false, None);
        self.rate = self.rate.min(rate).max(LEAST);
        self.highest = self.estimate.unwrap_or_default();
        // What was sent before says nothing of what is carried from now on.
        self.sent = Sent::default();
        self.pause(now);
    }

    /// What was tried is not carried: the next attempt waits longer.
    fn fail(&mut self) {
        self.probe = None;
        self.back_off = (2 * self.back_off).min(BACK_OFF.1);
    }

    /// The network does not carry what the probe sent, and what it carried before as before.
    fn give_up(&mut self, now: Instant) {
        if self.probe.is_some() || self.raised.take().is_some() {
            self.fail();
            self.pause(now);
        }
        self.rate = self.rate.min(self.unprobed);
        // What goes on for long after it is the network's own doing.
        self.probed = self.probed.and_then(|at| at.checked_sub(REACTION * 2 / 3));
        self.highest = self.estimate.unwrap_or_default();
    }

    fn pause(&mut self, now: Instant) {
        self.next_probe = Some(now + self.back_off);
    }

    fn hold(&self, probe: &Probe) -> Duration {
        let is_last = self.goal.is_some_and(|goal| probe.rate >= goal);
        let hold = if is_last { PROBE_HOLD.1 } else { PROBE_HOLD.0 };
        hold + self.round_trip.unwrap_or_default()
    }

    /// A step of a probe that lasted long enough, and has no queue behind it, was carried.
    fn confirm(&mut self, now: Instant, sent: u64, has_risen: bool) {
        let Some(probe) = self.probe else { return };
        let hold = self.hold(&probe);
        let carried = bit_rate(now, probe.since, sent - probe.sent).min(probe.rate);
        let estimate = self.estimate.unwrap_or_default();
        let is_clear = (has_risen && estimate > probe.estimate) || estimate >= carried;
        if now < probe.since + hold || !is_clear || carried < share(probe.rate, PROBE_REACHED) {
            return;
        }
        self.rate = self.rate.max(carried);
        if self.goal.is_none_or(|goal| probe.rate >= goal) {
            self.probe = None;
            self.raised = Some(now);
            self.next_probe = Some(now + AFTER_PROBE);
        } else {
            self.step(now, sent, carried);
        }
    }

    fn begin_probe(&mut self, now: Instant, sent: u64, sending: u64) {
        let is_time = self.next_probe.is_none_or(|at| now >= at);
        let has_cause = self.goal.is_some_and(|goal| goal > self.rate);
        let is_calm = self.fell.is_none_or(|at| now >= at + DOUBT);
        if self.probe.is_none() && is_time && has_cause && is_calm && sending > 0 {
            self.unprobed = self.rate;
            self.step(now, sent, sending);
        }
    }

    fn step(&mut self, now: Instant, sent: u64, from: u64) {
        let (Some(goal), Some(estimate)) = (self.goal, self.estimate) else { return };
        // What is known to be carried is no news.
        let rate = share(from, PROBE_STEP).max(self.rate).min(goal);
        self.probe = Some(Probe { since: now, sent, rate, estimate, missed: 0 });
    }
}
