//! What waits into trains: it is sealed only when the shell has room for it.

use super::backlog::Next;
use super::{Output, Shard};
use crate::fanout::{Arena, Train, Way, room_for};
use crate::types::{Layer, TransportAddress};
use crate::viewer::{Outward, Slot, SlotAt, Viewer};

/// What one step led to.
enum Step {
    Train(Train),
    /// The first since the feed of this slot began.
    First(Train, SlotAt),
    /// The arena has no room for the next train.
    Full,
    /// Nothing for this viewer; go on.
    Nothing,
}

impl Shard {
    /// Sends a datagram as it is.
    pub(super) fn send_datagram(&mut self, to: TransportAddress, bytes: Vec<u8>) {
        self.backlog.push_datagram(to, bytes);
    }

    /// What is to be done next; trains are sealed into `arena`.
    pub fn poll_output(&mut self, arena: &mut Arena) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            let step = self.step(arena)?;
            match step {
                Step::Full if !arena.is_empty() => return Some(Output::Full),
                Step::Full => tracing::error!("a train is larger than the arena; dropped"),
                _ => {}
            }
            self.counters.trains_late += self.backlog.advance(self.now);
            match step {
                Step::Train(train) => return Some(Output::Train(train)),
                Step::First(train, at) => {
                    self.began(at);
                    return Some(Output::Train(train));
                }
                Step::Full | Step::Nothing => {}
            }
        }
    }

    /// Seals what is next; `None` when nothing waits.
    fn step(&mut self, arena: &mut Arena) -> Option<Step> {
        let (now, send_time) = (self.now, self.send_time());
        let (room, viewers) = (|bytes| arena.has_room(bytes), &mut self.viewers);
        Some(match self.backlog.next()? {
            Next::Datagram { bytes, .. } if !room(bytes.len()) => Step::Full,
            Next::Media { room: needed, .. } if !room(needed) => Step::Full,
            Next::Again { packet, .. } if !room(room_for(std::slice::from_ref(packet))) => Step::Full,
            Next::Datagram { to, bytes } => Step::Train(arena.put(to, bytes)),
            Next::Media { encoding, slot: at, packets, .. } => {
                let shows = |(_, slot): &(_, &mut Slot)| {
                    slot.rewriter.source().is_some_and(|source| source.encoding.place == encoding)
                };
                let Some((outward, slot)) = outward(viewers, at).filter(shows) else { return Some(Step::Nothing) };
                let Outward { to, sealer, departures } = outward;
                let (before, bytes) = (slot.out.packets, slot.out.bytes());
                let way = Way { to, send_time, number: departures.as_ref().map_or(0, |d| d.next()), sealer, arena };
                let up_to = slot.allotted.up_to(self.encodings[encoding].id.track.rank());
                let train = slot.out.seal(packets, &mut slot.rewriter, up_to, way);
                let sealed = slot.out.packets - before;
                if up_to < Layer::TOP {
                    self.counters.packets_thinned += packets.len() as u64 - sealed;
                }
                let Some(train) = train else { return Some(Step::Nothing) };
                if let Some(departures) = departures {
                    departures.leave(now, sealed as u16, (slot.out.bytes() - bytes) as u32);
                }
                slot.last_sent = Some(now);
                self.counters.packets_out += sealed;
                self.counters.trains_out += 1;
                match std::mem::replace(&mut slot.has_sent, true) {
                    true => Step::Train(train),
                    false => Step::First(train, at),
                }
            }
            Next::Again { slot: at, packet, original } => {
                let Some((Outward { to, sealer, departures }, slot)) = outward(viewers, at) else {
                    return Some(Step::Nothing);
                };
                let bytes = slot.out.bytes();
                let way = Way { to, send_time, number: departures.as_ref().map_or(0, |d| d.next()), sealer, arena };
                let Some(train) = slot.out.seal_again(packet, original, way) else { return Some(Step::Nothing) };
                if let Some(departures) = departures {
                    departures.leave(now, 1, (slot.out.bytes() - bytes) as u32);
                }
                self.counters.retransmissions += 1;
                Step::Train(train)
            }
        })
    }

    /// 6.18 fixed point seconds since the shard began, modulo 64 s.
    fn send_time(&self) -> u32 {
        let micros = self.now.saturating_duration_since(self.origin).as_micros() as u64;
        (((micros % 64_000_000) << 18) / 1_000_000) as u32 & 0x00ff_ffff
    }
}

/// What leads to a connected viewer, and one of its slots.
fn outward(viewers: &mut [Option<Viewer>], at: SlotAt) -> Option<(Outward<'_>, &mut Slot)> {
    viewers.get_mut(at.place as usize)?.as_mut()?.outward(at.slot)
}
