//! When packets came, as their receiver tells (TWCC, draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! A queue that stands and grows shows that the network is full: what arrives meanwhile is what it carries. Where none
//! stands, it carries what arrives.

use super::{Bandwidth, Evidence, START, UNLIMITED, share};
use crate::departures::{Arriving, STANDING};
use std::time::{Duration, Instant};

/// A queue that stands fills the network where it grows by so much from one half of the window to the other ...
const GROWTH: Duration = Duration::from_millis(8);
/// ... or is so long and does not shrink ...
const LONG: Duration = Duration::from_millis(250);
/// ... or has just become so long, and less than this share of what is sent comes through it.
const SUDDEN: Duration = Duration::from_millis(80);
const CLEARLY_LESS: f64 = 0.7;
/// Below this there is none.
const NO_QUEUE: Duration = Duration::from_millis(30);
/// What of that which arrives is taken for what is carried: the rest lets the queue drain.
const BETA: f64 = 0.9;
/// A queue so much longer than before a step of a probe is the probe's doing.
const PROBE_QUEUE: Duration = Duration::from_millis(30);
/// Probes in vain end early, so the next one need not wait.
pub(super) const LONGEST_BACK_OFF: Duration = Duration::from_secs(3);
/// A step counts once this share of what it sent arrives.
const PROBE_ARRIVED: f64 = 0.93;

/// See the module.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Twcc {
    /// The queue of the last moment.
    queue: Option<Duration>,
    /// And when the last step of a probe began.
    before_step: Duration,
}

impl Twcc {
    pub(super) fn is_known(&self) -> bool {
        self.queue.is_some()
    }

    pub(super) fn is_calm(&self) -> bool {
        self.queue.is_some_and(|queue| queue < NO_QUEUE)
    }

    pub(super) fn step(&mut self) {
        self.before_step = self.queue.unwrap_or_default();
    }
}

impl Arriving {
    /// What comes through a network that is full, where `sending` bit/s are sent.
    fn through_full(&self, sending: u64) -> Option<u64> {
        let grows = self.queue.min(self.older_queue) > STANDING && self.queue > self.older_queue + GROWTH;
        let is_long = self.queue > LONG && self.queue + GROWTH >= self.older_queue;
        let sudden = self.through_queue.filter(|rate| self.last_queue > SUDDEN && *rate < share(sending, CLEARLY_LESS));
        if grows || is_long { Some(self.newer_rate) } else { sudden }
    }
}

impl Bandwidth {
    /// What was sent arrives like this; `sent` bytes were sent in all. True when the rate is another than before.
    pub fn arrived(&mut self, now: Instant, sent: u64, arriving: Arriving) -> bool {
        let before = self.rate;
        let sending = self.sent.rate(now, sent);
        let Evidence::Twcc(twcc) = &mut self.evidence else { return false };
        twcc.queue = Some(arriving.last_queue);
        let is_clear = arriving.last_queue <= twcc.before_step + PROBE_QUEUE;
        if before == UNLIMITED {
            self.rate = START.max(sending);
        }
        if self.probe.is_some() {
            if !is_clear {
                self.give_up(now);
            }
        } else if let Some(carried) = arriving.through_full(sending) {
            if self.was_probing(now) {
                self.give_up(now);
            } else if !self.is_reacting(now) {
                self.lower(now, share(carried, BETA));
            }
        } else if arriving.queue.max(arriving.last_queue) < NO_QUEUE && !self.is_reacting(now) {
            self.rate = self.rate.max(arriving.rate);
        }
        self.confirm(now, sent, |carried| is_clear && arriving.newer_rate >= share(carried, PROBE_ARRIVED));
        self.begin_probe(now, sent, sending);
        self.rate != before
    }
}
