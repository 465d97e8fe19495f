//! What a receiver says that it can take (REMB, draft-alvestrand-rmcat-remb-03).
//!
//! A receiver that estimates as draft-ietf-rmcat-gcc-02 has it (section 5) lowers its REMB only when packets queue, to 0.85
//! of what arrives, again and again while they do, and tells that at once. Else it raises it, by some 8 % a second or less,
//! and by no more than to 1.5 times what arrives; so after a fall it stays far below what is carried for a long time. Hence
//! falls are evidence of a small link and rises of one that is not full, but not the value as such, and one fall is little
//! of it: a moment of jitter brings it about. A small link makes the next one follow at once.

use super::{Bandwidth, Evidence, REACTION, START, UNLIMITED, share};
use std::time::{Duration, Instant};

/// A first estimate within so long is a fall, or it would have come 5 s after the first packet and been what arrives ...
const EARLY: Duration = Duration::from_millis(3500);
/// ... but it proves nothing where less than this is sent, in bit/s: that a network carries not even a small picture is
/// rarer than a moment of jitter while pictures begin, and second signs show it.
const ENOUGH: u64 = 1_000_000;
/// Falls are a small link when they lead below this share of the least that was sent lately, and of the estimate before
/// them: a receiver measures what arrives over a second, in which there may be a keyframe or none.
const CLEAR_FALL: f64 = 0.8;
/// One fall alone is one only when it leads below this share of that.
const DEEP_FALL: f64 = 0.6;
/// No probe begins for so long after any fall.
const DOUBT: Duration = Duration::from_millis(1500);
/// A probe in vain queues what it sends for a second.
pub(super) const LONGEST_BACK_OFF: Duration = Duration::from_secs(6);
/// What is left of what arrives after a fall.
const BETA: f64 = 0.85;

/// See the module.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Remb {
    /// The last estimate, and the highest since the rate was lowered, in bit/s.
    estimate: Option<u64>,
    highest: u64,
    /// When it last fell.
    fell: Option<Instant>,
    /// The rate was last lowered to it.
    is_cause: bool,
    /// The estimate when the last step of a probe began.
    before_step: u64,
}

impl Remb {
    pub(super) fn is_known(&self) -> bool {
        self.estimate.is_some()
    }

    pub(super) fn is_calm(&self, now: Instant) -> bool {
        self.fell.is_none_or(|at| now >= at + DOUBT)
    }

    pub(super) fn lowered(&mut self) {
        self.is_cause = false;
        self.gave_up();
    }

    /// From here on it is what it is compared with.
    pub(super) fn gave_up(&mut self) {
        self.highest = self.estimate.unwrap_or_default();
    }

    pub(super) fn step(&mut self) {
        self.before_step = self.estimate.unwrap_or_default();
    }
}

impl Bandwidth {
    /// The receiver says at `now` that it can take `estimate` bit/s; `sent` bytes were sent in all. True when the rate is
    /// another than before.
    pub fn estimate(&mut self, now: Instant, sent: u64, estimate: u64) -> bool {
        let before = self.rate;
        let sending = self.sent.rate(now, sent);
        let (is_reacting, was_probing) = (self.is_reacting(now), self.was_probing(now));
        let Evidence::Remb(remb) = &mut self.evidence else { return false };
        let last = remb.estimate.replace(estimate);
        let is_early = last.is_none() && self.first.is_none_or(|at| now < at + EARLY);
        let least = if is_early { sending } else { self.sent.least() };
        let is_low = estimate < share(least, CLEAR_FALL) && (last.is_some() || sending >= ENOUGH);
        let has_fallen = last.map_or(is_low, |last| estimate < last);
        let has_risen = last.is_some_and(|last| estimate > last);
        if before == UNLIMITED {
            self.rate = START.max(sending);
        }
        let (highest, is_cause) = (remb.highest, remb.is_cause);
        remb.highest = highest.max(estimate);
        let has_risen_in_step = has_risen && estimate > remb.before_step;
        if has_fallen {
            let again = remb.fell.replace(now).is_some_and(|at| now < at + REACTION);
            let is_plain = again || estimate < share(least, DEEP_FALL);
            let is_clear = is_low && (is_early || (is_plain && estimate < share(highest, CLEAR_FALL)));
            if was_probing {
                self.give_up(now);
            } else if is_clear || (is_reacting && is_cause) {
                self.lower_to_estimate(now, estimate);
            } else if is_reacting {
                // The estimate may be far below for older reasons.
                self.lower(now, estimate.max(share(self.rate, BETA)));
            }
        }
        self.confirm(now, sent, |carried| has_risen_in_step || estimate >= carried);
        let was_jitter = self.unsure.is_some() && !self.is_reacting(now);
        if !has_fallen && (estimate >= sending || was_jitter) {
            self.rate = self.rate.max(sending);
        }
        self.unsure = self.unsure.filter(|_| self.is_reacting(now));
        self.begin_probe(now, sent, sending);
        self.rate != before
    }

    /// One fall may still be a moment of jitter.
    fn lower_to_estimate(&mut self, now: Instant, estimate: u64) {
        let unsure = Some((now, self.rate)).filter(|_| !self.is_reacting(now));
        self.lower(now, estimate);
        self.unsure = unsure;
        if let Evidence::Remb(remb) = &mut self.evidence {
            remb.is_cause = true;
        }
    }
}
