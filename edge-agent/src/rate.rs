//! How many bits a stream takes.
//!
//! Invariant: it is that of the last seconds, of all of a GOP where that is no longer than these. A stream's first second,
//! which begins with a keyframe, stands for itself alone.

use std::collections::VecDeque;

/// Seconds that are looked at.
const SECONDS: usize = 6;
const TICKS: u64 = 90_000;

/// The rate of one stream.
#[derive(Debug, Default)]
pub struct Rate {
    /// By seconds of the stream's clock: when the first picture of each was, and bytes.
    seconds: VecDeque<(u64, u64)>,
    last: u64,
}

impl Rate {
    /// Takes note of an access unit at a time in 90 kHz ticks.
    pub fn push(&mut self, ticks: u64, bytes: usize) {
        if ticks < self.last {
            self.clear();
        }
        match self.seconds.back_mut().filter(|(first, _)| first / TICKS == ticks / TICKS) {
            Some((_, sum)) => *sum += bytes as u64,
            None => self.seconds.push_back((ticks, bytes as u64)),
        }
        if self.seconds.len() > SECONDS {
            self.seconds.pop_front();
        }
        self.last = ticks;
    }

    /// The stream broke off.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// In bit/s; `None` where nothing has come.
    pub fn bits(&self) -> Option<u64> {
        let begins = usize::from((2..SECONDS).contains(&self.seconds.len()));
        let (first, _) = self.seconds.get(begins)?;
        let bytes: u64 = self.seconds.iter().skip(begins).map(|(_, bytes)| bytes).sum();
        Some(bytes * 8 * TICKS / (self.last - first).max(TICKS / 2))
    }
}
