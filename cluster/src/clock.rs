//! Time as a dependency: leases end by a clock that a test can move. Invariant: a clock never goes back.

use std::time::{Duration, Instant};

/// Tells how much time has passed. Only differences mean anything.
pub trait Clock: Send + Sync {
    /// Time since some fixed point of this clock's own.
    fn elapsed(&self) -> Duration;
}

/// The machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
