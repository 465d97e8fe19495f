//! The way to a viewer: what its receiver reports say of loss and round trip (RFC 3550, section 6.4), and how long its
//! pictures are to wait, so that what is lost comes again in time.
//!
//! Invariant: a report counts for an eighth of the mean, so that one that is out of line changes little; the wait changes
//! only when that is worth a change of pace.

use std::time::{Duration, Instant};

/// Share of packets lost from which on pictures wait ...
const LOSSY: f32 = 0.005;
/// ... and below which they no longer do.
const CLEAN: f32 = 0.0025;
/// Round trip where none was measured yet.
const ASSUMED: Duration = Duration::from_millis(100);
/// Longest wait: who is further away sees what was lost too late.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// A wait that would change by no more than this stays.
const WORTH_CHANGING: Duration = Duration::from_millis(20);

/// The last two sender reports of a stream: the newest may still be under way when a receiver speaks of the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct SentReports([Option<(u32, Instant)>; 2]);

impl SentReports {
    /// One with this NTP timestamp (32.32 fixed point) leaves.
    pub fn sent(&mut self, ntp: u64, now: Instant) {
        let [newest, before] = &mut self.0;
        *before = newest.replace(((ntp >> 16) as u32, now));
    }

    /// The round trip, by a receiver that says at `now` which report it saw last and how long ago, in 1/65536 s.
    pub fn round_trip(&self, last_report: u32, delay: u32, now: Instant) -> Option<Duration> {
        let (_, sent) = self.0.iter().flatten().find(|(stamp, _)| *stamp == last_report)?;
        let held = Duration::from_micros((u64::from(delay) * 1_000_000) >> 16);
        now.saturating_duration_since(*sent).checked_sub(held)
    }
}

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    /// Mean share of packets lost.
    loss: f32,
    /// Mean round trip.
    round_trip: Option<Duration>,
    wait: Duration,
}

impl Path {
    /// A receiver report: the share lost since the one before it, in 1/256, and the round trip where it tells.
    /// True when pictures are to wait for another time than before.
    pub fn report(&mut self, fraction_lost: u8, round_trip: Option<Duration>) -> bool {
        self.loss = (7.0 * self.loss + f32::from(fraction_lost) / 256.0) / 8.0;
        if let Some(measured) = round_trip {
            let mean = self.round_trip.unwrap_or(measured);
            self.round_trip = Some((7 * mean + measured) / 8);
        }
        let threshold = if self.wait.is_zero() { LOSSY } else { CLEAN };
        let wait = if self.loss < threshold { Duration::ZERO } else { self.time_to_repair() };
        let is_other = wait.is_zero() != self.wait.is_zero() || wait.abs_diff(self.wait) > WORTH_CHANGING;
        if is_other {
            self.wait = wait;
        }
        is_other
    }

    /// How long pictures are to wait.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// A loss shows with the next packet; asking and sending again take a round trip: 1.5 of them, and no less than a
    /// frame's time at 25 a second.
    fn time_to_repair(&self) -> Duration {
        let round_trip = self.round_trip.unwrap_or(ASSUMED);
        (round_trip * 3 / 2).clamp(Duration::from_millis(40), LONGEST_WAIT)
    }
}
