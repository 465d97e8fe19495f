//! What waits to be sealed and sent.
//!
//! Datagrams go first: peers wait for these answers, and they are few. Then encodings take turns, [`TURN`] trains each, so
//! that a keyframe for thousands of viewers holds up nobody else's picture; retransmissions have a turn among them.
//!
//! Invariants: the packets of an encoding leave for a slot in the order in which they were passed on; whoever is first in
//! turn has something to send; nothing waits longer than [`MAX_WAIT`], so that memory has a bound where the machine is too
//! slow.

use crate::fanout::{Run, runs};
use crate::rewrite::Place;
use crate::types::{Packet, TransportAddress};
use crate::viewer::SlotAt;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Trains that leave in one turn: about as many as the shell's send buffer holds.
const TURN: u32 = 64;
/// What has waited for so long is dropped: nobody wants a live picture that old.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Default)]
pub(super) struct Backlog {
    datagrams: VecDeque<(TransportAddress, Vec<u8>)>,
    turns: VecDeque<Turn>,
    /// Trains that have left in the present turn.
    used: u32,
    /// By the encodings' slots.
    media: Vec<VecDeque<Media>>,
    again: VecDeque<Again>,
}

/// Whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// This encoding's.
    Media(usize),
    Again,
}

/// Packets to viewers: all of a frame to one, then to the next, so that half of them have it when half of the work is done.
/// The viewers are those of the moment when the packets were passed on: who joins after it has them from the ring.
struct Media {
    since: Instant,
    slots: Vec<SlotAt>,
    packets: Arc<[Packet]>,
    runs: Vec<Run>,
    run: usize,
    viewer: usize,
}

/// Packets again, to one slot.
struct Again {
    since: Instant,
    slot: SlotAt,
    packets: Vec<(Packet, Place)>,
    next: usize,
}

