//! What one slot of a viewer receives: which packets are missing, which frames are complete, when the picture stands still.
//!
//! Pure: time is an argument. Invariants: every packet that was to come ends as received, repaired or lost, once; at most
//! [`MAX_MISSING`] packets are waited for.

use crate::client::rtcp::Report;
use crate::measure::Measures;
use crate::stamp::Stamp;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Most packets that are waited for at a time.
pub const MAX_MISSING: usize = 1024;
/// After so long without a complete frame the picture stands still.
const FREEZE: Duration = Duration::from_millis(200);
/// A hole is asked for after this time: packets change places on their way.
const ASK_AFTER: Duration = Duration::from_millis(10);
/// And again after this time.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// What did not come by then is lost.
const GIVE_UP: Duration = Duration::from_secs(1);
/// A jump of more is no loss, but another stream.
const MAX_JUMP: u16 = 8192;
/// One frame in so many is looked into: a number that shares no factor with usual GOPs, so that each of their frames has
/// its turn.
const LOOK: u32 = 7;
/// Ticks of the RTP clock in a second.
const RATE: f64 = 90_000.0;

/// A packet of media, by its header in the clear.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// When it came.
    pub at: Instant,
    /// When it came, in Unix microseconds, by the kernel's clock where it tells.
    pub unix: u64,
    /// Sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub time: u32,
    /// Last packet of its frame.
    pub marker: bool,
}

#[derive(Debug)]
struct Missing {
    since: Instant,
    asked: Option<Instant>,
}

/// The end of a frame whose packets have not all come.
#[derive(Debug)]
struct FrameEnd {
    sequence: u64,
    unix: u64,
    stamp: Option<Stamp>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Reception {
    ssrc: u32,
    /// The cameras it may show, the one wished last at the end.
    wished: Option<u32>,
    former: Option<u32>,
    /// When the camera was asked for.
    asked: Option<Asked>,
    first: Option<u64>,
    highest: u64,
    missing: BTreeMap<u64, Missing>,
    ends: VecDeque<FrameEnd>,
    markers: u32,
    /// A keyframe has been complete since the picture was lost.
    has_picture: bool,
    has_begun: bool,
    last_frame: Option<Instant>,
    /// Until when the freeze that lasts has been counted.
    frozen_to: Option<Instant>,
    watched_to: Option<Instant>,
    rank: Option<u8>,
    jitter: f64,
    transit: Option<f64>,
    received: u64,
    reported: (u64, u64),
    sender_report: Option<(u32, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Instant,
    unix: u64,
    is_switch: bool,
}

/// What a packet led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The first packet of the slot's life.
    pub is_first: bool,
    /// The first complete keyframe of the slot's life.
    pub begins: bool,
}

impl Reception {
    /// Of a stream that is to show `camera`, asked for at `at`.
    pub fn new(ssrc: u32, camera: Option<u32>, at: Instant, unix: u64) -> Self {
        let asked = camera.map(|_| Asked { at, unix, is_switch: false });
        Self { ssrc, wished: camera, asked, ..Self::default() }
    }

    /// The stream that it receives.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Whether anything is to come.
    pub fn is_wished(&self) -> bool {
        self.wished.is_some()
    }

    /// The slot is to show another camera, asked for at `at`.
    pub fn switch(&mut self, camera: u32, at: Instant, unix: u64) {
        self.former = self.wished.replace(camera);
        self.asked = Some(Asked { at, unix, is_switch: true });
    }

    /// Whether this packet's payload is wanted: stamps of frames that say something new, and samples.
    pub fn wants(&self, arrival: &Arrival) -> bool {
        let is_waiting = !self.has_picture || self.asked.is_some_and(|asked| asked.is_switch);
        arrival.marker && (is_waiting || self.markers.is_multiple_of(LOOK))
    }

    /// Takes a packet in. `stamp` is that of its payload, where [`Self::wants`] asked for it.
    pub fn receive(&mut self, arrival: &Arrival, stamp: Option<Stamp>, measures: &mut Measures) -> Outcome {
        let is_first = self.first.is_none();
        let Some(sequence) = self.place(arrival, measures) else { return Outcome::default() };
        self.received += 1;
        measures.packets += 1;
        self.take_jitter(arrival);
        if arrival.marker {
            self.markers = self.markers.wrapping_add(1);
            self.take_end(FrameEnd { sequence, unix: arrival.unix, stamp });
        }
        Outcome { is_first, begins: self.complete_frames(arrival.at, measures) }
    }

