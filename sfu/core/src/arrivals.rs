//! When a publisher's packets arrive, by their transport-wide numbers, and the feedback that tells it
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! Invariants: of the newest 1,024 numbers it is known which have come, and nothing of others; whatever numbers a publisher
//! makes up, noting one takes time bounded by that, and no memory.

use std::time::{Duration, Instant};

/// Numbers that are kept: more than come between two reports, also after a stall.
const KEPT: usize = 1024;
/// Numbers that one report tells of at most, so that it fits a datagram.
pub const MAX_STATUSES: usize = 256;
/// The shortest time between two reports.
const INTERVAL: Duration = Duration::from_millis(60);
/// A unit of arrival times.
const TICK_MICROS: u128 = 250;
/// Ticks of one unit of a report's reference time, 64 ms.
const REFERENCE_TICKS: u32 = 256;
/// The first number's place: below it is room for those that come late.
const FIRST: u64 = 65_536;

/// What has become of a range of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The first number.
    pub base: u16,
    /// In units of 64 ms, modulo 2^24.
    pub reference: u32,
    /// Number of the report.
    pub count: u8,
    /// Of each number from `base` on: ticks of 250 us since the one before that has come, of the first since
    /// `reference`; `None` where it has not come.
    pub deltas: Vec<Option<i16>>,
}

/// See the module.
#[derive(Debug)]
pub struct Arrivals {
    /// By number modulo `KEPT`; ticks modulo 2^32.
    ticks: [Option<u32>; KEPT],
    /// The newest number that has come.
    highest: Option<u64>,
    /// What is to be told next.
    next: u64,
    reported: Option<Instant>,
    count: u8,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { ticks: [None; KEPT], highest: None, next: FIRST, reported: None, count: 0 }
    }
}

impl Arrivals {
    /// Takes note of a packet that arrived at `now`, `origin` being when time began.
    pub fn note(&mut self, now: Instant, origin: Instant, number: u16) {
        // Truncation is meant: times are modulo 2^32 ticks.
        let ticks = (now.saturating_duration_since(origin).as_micros() / TICK_MICROS) as u32;
        let Some(highest) = self.highest else {
            let first = FIRST + u64::from(number);
            (self.highest, self.next) = (Some(first), first);
            self.ticks[place(first)] = Some(ticks);
            return;
        };
        let ahead = i64::from(number.wrapping_sub(highest as u16) as i16);
        let extended = highest.saturating_add_signed(ahead);
        if ahead > 0 {
            for skipped in highest + 1..=extended.min(highest + KEPT as u64) {
                self.ticks[place(skipped)] = None;
            }
            self.highest = Some(extended);
            self.next = self.next.max((extended + 1).saturating_sub(KEPT as u64));
        } else if ahead <= -(KEPT as i64) || self.ticks[place(extended)].is_some() {
            return;
        } else {
            // It was told lost, or comes before the first one: told again.
            self.next = self.next.min(extended);
        }
        self.ticks[place(extended)] = Some(ticks);
    }

    /// What is to be told now: as many reports as there are until `None`, if it is time for the first.
    pub fn report(&mut self, now: Instant) -> Option<Report> {
        let highest = self.highest?;
        if self.next > highest || (self.reported.is_some_and(|at| now < at + INTERVAL) && self.reported != Some(now)) {
            return None;
        }
        let (base, mut at) = (self.next, self.next);
        // The highest has come, so there is a first one.
        let first = (base..=highest).find_map(|number| self.ticks[place(number)])?;
        let reference = first / REFERENCE_TICKS;
        let mut before = reference * REFERENCE_TICKS;
        let mut deltas = Vec::with_capacity(MAX_STATUSES.min((highest - base + 1) as usize));
        while at <= highest && deltas.len() < MAX_STATUSES {
            let ticks = self.ticks[place(at)];
            let delta = ticks.map(|ticks| i16::try_from(ticks.wrapping_sub(before).cast_signed()));
            match delta {
                Some(Ok(delta)) => deltas.push(Some(delta)),
                None => deltas.push(None),
                // Too far from the one before: it begins the next report.
                Some(Err(_)) => break,
            }
            before = ticks.unwrap_or(before);
            at += 1;
        }
        self.next = at;
        self.reported = Some(now);
        let report = Report { base: base as u16, reference, count: self.count, deltas };
        self.count = self.count.wrapping_add(1);
        Some(report)
    }
}

fn place(number: u64) -> usize {
    number as usize % KEPT
}
