//! What a viewer's network carries, and what its slots get of it: dividing, probing.

use super::Shard;
use crate::allocation::{self, Allotted, Candidate, Demand, Version};
use crate::types::{Layer, SlotId, Track};
use crate::viewer::{Feed, Slot, SlotAt};
use smallvec::SmallVec;

/// Most packets that a probe repeats at a time, those that were sent last: what a receiver has it knows to be a repetition.
const REPEATED: u16 = 32;

impl Shard {
    /// Divides what a viewer's network carries between its slots anew.
    pub(super) fn allot(&mut self, place: u32) {
        let Some(Some(viewer)) = self.viewers.get(place as usize) else { return };
        let sound = viewer
            .slot(SlotId::Audio)
            .and_then(|slot| slot.watching)
            .map_or(0, |at| self.encodings[at].rate(Layer::TOP));
        let demands: SmallVec<[Demand; 9]> = viewer.videos().iter().map(|slot| self.demand(slot)).collect();
        let bandwidth = &viewer.bandwidth;
        let (rate, kept) = (bandwidth.rate(), bandwidth.benefit_of_doubt(self.now));
        let divided = allocation::allocate(rate, kept, sound, bandwidth.is_limited(), &demands);
        // First of all, for it decides how a slot gets what it is given.
        if let Some(viewer) = self.viewer(place) {
            viewer.total = divided.total;
        }
        for (number, allotted) in divided.slots.into_iter().enumerate() {
            let at = SlotAt { place, slot: SlotId::Video(number as u8) };
            let now = self.now;
            let Some(slot) = self.slot(at).filter(|slot| slot.allotted != allotted) else { continue };
            slot.since = now;
            if std::mem::replace(&mut slot.allotted, allotted) == Allotted::Paused {
                slot.has_sent = false;
            }
            self.choose_encoding(at);
            self.report_slot(at);
        }
        if let Some(viewer) = self.viewer(place) {
            viewer.bandwidth.aim(divided.goal);
        }
        self.probe(place);
    }

    fn demand(&self, slot: &Slot) -> Demand {
        let dead = slot.dead.filter(|(_, until)| self.now < *until).map(|(at, _)| at);
        let wish = slot.wish.and_then(|wish| Some((wish, self.cameras.get(&wish.camera)?)));
        let wished = wish.into_iter().filter(|(_, camera)| camera.origin.is_some()).flat_map(|(wish, camera)| {
            let encodings = camera.encodings.iter().copied();
            encodings.filter(move |at| {
                let track = self.encodings[*at].id.track;
                track != Track::Audio && track.rank() <= wish.max.rank() && Some(*at) != dead
            })
        });
        // What is awaited in vain takes nothing from others.
        let is_silent = |at: usize| slot.watching == Some(at) && self.is_silent(slot, at);
        let version = |rank: u8| Version { rank, up_to: slot.allotted.up_to(rank) };
        let versions = |at: usize| {
            let (encoding, is_silent) = (&self.encodings[at], is_silent(at));
            let rank = encoding.id.track.rank();
            encoding.choices(version(rank).up_to).map(move |up_to| {
                let rate = if is_silent { 0 } else { encoding.rate(up_to) };
                Candidate { version: Version { rank, up_to }, rate }
            })
        };
        let mut candidates: SmallVec<[Candidate; 4]> = wished.flat_map(versions).collect();
        candidates.sort_by_key(|candidate| candidate.version);
        let is_wished = |at: &usize| slot.wish.is_some_and(|wish| wish.camera == self.encodings[*at].id.camera);
        let watched = slot.watching.into_iter().chain(slot.coming).filter(is_wished);
        let shown = watched.map(|at| version(self.encodings[at].id.track.rank())).max();
        Demand { priority: slot.wish.map_or(0, |wish| wish.priority), candidates, shown }
    }

    /// A viewer's probe begins, if there is one that has not begun.
    pub(super) fn probe(&mut self, place: u32) {
        let is_probing = self.viewer(place).is_some_and(|viewer| viewer.bandwidth.is_probing());
        if is_probing && !self.probing.contains(&place) {
            self.probing.push(place);
        }
    }

    /// Sends what probes need beside the pictures: again what was sent last, as retransmissions.
    pub(super) fn continue_probes(&mut self) {
        for place in std::mem::take(&mut self.probing) {
            let now = self.now;
            let Some(viewer) = self.viewer(place) else { continue };
            let sent = viewer.sent();
            let due = viewer.bandwidth.padding(now, sent);
            if viewer.bandwidth.is_probing() {
                self.probing.push(place);
                self.repeat(place, due);
            } else {
                self.allot(place);
            }
        }
    }

    /// Sends some `bytes` again, of the pictures that were sent to a viewer last.
    fn repeat(&mut self, place: u32, bytes: u64) {
        let Some(Some(viewer)) = self.viewers.get(place as usize) else { return };
        let is_apt = |slot: &Slot| slot.feed != Feed::Idle && slot.has_sent && slot.out.has_rtx();
        let Some(number) = viewer.videos().iter().position(is_apt) else { return };
        let at = SlotAt { place, slot: SlotId::Video(number as u8) };
        let Some(newest) = viewer.videos()[number].rewriter.newest() else { return };
        let mut left = bytes;
        let mut repeated = Vec::new();
        for back in 0..REPEATED {
            if left == 0 {
                break;
            }
            let Some((packet, place)) = self.sent(at, newest.wrapping_sub(back)) else { continue };
            left = left.saturating_sub(packet.payload.len() as u64);
            repeated.push((packet, place));
        }
        self.backlog.push_again(self.now, at, repeated);
    }
}

impl Allotted {
    /// Whether an encoding of this rank may be shown.
    pub(super) fn covers(self, rank: u8) -> bool {
        matches!(self, Self::UpTo(most) if rank <= most.rank)
    }

    /// The layer up to which an encoding of this rank is shown: smaller ones than the largest are whole.
    pub(crate) fn up_to(self, rank: u8) -> Layer {
        match self {
            Self::UpTo(most) if rank == most.rank => most.up_to,
            _ => Layer::TOP,
        }
    }
}