    /// Takes a retransmission in, by the sequence number of its original.
    pub fn repair(&mut self, arrival: &Arrival, stamp: Option<Stamp>, measures: &mut Measures) -> Outcome {
        let behind = (self.highest as u16).wrapping_sub(arrival.sequence);
        let Some(sequence) = self.highest.checked_sub(u64::from(behind)) else { return Outcome::default() };
        if self.missing.remove(&sequence).is_none() {
            return Outcome::default();
        }
        measures.lost += 1;
        measures.repaired += 1;
        if arrival.marker {
            self.take_end(FrameEnd { sequence, unix: arrival.unix, stamp });
        }
        Outcome { is_first: false, begins: self.complete_frames(arrival.at, measures) }
    }

    /// The packet's extended sequence number; `None` when it comes twice or too late.
    fn place(&mut self, arrival: &Arrival, measures: &mut Measures) -> Option<u64> {
        if self.first.is_none() {
            let sequence = 65_536 + u64::from(arrival.sequence);
            (self.first, self.highest) = (Some(sequence), sequence);
            measures.expected += 1;
            return Some(sequence);
        }
        let ahead = arrival.sequence.wrapping_sub(self.highest as u16);
        if ahead == 0 {
            return None;
        }
        if ahead < MAX_JUMP {
            let sequence = self.highest + u64::from(ahead);
            measures.expected += u64::from(ahead);
            for lost in self.highest + 1..sequence {
                self.missing.insert(lost, Missing { since: arrival.at, asked: None });
            }
            while self.missing.len() > MAX_MISSING {
                if let Some((oldest, _)) = self.missing.pop_first() {
                    self.lose(oldest, measures);
                }
            }
            self.highest = sequence;
            return Some(sequence);
        }
        let behind = (self.highest as u16).wrapping_sub(arrival.sequence);
        let sequence = self.highest.checked_sub(u64::from(behind))?;
        self.missing.remove(&sequence).map(|_| sequence)
    }

    /// Keeps the ends of frames in order: a late packet may be one.
    fn take_end(&mut self, end: FrameEnd) {
        let at = self.ends.partition_point(|known| known.sequence < end.sequence);
        self.ends.insert(at, end);
    }

    /// A packet is lost for good: what comes cannot be decoded until the next keyframe.
    fn lose(&mut self, sequence: u64, measures: &mut Measures) {
        measures.lost += 1;
        self.has_picture = false;
        self.ends.retain(|end| end.sequence > sequence);
    }

    /// Frames all of whose packets are there. True when the slot's first keyframe is among them.
    fn complete_frames(&mut self, now: Instant, measures: &mut Measures) -> bool {
        let oldest_missing = self.missing.first_key_value().map_or(u64::MAX, |(sequence, _)| *sequence);
        let mut begins = false;
        while self.ends.front().is_some_and(|end| end.sequence < oldest_missing) {
            let Some(end) = self.ends.pop_front() else { break };
            begins |= self.complete(&end, now, measures);
        }
        begins
    }

    fn complete(&mut self, end: &FrameEnd, now: Instant, measures: &mut Measures) -> bool {
        if let Some(stamp) = end.stamp {
            self.look(&stamp, end.unix, now, measures);
        }
        let is_key = end.stamp.is_some_and(|stamp| stamp.is_key);
        if !self.has_picture && !is_key {
            return false;
        }
        self.has_picture = true;
        measures.frames += 1;
        self.look_for_freeze(now, measures);
        (self.last_frame, self.frozen_to) = (Some(now), None);
        self.watched_to.get_or_insert(now);
        !std::mem::replace(&mut self.has_begun, true)
    }

    /// Counts a freeze while it lasts: one that never ends is one, too.
    fn look_for_freeze(&mut self, now: Instant, measures: &mut Measures) {
        let Some(last) = self.last_frame.filter(|last| now.saturating_duration_since(*last) > FREEZE) else { return };
        measures.freezes += u64::from(self.frozen_to.is_none());
        let counted = self.frozen_to.replace(now).unwrap_or(last);
        measures.frozen_us += now.saturating_duration_since(counted).as_micros() as u64;
    }

