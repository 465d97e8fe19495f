//! When packets came, as their receiver tells (TWCC, draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! A queue that stands and grows shows that the network is full: what arrives meanwhile is what it carries. Where none
//! stands, it carries what arrives.

use super::{Bandwidth, Evidence, START, UNLIMITED, share};
use crate::departures::Arriving;
use std::time::{Duration, Instant};

/// A queue that never became shorter than this is one that stands ...
const STANDING: Duration = Duration::from_millis(50);
/// ... and fills the network where it grows by so much from one half of the window to the other ...
const GROWTH: Duration = Duration::from_millis(8);
/// ... or is so long and does not shrink.
const LONG: Duration = Duration::from_millis(250);
/// Below this there is none.
const NO_QUEUE: Duration = Duration::from_millis(30);
/// What of that which arrives is taken for what is carried: the rest lets the queue drain.
const BETA: f64 = 0.9;
/// A queue so much longer than before a step of a probe is the probe's doing.
const PROBE_QUEUE: Duration = Duration::from_millis(40);

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
        self.queue.is_some_and(|queue| queue < STANDING)
    }

    pub(super) fn step(&mut self) {
        self.before_step = self.queue.unwrap_or_default();
    }
}

impl Arriving {
    fn is_full(&self) -> bool {
        let stands = self.queue.min(self.older_queue) > STANDING && self.queue > self.older_queue + GROWTH;
        let is_long = self.queue > LONG && self.queue + GROWTH >= self.older_queue;
        stands || is_long
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
        } else if !arriving.is_full() {
            let carried = if arriving.queue < NO_QUEUE { arriving.rate } else { 0 };
            self.rate = self.rate.max(carried);
        } else if self.was_probing(now) {
            self.give_up(now);
        } else if !self.is_reacting(now) {
            self.lower(now, share(arriving.newer_rate, BETA));
        }
        self.confirm(now, sent, |_| is_clear);
        self.begin_probe(now, sent, sending);
        self.rate != before
    }
}
