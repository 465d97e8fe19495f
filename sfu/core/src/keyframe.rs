//! Keyframe arbiter: viewers' requests end here; the publisher of an encoding is asked within a budget.

use std::time::{Duration, Instant};

/// The shortest time between two requests to the publisher of one encoding.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Decides when the publisher of one encoding is asked for a keyframe.
#[derive(Debug, Default)]
pub struct Arbiter {
    asked: Option<Instant>,
    waiting: bool,
}

impl Arbiter {
    /// Somebody needs a keyframe. True when the publisher is to be asked now; otherwise [`Self::due`] says so later.
    pub fn request(&mut self, now: Instant) -> bool {
        self.waiting = true;
        self.due(now)
    }

    /// A keyframe came: nobody waits any more.
    pub fn satisfied(&mut self) {
        self.waiting = false;
    }

    /// Whether somebody waits and the budget allows to ask (again).
    pub fn due(&mut self, now: Instant) -> bool {
        let due = self.waiting && self.asked.is_none_or(|at| now.saturating_duration_since(at) >= INTERVAL);
        if due {
            self.asked = Some(now);
        }
        due
    }
}