    fn look(&mut self, stamp: &Stamp, unix: u64, now: Instant, measures: &mut Measures) {
        if Some(stamp.camera) != self.wished {
            // Until the switch is done, the former camera may still show.
            let is_former = Some(stamp.camera) == self.former && self.asked.is_some_and(|asked| asked.is_switch);
            if !is_former {
                let (wished, former, ssrc) = (self.wished, self.former, self.ssrc);
                tracing::debug!(ssrc, ?wished, ?former, ?stamp, "a slot shows another camera than it is to");
                measures.wrong += 1;
            }
            return;
        }
        if let Some(asked) = self.asked.as_mut().filter(|asked| asked.is_switch) {
            asked.is_switch = false;
            measures.show.record_time(now.saturating_duration_since(asked.at));
            self.rank = None;
        }
        if self.rank.replace(stamp.rank).is_some_and(|before| before != stamp.rank) {
            measures.layer_switches += 1;
        }
        // What was published before the camera was asked for comes from the cache.
        if self.asked.is_some_and(|asked| stamp.sent >= asked.unix) {
            measures.transit.record(unix.saturating_sub(stamp.sent).max(1));
        }
    }

    fn take_jitter(&mut self, arrival: &Arrival) {
        let transit = arrival.unix as f64 * (RATE / 1e6) % 4_294_967_296.0 - f64::from(arrival.time);
        if let Some(before) = self.transit.replace(transit) {
            let difference = (transit - before).abs();
            // A cached GOP, or another camera, is no jitter.
            if difference < RATE / 4.0 {
                self.jitter += (difference - self.jitter) / 16.0;
            }
        }
    }

    /// The sequence numbers to ask for again now; what is too old is given up.
    pub fn nack(&mut self, now: Instant, measures: &mut Measures) -> Vec<u16> {
        while let Some(entry) = self.missing.first_entry().filter(|entry| now >= entry.get().since + GIVE_UP) {
            let (sequence, _) = entry.remove_entry();
            self.lose(sequence, measures);
        }
        let mut due = Vec::new();
        for (sequence, missing) in &mut self.missing {
            let at = missing.asked.map_or(missing.since + ASK_AFTER, |asked| asked + ASK_AGAIN);
            if now >= at {
                missing.asked = Some(now);
                due.push(*sequence as u16);
            }
        }
        due
    }

    /// Whether packets are waited for.
    pub fn is_missing(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Whether a keyframe is waited for, though packets come.
    pub fn needs_keyframe(&self) -> bool {
        self.has_begun && !self.has_picture
    }

    /// Takes note of a sender report.
    pub fn sender_report(&mut self, now: Instant, ntp: u32) {
        self.sender_report = Some((ntp, now));
    }

    /// Once a second: its report block, and what is measured by the second.
    pub fn report(&mut self, now: Instant, measures: &mut Measures) -> Option<Report> {
        self.look_for_freeze(now, measures);
        if let Some(watched_to) = self.watched_to.as_mut() {
            let since = std::mem::replace(watched_to, now);
            measures.watched_us += now.saturating_duration_since(since).as_micros() as u64;
            measures.jitter.record(((self.jitter * 1e6 / RATE) as u64).max(1));
        }
        let first = self.first?;
        let expected = self.highest - first + 1;
        let lost = expected.saturating_sub(self.received);
        let (expected_before, lost_before) = std::mem::replace(&mut self.reported, (expected, lost));
        let lost_now = lost.saturating_sub(lost_before);
        let fraction = (lost_now * 256).checked_div(expected - expected_before).unwrap_or(0);
        let (last_report, delay) = self
            .sender_report
            .map_or((0, 0), |(ntp, at)| (ntp, (now.saturating_duration_since(at).as_secs_f64() * 65_536.0) as u32));
        Some(Report {
            ssrc: self.ssrc,
            fraction_lost: fraction.min(255) as u8,
            total_lost: lost.min(0x7f_ffff) as u32,
            highest: self.highest as u32,
            jitter: self.jitter as u32,
            last_report,
            delay,
        })
    }
}
