//! One connection's packets from their sending until they are told of, by transport-wide numbers
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! Invariant: at most [`KEPT`] packets are remembered, and each is told of once.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Packets that are remembered: some 8 s of 5 Mbit/s.
const KEPT: usize = 4096;
/// The least delay is looked for over so long, and twice that: the way may become another.
const BASE_SPAN: Duration = Duration::from_secs(20);
/// After so many microseconds the far clock, as it is told, begins anew: 24 bits of 64 ms.
pub const CLOCK_MICROS: i64 = (1 << 24) * 64_000;

/// What is told of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its number.
    pub number: u16,
    /// When it came, by the far clock, in microseconds modulo [`CLOCK_MICROS`]; `None` where it did not.
    pub came: Option<i64>,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// When it had passed the queues, if there had been no other delay: of a lost one, when it was sent.
    pub at: Instant,
    /// Its size.
    pub bytes: u32,
    /// How long it was in queues; `None` where it was lost.
    pub queue: Option<Duration>,
}

/// See the module.
#[derive(Debug)]
pub struct Way {
    epoch: Instant,
    /// Number of the next packet.
    next: u64,
    /// The packets before it that are remembered; `None` where they were told of.
    sent: VecDeque<Option<(Instant, u32)>>,
    /// The far clock when it was last told, without beginning anew.
    clock: Option<i64>,
    /// Least delays by the two clocks, in microseconds: in this span, in the one before it; when this one began.
    least: (i64, i64),
    since: Instant,
}

impl Way {
    /// One that begins at `now`.
    pub fn new(now: Instant) -> Self {
        let least = (i64::MAX, i64::MAX);
        Self { epoch: now, next: 0, sent: VecDeque::new(), clock: None, least, since: now }
    }

    /// Remembers a packet; its number.
    pub fn send(&mut self, now: Instant, bytes: u32) -> u16 {
        let number = self.next as u16;
        self.next += 1;
        self.sent.push_back(Some((now, bytes)));
        if self.sent.len() > KEPT {
            self.sent.pop_front();
        }
        number
    }

    /// What became of a packet; `None` where nothing is known of it, or was told before.
    pub fn hear(&mut self, now: Instant, told: Told) -> Option<Fate> {
        let back = usize::from((self.next as u16).wrapping_sub(told.number));
        let at = self.sent.len().checked_sub(back)?;
        let (sent, bytes) = self.sent.get_mut(at)?.take()?;
        let Some(came) = told.came else { return Some(Fate { at: sent, bytes, queue: None }) };
        let delay = self.unwrap(came) - sent.saturating_duration_since(self.epoch).as_micros() as i64;
        if now.saturating_duration_since(self.since) > BASE_SPAN {
            (self.least, self.since) = ((delay, self.least.0), now);
        }
        self.least.0 = self.least.0.min(delay);
        let queue = Duration::from_micros((delay - self.least.0.min(self.least.1)).unsigned_abs());
        Some(Fate { at: sent + queue, bytes, queue: Some(queue) })
    }

    fn unwrap(&mut self, came: i64) -> i64 {
        let before = self.clock.unwrap_or(came);
        let step = (came - before).rem_euclid(CLOCK_MICROS);
        let step = if step > CLOCK_MICROS / 2 { step - CLOCK_MICROS } else { step };
        self.clock = Some(before + step);
        before + step
    }
}
