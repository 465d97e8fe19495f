//! How long to wait before trying again.

use std::time::Duration;

/// Waits that double from a first to a longest one, each shortened by a random part so that many agents do not come
/// back in step.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `first`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// The next wait: between three quarters and the whole of the current step.
    pub fn wait(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.longest);
        step.mul_f64(0.75 + 0.25 * f64::from(random_u32()) / f64::from(u32::MAX))
    }

    /// It worked: the next wait is the first one again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// 32 random bits.
pub(crate) fn random_u32() -> u32 {
    let bytes = uuid::Uuid::new_v4().into_bytes();
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
