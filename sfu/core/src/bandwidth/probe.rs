//! Probes: whether the network carries more is found out by sending more, step by step, before it is needed.

use super::{AFTER_PROBE, Bandwidth, REACTION, bit_rate, share};
use std::time::{Duration, Instant};

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

/// One step of a probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) since: Instant,
    /// Bytes that had been sent then.
    sent: u64,
    /// In bit/s.
    rate: u64,
    /// Packets that were missed since.
    missed: usize,
}

impl Bandwidth {
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

    /// What was tried is not carried: the next attempt waits longer.
    pub(super) fn fail(&mut self) {
        self.probe = None;
        self.back_off = (2 * self.back_off).min(self.evidence.longest_back_off());
    }

    /// The network does not carry what the probe sent, and what it carried before as before.
    pub(super) fn give_up(&mut self, now: Instant) {
        if self.probe.is_some() || self.raised.take().is_some() {
            self.fail();
            self.pause(now);
        }
        self.rate = self.rate.min(self.unprobed);
        // What goes on for long after it is the network's own doing.
        self.probed = self.probed.and_then(|at| at.checked_sub(REACTION * 2 / 3));
        self.evidence.gave_up();
    }

    fn hold(&self, probe: &Probe) -> Duration {
        let is_last = self.goal.is_some_and(|goal| probe.rate >= goal);
        let hold = if is_last { PROBE_HOLD.1 } else { PROBE_HOLD.0 };
        hold + self.round_trip.unwrap_or_default()
    }

    /// A step of a probe that lasted long enough, and has no queue behind it, was carried.
    ///
    /// `is_clear` says whether what the receiver told speaks for so many bit/s.
    pub(super) fn confirm(&mut self, now: Instant, sent: u64, is_clear: impl Fn(u64) -> bool) {
        let Some(probe) = self.probe else { return };
        let hold = self.hold(&probe);
        let carried = bit_rate(now, probe.since, sent - probe.sent).min(probe.rate);
        if now < probe.since + hold || !is_clear(carried) || carried < share(probe.rate, PROBE_REACHED) {
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

    /// If it is time for one, and there is a cause.
    pub(super) fn begin_probe(&mut self, now: Instant, sent: u64, sending: u64) {
        let is_time = self.next_probe.is_none_or(|at| now >= at);
        let has_cause = self.goal.is_some_and(|goal| goal > self.rate);
        if self.probe.is_none() && is_time && has_cause && self.evidence.is_calm(now) && sending > 0 {
            self.unprobed = self.rate;
            self.step(now, sent, sending);
        }
    }

    fn step(&mut self, now: Instant, sent: u64, from: u64) {
        let Some(goal) = self.goal.filter(|_| self.evidence.is_known()) else { return };
        // What is known to be carried is no news.
        let rate = share(from, PROBE_STEP).max(self.rate).min(goal);
        self.probe = Some(Probe { since: now, sent, rate, missed: 0 });
        self.evidence.step();
    }
}
