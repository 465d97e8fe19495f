//! The packets of one encoding, stored once for all its viewers: answers retransmission requests and holds the group of
//! pictures (GOP) that a new viewer starts from.
//!
//! Invariants: at most `max_bytes` of payload and [`MAX_PACKETS`] packets are held, and of what came before the GOP no more
//! than [`KEPT`]; the GOP is offered only while it is whole from its first packet on; where a packet stands is said once,
//! and never said of two that count.

use crate::Packet;
use crate::types::{Layer, Standing};
use std::collections::VecDeque;
use std::time::Duration;

/// How long packets from before the GOP are held: whoever still misses one then begins anew.
pub const KEPT: Duration = Duration::from_secs(3);
/// Most packets held, and so the longest answerable reordering.
pub const MAX_PACKETS: usize = 8192;

/// A packet, or where one is missing: the publisher's network lost it.
#[derive(Debug)]
enum Slot {
    Held(Packet),
    Missing(Standing),
}

impl Slot {
    fn held(&self) -> Option<&Packet> {
        match self {
            Self::Held(packet) => Some(packet),
            Self::Missing(_) => None,
        }
    }

    fn standing(&self) -> &Standing {
        match self {
            Self::Held(packet) => &packet.standing,
            Self::Missing(standing) => standing,
        }
    }
}

/// Packets by index, newest last.
#[derive(Debug)]
pub struct Ring {
    slots: VecDeque<Slot>,
    /// Index of the first slot.
    first: u64,
    bytes: usize,
    max_bytes: usize,
    gop: Option<u64>,
    /// RTP timestamp of the newest packet.
    newest: u32,
    /// Where the next packet will stand.
    next: Standing,
}

impl Ring {
    /// An empty ring for at most so many payload bytes.
    pub fn new(max_bytes: usize) -> Self {
        let next = Standing::default();
        Self { slots: VecDeque::new(), first: 0, bytes: 0, max_bytes, gop: None, newest: 0, next }
    }

    /// Stores a packet, and says where it stands. False when it is held already or too old.
    pub fn insert(&mut self, packet: &mut Packet) -> bool {
        if self.slots.is_empty() {
            self.first = packet.index;
        }
        if packet.index < self.first {
            return false;
        }
        let place = packet.index - self.first;
        if place >= (self.slots.len() + MAX_PACKETS) as u64 {
            self.next.skip(place - self.slots.len() as u64);
            self.clear();
            self.first = packet.index;
        }
        let place = (packet.index - self.first) as usize;
        packet.standing = match self.slots.get(place) {
            Some(Slot::Held(_)) => return false,
            Some(Slot::Missing(standing)) => Standing { is_late: true, ..*standing },
            None => self.append(place, packet.layer),
        };
        self.bytes += packet.payload.len();
        if packet.starts_gop && self.gop_start().is_none_or(|gop| gop.index < packet.index || gop.time == packet.time) {
            self.gop = Some(packet.index);
        }
        self.slots[place] = Slot::Held(packet.clone());
        if place + 1 == self.slots.len() {
            self.newest = packet.time;
        }
        self.shrink();
        true
    }

    /// Makes room for a packet of this layer at the end; answers where it stands.
    fn append(&mut self, place: usize, layer: Layer) -> Standing {
        while self.slots.len() < place {
            self.slots.push_back(Slot::Missing(self.next));
            self.next.skip(1);
        }
        let standing = self.next;
        self.slots.push_back(Slot::Missing(standing));
        self.next.pass(layer);
        standing
    }

    fn shrink(&mut self) {
        while self.bytes > self.max_bytes || self.slots.len() > MAX_PACKETS || self.is_oldest_spent() {
            let Some(oldest) = self.slots.pop_front() else { return };
            self.bytes -= oldest.held().map_or(0, |p| p.payload.len());
            if self.gop == Some(self.first) {
                self.gop = None;
            }
            self.first += 1;
        }
    }

    /// Whether the oldest packet is of use to nobody any more. A hole is as old as what follows it.
    fn is_oldest_spent(&self) -> bool {
        let is_before_gop = self.gop.is_some_and(|gop| self.first < gop);
        is_before_gop
            && self.slots.iter().find_map(Slot::held).is_some_and(|packet| {
                let age = self.newest.wrapping_sub(packet.time);
                age < 1 << 31 && age > packet.codec.ticks(KEPT)
            })
    }

    /// Forgets everything: the publisher started anew.
    pub fn clear(&mut self) {
        // Its memory too: an encoding may never come again.
        self.slots = VecDeque::new();
        self.bytes = 0;
        self.gop = None;
    }

    /// The packet with this index, if it is held.
    pub fn packet(&self, index: u64) -> Option<&Packet> {
        let place = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.slots.get(place)?.held()
    }

    /// The packet that counts up to this layer and has this number there, if it is held.
    pub fn numbered(&self, number: u64, up_to: Layer) -> Option<&Packet> {
        let Some(layer) = Some(up_to.place()).filter(|_| up_to < Layer::TOP) else { return self.packet(number) };
        // Those that do not count have the number of the next one, which is the last of them.
        let after = self.slots.partition_point(|slot| slot.standing().before[layer] <= number);
        let packet = self.slots.get(after.checked_sub(1)?)?.held()?;
        Some(packet).filter(|packet| packet.number(up_to) == number && packet.counts(up_to))
    }

    /// The first packet of the newest GOP, if all of it since is within the ring's bounds.
    pub fn gop_start(&self) -> Option<&Packet> {
        self.packet(self.gop?)
    }

    /// Index of the oldest packet.
    pub fn begin(&self) -> u64 {
        self.first
    }

    /// Index after the newest packet.
    pub fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// The packets held with `from <= index < to`, in order.
    pub fn range(&self, from: u64, to: u64) -> impl Iterator<Item = &Packet> {
        let len = self.slots.len() as u64;
        let start = from.saturating_sub(self.first).min(len) as usize;
        let end = to.saturating_sub(self.first).min(len) as usize;
        self.slots.range(start..end.max(start)).filter_map(Slot::held)
    }

    /// Payload bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Standing {
    /// So many packets are missing.
    fn skip(&mut self, packets: u64) {
        self.before = self.before.map(|before| before.wrapping_add(packets));
    }

    /// After a packet of this layer.
    fn pass(&mut self, layer: Layer) {
        self.before[layer.place()..].iter_mut().for_each(|before| *before = before.wrapping_add(1));
    }
}
