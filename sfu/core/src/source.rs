//! One incoming RTP stream: extended sequence numbers, reception statistics (RFC 3550, appendix A), and the packets
//! that are missing.
//!
//! Invariant: at most [`MAX_MISSING`] packets are asked for at a time, each at most [`MAX_ASKS`] times.

use crate::types::ClockPair;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Most packets that are asked for at a time; a larger hole waits for a keyframe.
pub const MAX_MISSING: usize = 256;
/// How often a missing packet is asked for.
pub const MAX_ASKS: u8 = 4;
/// How long to wait before asking again.
const ASK_AGAIN: Duration = Duration::from_millis(60);
/// A jump of more than this is a new start, not a loss.
const MAX_JUMP: u64 = 3000;

/// What a packet means for its stream.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Received {
    /// It has this extended sequence number.
    InOrder(u64),
    /// It fills a hole, or comes twice.
    Late(u64),
    /// The stream begins, or began anew; this packet is its first.
    Restarted(u64),
}

#[derive(Debug)]
struct Missing {
    asked: Option<Instant>,
    asks: u8,
}

/// State of one stream.
#[derive(Debug, Default)]
pub struct Source {
    highest: Option<u64>,
    first: u64,
    received: u64,
    /// Packets expected and received by the last report.
    reported: (u64, u64),
    missing: BTreeMap<u64, Missing>,
    /// When to look at them again.
    ask_at: Option<Instant>,
    jitter: f64,
    transit: Option<f64>,
    report: Option<(ClockPair, Instant)>,
}

/// Contents of a reception report block, but for the SSRC.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Reception {
    /// Of the packets expected since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Since the stream began.
    pub total_lost: u32,
    /// Extended highest sequence number.
    pub highest: u32,
    /// In timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP timestamp of the last sender report.
    pub last_report: u32,
    /// Since then, in 1/65536 s.
    pub delay: u32,
}

impl Source {
    /// Takes note of a packet that arrived at `now`; `rate` is that of its RTP clock.
    pub fn receive(&mut self, now: Instant, origin: Instant, sequence: u16, time: u32, rate: u32) -> Received {
        self.received += 1;
        let rate = f64::from(rate);
        let arrival = now.saturating_duration_since(origin).as_secs_f64() * rate;
        let transit = arrival - f64::from(time);
        if let Some(before) = self.transit.replace(transit) {
            let difference = (transit - before).abs();
            if difference < rate {
                self.jitter += (difference - self.jitter) / 16.0;
            }
        }
        let Some(highest) = self.highest else {
            // One cycle of room, so that packets from before the first one have a place too.
            return self.restart(65_536 + u64::from(sequence));
        };
        let ahead = sequence.wrapping_sub(highest as u16);
        if ahead == 0 {
            return Received::Late(highest);
        }
        if ahead < 0x8000 {
            let extended = highest + u64::from(ahead);
            if u64::from(ahead) > MAX_JUMP {
                return self.restart(extended + 65_536);
            }
            self.highest = Some(extended);
            for lost in highest + 1..extended {
                self.missing.insert(lost, Missing { asked: None, asks: 0 });
                self.ask_at = Some(now);
            }
            while self.missing.len() > MAX_MISSING {
                self.missing.pop_first();
            }
            return Received::InOrder(extended);
        }
        let behind = u64::from((highest as u16).wrapping_sub(sequence));
        if behind > MAX_JUMP {
            return self.restart(highest + 65_536 - behind);
        }
        let extended = highest.saturating_sub(behind);
        self.missing.remove(&extended);
        Received::Late(extended)
    }

    /// Takes note of a packet that came as a retransmission; `None` when it is too old to be of use.
    pub fn recover(&mut self, sequence: u16) -> Option<Received> {
        let highest = self.highest?;
        let behind = u64::from((highest as u16).wrapping_sub(sequence));
        let extended = highest.checked_sub(behind).filter(|_| behind <= MAX_JUMP)?;
        self.received += 1;
        self.missing.remove(&extended);
        Some(Received::Late(extended))
    }

    fn restart(&mut self, extended: u64) -> Received {
        self.highest = Some(extended);
        self.first = extended;
        self.received = 1;
        self.reported = (0, 0);
        self.missing.clear();
        Received::Restarted(extended)
    }

    /// The sequence numbers to ask for now (RFC 4585, section 6.2.1).
    pub fn nack(&mut self, now: Instant) -> Vec<u16> {
        if self.ask_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.missing.retain(|_, m| m.asks < MAX_ASKS || m.asked.is_some_and(|at| now < at + ASK_AGAIN));
        let mut due = Vec::new();
        for (sequence, missing) in &mut self.missing {
            if missing.asks < MAX_ASKS && missing.asked.is_none_or(|at| now >= at + ASK_AGAIN) {
                missing.asked = Some(now);
                missing.asks += 1;
                due.push(*sequence as u16);
            }
        }
        self.ask_at = self.missing.values().filter_map(|m| m.asked).min().map(|asked| asked + ASK_AGAIN);
        due
    }

    /// Takes note of a sender report.
    pub fn sender_report(&mut self, now: Instant, pair: ClockPair) {
        self.report = Some((pair, now));
    }

    /// The report block to send now; `None` before the first packet.
    pub fn reception(&mut self, now: Instant) -> Option<Reception> {
        let highest = self.highest?;
        let expected = highest - self.first + 1;
        let lost = expected.saturating_sub(self.received);
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, self.received);
        let expected_now = expected - expected_before;
        let lost_now = expected_now.saturating_sub(self.received - received_before);
        let fraction = (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255);
        let (last_report, delay) = self.report.map_or((0, 0), |(pair, at)| {
            let delay = now.saturating_duration_since(at).as_secs_f64() * 65_536.0;
            ((pair.ntp >> 16) as u32, delay as u32)
        });
        Some(Reception {
            fraction_lost: fraction as u8,
            total_lost: lost.min(0x7f_ffff) as u32,
            highest: highest as u32,
            jitter: self.jitter as u32,
            last_report,
            delay,
        })
    }
}