/// What is to be sent next.
pub(super) enum Next<'a> {
    /// As it is.
    Datagram { to: TransportAddress, bytes: &'a [u8] },
    /// These packets of an encoding to a slot, as one train.
    Media { encoding: usize, slot: SlotAt, packets: &'a [Packet], room: usize },
    /// This packet to a slot again.
    Again { slot: SlotAt, packet: &'a Packet, original: Place },
}

impl Backlog {
    pub(super) fn push_datagram(&mut self, to: TransportAddress, bytes: Vec<u8>) {
        self.datagrams.push_back((to, bytes));
    }

    /// Packets of an encoding for these slots.
    pub(super) fn push_media(&mut self, now: Instant, encoding: usize, slots: Vec<SlotAt>, packets: Arc<[Packet]>) {
        let runs = runs(&packets);
        if slots.is_empty() || runs.is_empty() {
            return;
        }
        if self.media.len() <= encoding {
            self.media.resize_with(encoding + 1, VecDeque::new);
        }
        if self.media[encoding].is_empty() {
            self.turns.push_back(Turn::Media(encoding));
        }
        self.media[encoding].push_back(Media { since: now, slots, packets, runs, run: 0, viewer: 0 });
    }

    /// Packets for a slot again.
    pub(super) fn push_again(&mut self, now: Instant, slot: SlotAt, packets: Vec<(Packet, Place)>) {
        if packets.is_empty() {
            return;
        }
        if self.again.is_empty() {
            self.turns.push_back(Turn::Again);
        }
        self.again.push_back(Again { since: now, slot, packets, next: 0 });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.datagrams.is_empty() && self.turns.is_empty()
    }

    /// What is to be sent next; the same until [`Self::advance`].
    pub(super) fn next(&self) -> Option<Next<'_>> {
        if let Some((to, bytes)) = self.datagrams.front() {
            return Some(Next::Datagram { to: *to, bytes });
        }
        match *self.turns.front()? {
            Turn::Media(encoding) => {
                let job = self.media[encoding].front()?;
                let Run { range, room } = &job.runs[job.run];
                let (slot, packets) = (job.slots[job.viewer], &job.packets[range.clone()]);
                Some(Next::Media { encoding, slot, packets, room: *room })
            }
            Turn::Again => {
                let job = self.again.front()?;
                let (packet, original) = &job.packets[job.next];
                Some(Next::Again { slot: job.slot, packet, original: *original })
            }
        }
    }

    /// What was next has left, or is not to.
    ///
    /// Returns how many trains were dropped because they have waited too long.
    pub(super) fn advance(&mut self, now: Instant) -> u64 {
        if self.datagrams.pop_front().is_some() {
            return 0;
        }
        let Some(turn) = self.turns.front().copied() else { return 0 };
        match turn {
            Turn::Media(encoding) => {
                if let Some(job) = self.media[encoding].front_mut() {
                    job.advance();
                }
            }
            Turn::Again => {
                if let Some(job) = self.again.front_mut() {
                    job.next += 1;
                }
            }
        }
        self.used += 1;
        let mut late = 0;
        if self.used == TURN {
            self.turns.rotate_left(1);
            self.used = 0;
            late = self.drop_late(now);
        }
        self.settle();
        late
    }

    /// Takes a slot off all that waits of an encoding, and off what waits to go out again: it begins with something else,
    /// and what waits would go out under numbers that are not its own.
    pub(super) fn withdraw(&mut self, at: SlotAt, encoding: usize) {
        for job in self.media.get_mut(encoding).into_iter().flatten() {
            job.withdraw(at);
        }
        self.withdraw_again(at);
    }

    /// Takes a slot off what waits to go out again.
    pub(super) fn withdraw_again(&mut self, at: SlotAt) {
        self.again.retain(|job| job.slot != at);
        self.settle_all();
    }

    /// Drops all that waits of an encoding.
    pub(super) fn drop_media(&mut self, encoding: usize) {
        if let Some(jobs) = self.media.get_mut(encoding) {
            *jobs = VecDeque::new();
            self.settle_all();
        }
    }

    /// Drops what has waited too long in the turn that begins; returns how many trains.
    fn drop_late(&mut self, now: Instant) -> u64 {
        let is_late = |since: Instant| now >= since + MAX_WAIT;
        let mut late = 0;
        match self.turns.front().copied() {
            Some(Turn::Media(encoding)) => {
                while let Some(job) = self.media[encoding].pop_front_if(|job| is_late(job.since)) {
                    late += job.left() as u64;
                }
            }
            Some(Turn::Again) => {
                while let Some(job) = self.again.pop_front_if(|job| is_late(job.since)) {
                    late += (job.packets.len() - job.next) as u64;
                }
            }
            None => {}
        }
        late
    }

    /// Whoever has nothing more to send gives up the present turn.
    fn settle(&mut self) {
        while let Some(turn) = self.turns.front().copied() {
            let is_empty = match turn {
                Turn::Media(encoding) => {
                    while self.media[encoding].pop_front_if(|job| job.is_done()).is_some() {}
                    self.media[encoding].is_empty()
                }
                Turn::Again => {
                    while self.again.pop_front_if(|job| job.next == job.packets.len()).is_some() {}
                    self.again.is_empty()
                }
            };
            if !is_empty {
                return;
            }
            self.turns.pop_front();
            self.used = 0;
        }
    }

    /// The same for all turns, after something was taken off what waits.
    fn settle_all(&mut self) {
        let (media, again) = (&mut self.media, &self.again);
        self.turns.retain(|turn| match *turn {
            Turn::Media(encoding) => {
                media[encoding].retain(|job| !job.is_done());
                !media[encoding].is_empty()
            }
            Turn::Again => !again.is_empty(),
        });
    }
}

impl Media {
    fn is_done(&self) -> bool {
        self.viewer >= self.slots.len()
    }

    /// Trains that it still is.
    fn left(&self) -> usize {
        (self.slots.len() - self.viewer) * self.runs.len() - self.run
    }

    fn advance(&mut self) {
        self.run += 1;
        if self.run == self.runs.len() {
            self.run = 0;
            self.viewer += 1;
        }
    }

    fn withdraw(&mut self, at: SlotAt) {
        let Some(place) = self.slots.iter().position(|slot| *slot == at) else { return };
        self.slots.remove(place);
        if place < self.viewer {
            self.viewer -= 1;
        } else if place == self.viewer {
            self.run = 0;
        }
    }
}
