//! Jobs to trains: what is to be sent is sealed only when the shell has room for it.

use super::{Output, Peer, Role, Shard};
use crate::fanout::{Arena, Train, Way, room_for, runs};
use crate::rewrite::Place;
use crate::srtp::Sealer;
use crate::types::{Packet, SlotId};
use crate::viewer::{Slot, SlotAt};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

/// Something to send.
pub(super) struct Job(Kind);

enum Kind {
    /// As it is.
    Datagram { to: SocketAddr, bytes: Vec<u8> },
    /// Packets to viewers: run by run, so that long frames are paced by the fan-out itself. The viewers are those of the
    /// moment when the packets were passed on: who joins after it has them from the ring.
    Media {
        encoding: usize,
        slots: Vec<SlotAt>,
        packets: Arc<[Packet]>,
        runs: Vec<Range<usize>>,
        run: usize,
        viewer: usize,
    },
    /// Packets again, to one slot.
    Again { slot: SlotAt, packets: Vec<(Packet, Place)>, next: usize },
}

impl Job {
    /// Packets of an encoding for these slots.
    pub(super) fn media(encoding: usize, slots: Vec<SlotAt>, packets: Arc<[Packet]>) -> Self {
        let runs = runs(&packets);
        Self(Kind::Media { encoding, slots, packets, runs, run: 0, viewer: 0 })
    }

    pub(super) fn again(slot: SlotAt, packets: Vec<(Packet, Place)>) -> Self {
        Self(Kind::Again { slot, packets, next: 0 })
    }
}

/// What one step of a job led to.
enum Step {
    Train(Train),
    /// The arena has no room for the next train.
    Full,
    /// Nothing for this viewer; go on.
    Nothing,
    Done,
}

impl Shard {
    /// Sends a datagram as it is.
    pub(super) fn send_datagram(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        self.jobs.push_back(Job(Kind::Datagram { to, bytes }));
    }

    /// What is to be done next; trains are sealed into `arena`.
    pub fn poll_output(&mut self, arena: &mut Arena) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            let mut job = self.jobs.pop_front()?;
            match self.step(&mut job, arena) {
                Step::Train(train) => {
                    self.jobs.push_front(job);
                    return Some(Output::Train(train));
                }
                Step::Full if arena.is_empty() => tracing::error!("a train is larger than the arena; dropped"),
                Step::Full => {
                    self.jobs.push_front(job);
                    return Some(Output::Full);
                }
                Step::Nothing => self.jobs.push_front(job),
                Step::Done => {}
            }
        }
    }

    fn step(&mut self, job: &mut Job, arena: &mut Arena) -> Step {
        match &mut job.0 {
            Kind::Datagram { bytes, .. } if bytes.is_empty() => Step::Done,
            Kind::Datagram { to, bytes } => {
                if !arena.has_room(bytes.len()) {
                    return Step::Full;
                }
                Step::Train(arena.put(*to, &std::mem::take(bytes)))
            }
            Kind::Media { encoding, slots, packets, runs, run, viewer } => {
                let Some(range) = runs.get(*run) else { return Step::Done };
                let Some(slot) = slots.get(*viewer) else {
                    *run += 1;
                    *viewer = 0;
                    return Step::Nothing;
                };
                let step = self.seal(*encoding, *slot, &packets[range.clone()], arena);
                *viewer += usize::from(!matches!(step, Step::Full));
                step
            }
            Kind::Again { slot, packets, next } => {
                let Some((packet, original)) = packets.get(*next) else { return Step::Done };
                let step = self.seal_again(*slot, packet, *original, arena);
                *next += usize::from(!matches!(step, Step::Full));
                step
            }
        }
    }

    /// Takes a slot off all jobs of media: it begins with something else, and what waits would go out under numbers that
    /// are not its own. Jobs are drained between two inputs, so there are few, none of them begun.
    pub(super) fn withdraw(&mut self, at: SlotAt) {
        for job in &mut self.jobs {
            if let Kind::Media { slots, .. } = &mut job.0 {
                slots.retain(|slot| *slot != at);
            }
        }
    }

    fn seal(&mut self, encoding: usize, at: SlotAt, packets: &[Packet], arena: &mut Arena) -> Step {
        if !arena.has_room(room_for(packets)) {
            return Step::Full;
        }
        let (now, send_time) = (self.now, self.send_time());
        let shows = |(_, _, slot): &(SocketAddr, &mut Sealer, &mut Slot)| slot.rewriter.source() == Some(encoding);
        let Some((to, sealer, slot)) = self.outward(at).filter(shows) else { return Step::Nothing };
        let before = slot.out.packets;
        let way = Way { to, send_time, sealer, arena };
        let Some(train) = slot.out.seal(packets, &mut slot.rewriter, way) else { return Step::Nothing };
        let sent = slot.out.packets - before;
        slot.last_sent = Some(now);
        let is_first = !std::mem::replace(&mut slot.has_sent, true);
        self.counters.packets_out += sent;
        self.counters.trains_out += 1;
        if is_first {
            self.began(at);
        }
        Step::Train(train)
    }

    fn seal_again(&mut self, at: SlotAt, packet: &Packet, original: Place, arena: &mut Arena) -> Step {
        if !arena.has_room(room_for(std::slice::from_ref(packet))) {
            return Step::Full;
        }
        let send_time = self.send_time();
        let again = self
            .outward(at)
            .and_then(|(to, sealer, slot)| slot.out.seal_again(packet, original, Way { to, send_time, sealer, arena }));
        let Some(train) = again else { return Step::Nothing };
        self.counters.retransmissions += 1;
        Step::Train(train)
    }

    /// A connected viewer's address and key, and one of its slots.
    fn outward(&mut self, at: SlotAt) -> Option<(SocketAddr, &mut Sealer, &mut Slot)> {
        let Peer { address: Some(to), role: Role::Viewer(viewer), .. } = self.peer_mut(at.place)? else { return None };
        let slot = match at.slot {
            SlotId::Video(number) => viewer.slots.get_mut(usize::from(number)),
            SlotId::Audio => viewer.audio.as_mut(),
        };
        Some((*to, viewer.sealer.as_mut()?, slot?))
    }

    /// 6.18 fixed point seconds since the shard began, modulo 64 s.
    fn send_time(&self) -> u32 {
        let micros = self.now.saturating_duration_since(self.origin).as_micros();
        ((micros << 18) / 1_000_000) as u32 & 0x00ff_ffff
    }
}
