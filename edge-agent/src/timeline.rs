//! A track's RTP timestamps to one continuous clock of the same rate, and to the edge's wall time.
//!
//! Cameras jump by hours and fall to zero. Invariant: [`Timeline::ticks`] always grows, follows the camera's own spacing
//! within an epoch, and the time of arrival from one epoch to the next. A new connection, a step back and a step that
//! the clock on the wall does not confirm begin a new epoch.

use std::time::Duration;

/// Ticks of the RTP clock for video in a second (RFC 6184, section 8.2.1).
pub const VIDEO_RATE: u32 = 90_000;

/// Largest difference between a step of the camera's clock and the time that passed, before it counts as a jump.
const MAX_DEVIATION: Duration = Duration::from_secs(3);

/// How quickly the estimate of the capture time follows arrivals that are later than it says: 1 part in this many.
const DRIFT: i64 = 256;

/// Largest difference of an arrival from the estimate that is taken for delay on the way, in microseconds.
const MAX_DELAY_MICROS: i64 = 1_000_000;

/// The continuous clock of one track.
#[derive(Debug)]
pub struct Timeline {
    clock_rate: u32,
    last: Option<Last>,
    epoch_ended: bool,
    /// Estimate of wall time minus ticks, in microseconds.
    offset: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    camera: u32,
    ticks: u64,
    arrival: Duration,
}

impl Default for Timeline {
    fn default() -> Self {
        Self::of_rate(VIDEO_RATE)
    }
}

impl Timeline {
    /// The clock of a track whose RTP clock runs at `clock_rate` Hz; never 0.
    pub fn of_rate(clock_rate: u32) -> Self {
        Self { clock_rate, last: None, epoch_ended: false, offset: None }
    }

    /// The next access unit's time in ticks, from the camera's timestamp and the time it arrived on a monotonic clock.
    pub fn ticks(&mut self, camera: u32, arrival: Duration) -> u64 {
        let in_ticks = |time| in_ticks(time, self.clock_rate);
        let ticks = match self.last {
            None => in_ticks(arrival),
            Some(last) => {
                let passed = in_ticks(arrival.saturating_sub(last.arrival));
                // A difference of half the range or more is a step back (RFC 3550, section 5.1: the timestamp wraps).
                let step = u64::from(camera.wrapping_sub(last.camera));
                let follows = step > 0 && step.abs_diff(passed) < in_ticks(MAX_DEVIATION);
                let ended = std::mem::take(&mut self.epoch_ended);
                last.ticks + if follows && !ended { step } else { passed.max(1) }
            }
        };
        self.last = Some(Last { camera, ticks, arrival });
        ticks
    }

    /// The connection to the camera ended: its clock may start anywhere next time.
    pub fn end_epoch(&mut self) {
        self.epoch_ended = self.last.is_some();
        self.offset = None;
    }

    /// When the access unit at `ticks` was captured, given when it arrived, both by the edge's wall clock in
    /// microseconds since the Unix epoch: the arrival without the jitter of the way, never later than it.
    pub fn captured(&mut self, ticks: u64, arrived_micros: u64) -> u64 {
        let media = i64::try_from(u128::from(ticks) * 1_000_000 / u128::from(self.clock_rate)).unwrap_or(i64::MAX);
        let seen = i64::try_from(arrived_micros).unwrap_or(i64::MAX) - media;
        let offset = match self.offset {
            Some(offset) if seen > offset && seen - offset < MAX_DELAY_MICROS => offset + (seen - offset) / DRIFT,
            _ => seen,
        };
        self.offset = Some(offset);
        u64::try_from(media + offset).unwrap_or(0)
    }
}

fn in_ticks(time: Duration, clock_rate: u32) -> u64 {
    u64::try_from(time.as_micros() * u128::from(clock_rate) / 1_000_000).unwrap_or(u64::MAX)
}
