//! What a camera's own sender reports (RFC 3550, section 6.4.1) say of its sound's and its picture's clocks.
//!
//! Sound and picture take different times through a camera and to us, so their arrivals do not tell what belongs
//! together; the camera's reports do: they state both RTP clocks on its one clock. Invariant: the camera's clock is
//! used for differences only, never as wall time, and never against what the arrivals allow.

use std::time::Duration;

/// Largest correction of a sound's capture time that is believed.
const MAX_CORRECTION: Duration = Duration::from_secs(2);

/// One track's RTP clock on the camera's clock.
#[derive(Clone, Copy, Debug)]
struct Report {
    rtp: u32,
    /// Microseconds of the camera's clock.
    at: i64,
    clock_rate: u32,
}

impl Report {
    /// The camera's time at an RTP timestamp near the report's.
    fn time_of(&self, rtp: u32) -> i64 {
        // Half the range is before the report, half after it.
        let ticks = i64::from(rtp.wrapping_sub(self.rtp).cast_signed());
        self.at + ticks * 1_000_000 / i64::from(self.clock_rate)
    }
}

/// The clocks of a session's picture and sound.
#[derive(Debug, Default)]
pub struct LipSync {
    picture: Option<Report>,
    sound: Option<Report>,
    /// The edge's wall clock minus the camera's, by the picture, in microseconds.
    offset: Option<i64>,
}

impl LipSync {
    /// A sender report of the picture: 64-bit NTP timestamp, RTP timestamp.
    pub fn picture_reported(&mut self, ntp: u64, rtp: u32) {
        self.picture = report(ntp, rtp, 90_000);
    }

    /// A sender report of the sound, whose RTP clock runs at `clock_rate` Hz.
    pub fn sound_reported(&mut self, ntp: u64, rtp: u32, clock_rate: u32) {
        self.sound = report(ntp, rtp, clock_rate);
    }

    /// A picture of this RTP timestamp was captured then, in microseconds since the Unix epoch.
    pub fn pictured(&mut self, rtp: u32, captured_micros: u64) {
        let captured = i64::try_from(captured_micros).unwrap_or(i64::MAX);
        self.offset = self.picture.map(|p| captured.saturating_sub(p.time_of(rtp)));
    }

    /// When the sound of an RTP timestamp was captured: `by_arrival`, unless the camera says otherwise, both in
    /// microseconds since the Unix epoch. It is the picture's time that it keeps to: where pictures take longer through
    /// the camera than sound, it lies ahead of the sound's arrival.
    pub fn captured(&self, rtp: u32, by_arrival: u64) -> u64 {
        let (Some(sound), Some(offset)) = (self.sound, self.offset) else { return by_arrival };
        let said = u64::try_from(sound.time_of(rtp).saturating_add(offset)).unwrap_or(0);
        let is_likely = u128::from(said.abs_diff(by_arrival)) < MAX_CORRECTION.as_micros();
        if is_likely { said } else { by_arrival }
    }
}

fn report(ntp: u64, rtp: u32, clock_rate: u32) -> Option<Report> {
    // Cameras without a clock state zero, or the time since they were switched on, which is as good.
    let at = i64::try_from((u128::from(ntp) * 1_000_000) >> 32).ok()?;
    (ntp != 0 && clock_rate != 0).then_some(Report { rtp, at, clock_rate })
}
