//! The packets of one encoding, stored once for all its viewers: answers retransmission requests and holds the group of
//! pictures (GOP) that a new viewer starts from.
//!
//! Invariants: at most `max_bytes` of payload and [`MAX_PACKETS`] packets are held, and of what came before the GOP no more
//! than [`KEPT`]; the GOP is offered only while it is whole from its first packet on.

use crate::Packet;
use std::collections::VecDeque;
use std::time::Duration;

/// How long packets from before the GOP are held: whoever still misses one then begins anew.
pub const KEPT: Duration = Duration::from_secs(3);
/// Most packets held, and so the longest answerable reordering.
pub const MAX_PACKETS: usize = 8192;

/// Packets by index, newest last. Holes are packets that the publisher's network lost.
#[derive(Debug)]
pub struct Ring {
    slots: VecDeque<Option<Packet>>,
    /// Index of the first slot.
    first: u64,
    bytes: usize,
    max_bytes: usize,
    gop: Option<u64>,
    /// RTP timestamp of the newest packet.
    newest: u32,
}

impl Ring {
    /// An empty ring for at most so many payload bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self { slots: VecDeque::new(), first: 0, bytes: 0, max_bytes, gop: None, newest: 0 }
    }

    /// Stores a packet. False when it is held already or too old.
    pub fn insert(&mut self, packet: &Packet) -> bool {
        if self.slots.is_empty() {
            self.first = packet.index;
        }
        if packet.index < self.first {
            return false;
        }
        let place = packet.index - self.first;
        if place >= (self.slots.len() + MAX_PACKETS) as u64 {
            self.clear();
            self.first = packet.index;
        }
        let place = (packet.index - self.first) as usize;
        if place >= self.slots.len() {
            self.slots.resize(place + 1, None);
        } else if self.slots[place].is_some() {
            return false;
        }
        self.bytes += packet.payload.len();
        if packet.starts_gop && self.gop_start().is_none_or(|gop| gop.index < packet.index || gop.time == packet.time) {
            self.gop = Some(packet.index);
        }
        self.slots[place] = Some(packet.clone());
        if place + 1 == self.slots.len() {
            self.newest = packet.time;
        }
        self.shrink();
        true
    }

    fn shrink(&mut self) {
        while self.bytes > self.max_bytes || self.slots.len() > MAX_PACKETS || self.is_oldest_spent() {
            let Some(oldest) = self.slots.pop_front() else { return };
            self.bytes -= oldest.map_or(0, |p| p.payload.len());
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
            && self.slots.iter().flatten().next().is_some_and(|packet| {
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
        self.slots.get(place)?.as_ref()
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
        self.slots.range(start..end.max(start)).flatten()
    }

    /// Payload bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
