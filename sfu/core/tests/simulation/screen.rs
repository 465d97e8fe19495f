//! What a viewer sees in one slot: which frames can be decoded, what is missing for that, and when the picture stands.

use super::camera::Part;
use crate::net::peer::Packet;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A longer gap between two frames is a freeze.
const FREEZE: Duration = Duration::from_millis(200);
/// How often a packet is asked for.
const ASKS: u32 = 10;
/// Most packets that are missed at a time.
const MISSED: u64 = 1000;
/// A picture that stands for so long needs a keyframe ...
const NO_FRAME: Duration = Duration::from_secs(3);
/// ... which is asked for so often, while packets come ...
const AGAIN: Duration = Duration::from_millis(200);
/// ... or did so lately.
const ACTIVE: Duration = Duration::from_secs(5);

/// A frame as far as it has come.
struct Frame {
    part: Part,
    come: BTreeSet<u16>,
    bytes: u64,
}

/// A packet that is missing.
#[derive(Clone, Copy)]
struct Missed {
    asks: u32,
    last: Option<Instant>,
}

/// See the module. Sequence numbers are extended by their roll-overs.
#[derive(Default)]
pub(crate) struct Screen {
    highest: Option<u64>,
    /// By the sequence numbers of their first packets.
    frames: BTreeMap<u64, Frame>,
    missed: BTreeMap<u64, Missed>,
    /// The first sequence number of the next frame; `None` before the first keyframe.
    next: Option<u64>,
    layer: Option<u8>,
    /// When the last packet came, and the last frame was shown.
    last: Option<Instant>,
    shown: Option<Instant>,
    asked: Option<Instant>,
    /// Packets since the last report, and the highest sequence number in it.
    received: u64,
    reported: Option<u64>,
    pub(crate) seen: Seen,
}

/// What was seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Since when the last frame stands; `None` before the first, and while the slot is told to be paused.
    since: Option<Instant>,
    paused_since: Option<Instant>,
    pub(crate) frozen: Duration,
    pub(crate) paused: Duration,
    pub(crate) bytes: u64,
    pub(crate) switches: u64,
    /// The frames, and when they were shown.
    pub(crate) frames: Vec<(Instant, Part)>,
}

impl Seen {
    fn gap(&mut self, now: Instant) {
        let gap = self.since.map_or(Duration::ZERO, |since| now - since);
        self.frozen += if gap > FREEZE { gap } else { Duration::ZERO };
    }

    fn frame(&mut self, now: Instant, bytes: u64, is_other: bool) {
        if self.paused_since.is_none() {
            self.gap(now);
            self.since = Some(now);
        }
        self.bytes += bytes;
        self.switches += u64::from(is_other);
    }

    /// The slot is told to be paused, or no more.
    pub(crate) fn pause(&mut self, now: Instant, is_paused: bool) {
        match (self.paused_since, is_paused) {
            (None, true) => {
                self.gap(now);
                (self.since, self.paused_since) = (None, Some(now));
            }
            (Some(since), false) => {
                self.paused += now - since;
                (self.since, self.paused_since) = (Some(now), None);
            }
            _ => {}
        }
    }

    /// Nothing more is watched.
    pub(crate) fn end(&mut self, now: Instant) {
        self.gap(now);
        self.since = None;
        if let Some(since) = self.paused_since.take() {
            self.paused += now - since;
        }
    }
}

impl Screen {
    /// A packet comes; `sequence` is that under which it was sent first.
    pub(crate) fn packet(&mut self, now: Instant, sequence: u16, packet: &Packet, payload: &[u8], is_again: bool) {
        let number = self.extend(sequence);
        self.last = Some(now);
        if !is_again {
            self.received += 1;
            self.miss(number);
        }
        self.missed.remove(&number);
        let part = Part::read(payload);
        let first = number - u64::from(part.number);
        if self.next.is_some_and(|next| first < next) {
            return;
        }
        let frame = Frame { part, come: BTreeSet::new(), bytes: 0 };
        let frame = self.frames.entry(first).or_insert(frame);
        if frame.come.insert(part.number) {
            frame.bytes += packet.payload.len() as u64;
        }
        while self.show(now) {}
    }

    fn extend(&self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else { return 65_536 + u64::from(sequence) };
        highest.wrapping_add_signed(i64::from(sequence.wrapping_sub(highest as u16) as i16))
    }

    fn miss(&mut self, number: u64) {
        let highest = *self.highest.get_or_insert(number - 1);
        self.reported.get_or_insert(number - 1);
        if number > highest {
            let first = (highest + 1).max(number.saturating_sub(MISSED));
            self.missed.extend((first..number).map(|missed| (missed, Missed { asks: 0, last: None })));
            self.highest = Some(number);
        }
    }

    /// Shows the next frame if it has come, or else one that needs none before it.
    fn show(&mut self, now: Instant) -> bool {
        let whole = |frame: &Frame| frame.come.len() == usize::from(frame.part.of);
        let next = self.next.filter(|next| self.frames.get(next).is_some_and(whole));
        let key = || self.frames.iter().find(|(_, frame)| frame.part.is_key && whole(frame)).map(|(first, _)| *first);
        let Some(first) = next.or_else(key) else { return false };
        self.frames = self.frames.split_off(&first);
        let Some(Frame { part, bytes, .. }) = self.frames.remove(&first) else { return false };
        let next = first + u64::from(part.of);
        self.next = Some(next);
        self.missed = self.missed.split_off(&next);
        self.shown = Some(now);
        let is_other = self.layer.replace(part.rid).is_some_and(|before| before != part.rid);
        self.seen.frame(now, bytes, is_other);
        self.seen.frames.push((now, part));
        true
    }

    /// What is to be asked for now.
    pub(crate) fn ask(&mut self, now: Instant, round_trip: Duration) -> Vec<u16> {
        self.missed.retain(|_, missed| missed.asks < ASKS);
        let is_due = |missed: &Missed| missed.last.is_none_or(|at| now >= at + round_trip);
        let due = self.missed.iter_mut().filter(|(_, missed)| is_due(missed));
        let ask = |(number, missed): (&u64, &mut Missed)| {
            *missed = Missed { asks: missed.asks + 1, last: Some(now) };
            *number as u16
        };
        due.map(ask).collect()
    }

    /// Whether a keyframe is to be asked for now.
    pub(crate) fn needs_keyframe(&mut self, now: Instant) -> bool {
        let is_active = self.last.is_some_and(|at| now < at + ACTIVE);
        let stands = self.shown.is_some_and(|at| now >= at + NO_FRAME);
        let needs = is_active && stands && self.asked.is_none_or(|at| now >= at + AGAIN);
        if needs {
            self.asked = Some(now);
        }
        needs
    }

    /// The share lost since the last report, in 1/256, and the highest sequence number; `None` when nothing comes.
    pub(crate) fn report(&mut self, now: Instant) -> Option<(u8, u64)> {
        let highest = self.highest.filter(|_| self.last.is_some_and(|at| now < at + 2 * ACTIVE))?;
        let expected = highest - self.reported.replace(highest)?;
        let lost = expected.saturating_sub(std::mem::take(&mut self.received));
        Some(((256 * lost / expected.max(1)).min(255) as u8, highest))
    }
}
