//! The store of an encoding's packets: its bounds, and the group of pictures it offers.

use bytes::Bytes;
use proptest::prelude::*;
use sfu_core::ring::{KEPT, MAX_PACKETS, Ring};
use sfu_core::{Codec, Layer, Packet, Standing};
use std::collections::BTreeMap;

/// From one packet to the next, in ticks: some hundreds are as old as what is kept for retransmissions.
const TICKS: u64 = 600;

fn packet(index: u64, len: usize, starts_gop: bool) -> Packet {
    Packet {
        index,
        time: index.wrapping_mul(TICKS) as u32,
        marker: false,
        starts_gop,
        codec: Codec::H264,
        layer: Layer::BASE,
        payload: Bytes::from(vec![0; len]),
        standing: Standing::default(),
    }
}

fn filled(max_bytes: usize, indices: impl IntoIterator<Item = u64>) -> Ring {
    let mut ring = Ring::new(max_bytes);
    for index in indices {
        assert!(ring.insert(&mut packet(index, 10, false)), "{index}");
    }
    ring
}

fn indices(ring: &Ring, from: u64, to: u64) -> Vec<u64> {
    ring.range(from, to).map(|p| p.index).collect()
}

fn gop(ring: &Ring) -> Option<u64> {
    ring.gop_start().map(|p| p.index)
}

#[test]
fn an_empty_ring_holds_nothing() {
    let ring = Ring::new(100);
    assert_eq!((ring.bytes(), ring.end(), gop(&ring)), (0, 0, None));
    assert!(ring.packet(0).is_none());
    assert!(indices(&ring, 0, u64::MAX).is_empty());
}

#[test]
fn the_oldest_packets_go_when_the_bytes_are_too_many() {
    let ring = filled(35, 100..110);
    assert_eq!(ring.bytes(), 30);
    assert_eq!(indices(&ring, 0, u64::MAX), [107, 108, 109]);
    assert!(ring.packet(106).is_none());
    assert_eq!(ring.end(), 110);
}

#[test]
fn the_oldest_packets_go_when_the_packets_are_too_many() {
    let count = MAX_PACKETS as u64;
    let ring = filled(usize::MAX, 0..count + 5);
    assert_eq!(ring.range(0, u64::MAX).count(), MAX_PACKETS);
    assert!(ring.packet(4).is_none());
    assert!(ring.packet(5).is_some());
}

#[test]
fn a_hole_counts_as_a_packet_of_the_bound() {
    let last = MAX_PACKETS as u64;
    let ring = filled(usize::MAX, [0, 1, last]);
    assert_eq!(indices(&ring, 0, u64::MAX), [1, last]);
}

#[test]
fn packets_out_of_order_come_out_in_order() {
    let ring = filled(usize::MAX, [5, 9, 7, 6, 8]);
    assert_eq!(indices(&ring, 0, u64::MAX), [5, 6, 7, 8, 9]);
}

#[test]
fn a_packet_comes_once() {
    let mut ring = filled(usize::MAX, [5, 6]);
    assert!(!ring.insert(&mut packet(5, 20, true)));
    assert_eq!(ring.bytes(), 20);
    assert_eq!(gop(&ring), None, "what the second one says does not count");
}

#[test]
fn a_packet_older_than_the_oldest_is_refused() {
    let mut ring = filled(20, [5, 6, 7]);
    assert!(!ring.insert(&mut packet(5, 1, true)));
    assert!(!ring.insert(&mut packet(4, 1, true)));
    assert_eq!(indices(&ring, 0, 100), [6, 7]);
}

#[test]
fn a_jump_ahead_begins_anew() {
    let mut ring = Ring::new(usize::MAX);
    ring.insert(&mut packet(0, 10, true));
    let beyond = 1 + MAX_PACKETS as u64;
    assert!(ring.insert(&mut packet(beyond, 10, false)));
    assert_eq!((ring.bytes(), gop(&ring)), (10, None));
    assert_eq!(indices(&ring, 0, u64::MAX), [beyond]);
    assert!(ring.insert(&mut packet(u64::MAX - 1, 10, false)), "also the longest one");
    assert_eq!(indices(&ring, 0, u64::MAX), [u64::MAX - 1]);
}

#[test]
fn the_newest_gop_is_offered() {
    let mut ring = Ring::new(usize::MAX);
    ring.insert(&mut packet(1, 10, true));
    assert_eq!(gop(&ring), Some(1));
    ring.insert(&mut packet(2, 10, false));
    ring.insert(&mut packet(4, 10, true));
    assert_eq!(gop(&ring), Some(4));
    ring.insert(&mut packet(3, 10, true));
    assert_eq!(gop(&ring), Some(4), "a late one is not the newest");
}

#[test]
fn what_came_before_the_gop_is_held_as_long_as_it_may_be_asked_for_again() {
    let second = Codec::H264.ticks(KEPT) / 2;
    let at = |index: u64, starts_gop| Packet { time: index as u32 * second, ..packet(index, 10, starts_gop) };
    let mut ring = Ring::new(usize::MAX);
    for index in 1..=5 {
        ring.insert(&mut at(index, index == 1));
    }
    assert_eq!(indices(&ring, 0, u64::MAX), [1, 2, 3, 4, 5], "a GOP is held whole, however long");
    ring.insert(&mut at(6, true));
    assert_eq!(indices(&ring, 0, u64::MAX), [4, 5, 6]);
    // 8 does not come.
    ring.insert(&mut at(9, false));
    assert_eq!(indices(&ring, 0, u64::MAX), [6, 9]);
    assert_eq!(gop(&ring), Some(6));
}

#[test]
fn a_gop_whose_first_packet_is_gone_is_not_offered() {
    let mut ring = Ring::new(35);
    ring.insert(&mut packet(1, 10, true));
    ring.insert(&mut packet(2, 10, false));
    ring.insert(&mut packet(3, 10, false));
    assert_eq!(gop(&ring), Some(1));
    ring.insert(&mut packet(4, 10, false));
    assert_eq!(gop(&ring), None);
    ring.insert(&mut packet(5, 10, true));
    assert_eq!(gop(&ring), Some(5));
}

#[test]
fn a_packet_larger_than_the_ring_is_not_held() {
    let mut ring = filled(35, [1, 2]);
    ring.insert(&mut packet(3, 36, true));
    assert_eq!((ring.bytes(), gop(&ring)), (0, None));
    assert!(ring.packet(3).is_none());
    assert!(ring.insert(&mut packet(4, 10, true)));
    assert_eq!(gop(&ring), Some(4));
}

#[test]
fn a_range_is_cut_to_what_is_held() {
    let ring = filled(usize::MAX, [10, 11, 13, 14]);
    for (from, to, held) in [
        (0, 10, &[][..]),
        (0, 11, &[10]),
        (11, 14, &[11, 13]),
        (12, 13, &[]),
        (14, 14, &[]),
        (14, 11, &[]),
        (14, 99, &[14]),
        (15, 99, &[]),
        (u64::MAX, u64::MAX, &[]),
        (u64::MAX, 0, &[]),
    ] {
        assert_eq!(indices(&ring, from, to), held, "{from}..{to}");
    }
}

#[test]
fn a_cleared_ring_takes_any_index() {
    let mut ring = filled(usize::MAX, 1000..1010);
    ring.insert(&mut packet(1010, 10, true));
    ring.clear();
    assert_eq!((ring.bytes(), gop(&ring)), (0, None));
    assert!(ring.insert(&mut packet(3, 10, true)));
    assert_eq!((gop(&ring), ring.end()), (Some(3), 4));
}

/// What a ring is meant to be, said with a map: (length, begins a GOP) by index.
struct Model {
    held: BTreeMap<u64, (usize, bool)>,
    first: u64,
    end: u64,
    max_bytes: usize,
    /// Newest index that began a GOP.
    gop: Option<u64>,
}

impl Model {
    fn bytes(&self) -> usize {
        self.held.values().map(|(len, _)| len).sum()
    }

    fn insert(&mut self, packet: &Packet) -> bool {
        if self.first == self.end || packet.index >= self.end + MAX_PACKETS as u64 {
            if self.first != self.end && packet.index < self.first {
                return false;
            }
            self.held.clear();
            self.gop = None;
            (self.first, self.end) = (packet.index, packet.index);
        }
        if packet.index < self.first || self.held.contains_key(&packet.index) {
            return false;
        }
        self.held.insert(packet.index, (packet.payload.len(), packet.starts_gop));
        if packet.starts_gop {
            self.gop = self.gop.max(Some(packet.index));
        }
        self.end = self.end.max(packet.index + 1);
        while self.bytes() > self.max_bytes || self.end - self.first > MAX_PACKETS as u64 {
            self.held.remove(&self.first);
            self.first += 1;
        }
        let kept = u64::from(Codec::H264.ticks(KEPT)) / TICKS;
        while self.gop.is_some_and(|gop| self.first < gop)
            && self.held.first_key_value().is_some_and(|(oldest, _)| self.end - 1 - oldest > kept)
        {
            self.held.remove(&self.first);
            self.first += 1;
        }
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_is_a_bounded_map(
        max_bytes in 0..2000usize,
        steps in proptest::collection::vec(
            (prop_oneof![12 => Just(0i64), 4 => -30..30i64, 1 => -20_000..20_000i64], 0..60usize, any::<bool>()),
            1..150,
        ),
    ) {
        let mut ring = Ring::new(max_bytes);
        let mut model = Model { held: BTreeMap::new(), first: 0, end: 0, max_bytes, gop: None };
        let mut next = 100_000i64;
        for (offset, len, starts_gop) in steps {
            let index = (next + offset).max(0) as u64;
            next = next.max(index as i64 + 1);
            let mut packet = packet(index, len, starts_gop);
            prop_assert_eq!(ring.insert(&mut packet), model.insert(&packet), "{}", index);

            prop_assert!(ring.bytes() <= max_bytes);
            prop_assert_eq!(ring.bytes(), model.bytes());
            let held: Vec<u64> = model.held.keys().copied().collect();
            prop_assert!(held.len() <= MAX_PACKETS);
            prop_assert_eq!(indices(&ring, 0, u64::MAX), held);
            let (from, to) = (index.saturating_sub(20), index + 5);
            let part: Vec<u64> = model.held.range(from..to).map(|(i, _)| *i).collect();
            prop_assert_eq!(indices(&ring, from, to), part);
            for at in from..to {
                prop_assert_eq!(ring.packet(at).map(|p| p.index), model.held.get(&at).map(|_| at));
            }
            prop_assert_eq!(gop(&ring), model.gop.filter(|g| model.held.contains_key(g)));
        }
    }
}

/// A run of packets of one layer; some of them come late, or never.
fn layered() -> impl Strategy<Value = Vec<(Layer, u8)>> {
    let layer = (0u8..4).prop_map(Layer::new);
    let run = (layer, proptest::collection::vec(0u8..20, 1..6));
    let runs = proptest::collection::vec(run, 1..60);
    runs.prop_map(|runs| {
        runs.into_iter().flat_map(|(layer, run)| run.into_iter().map(move |fate| (layer, fate))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn up_to_each_layer_packets_are_numbered_in_order_and_found_by_their_numbers(packets in layered()) {
        let mut ring = Ring::new(1 << 20);
        let packets: Vec<(u64, Layer, u8)> =
            packets.into_iter().enumerate().map(|(at, (layer, fate))| (100 + at as u64, layer, fate)).collect();
        let in_order = packets.iter().filter(|(_, _, fate)| *fate > 3);
        let late = packets.iter().filter(|(_, _, fate)| (2..=3).contains(fate)).rev();
        let mut held = BTreeMap::new();
        for (index, layer, _) in in_order.chain(late) {
            let mut packet = Packet { layer: *layer, ..packet(*index, 10, false) };
            if ring.insert(&mut packet) {
                held.insert(*index, packet);
            }
        }
        for up_to in Layer::ALL {
            let counting: Vec<&Packet> = held.values().filter(|packet| packet.counts(up_to)).collect();
            for pair in counting.windows(2) {
                let between = |held: &&Packet| pair[0].index < held.index && held.index < pair[1].index;
                let left_out = held.values().filter(between).count() as u64;
                let missing = pair[1].index - pair[0].index - 1 - left_out;
                let step = pair[1].number(up_to) - pair[0].number(up_to);
                prop_assert_eq!(step, 1 + missing, "what is missing counts, and what is left out does not");
            }
            for packet in &counting {
                prop_assert_eq!(ring.numbered(packet.number(up_to), up_to).map(|found| found.index), Some(packet.index));
            }
            let numbers: Vec<u64> = counting.iter().map(|packet| packet.number(up_to)).collect();
            for number in 0..packets.len() as u64 + 200 {
                let found = ring.numbered(number, up_to);
                prop_assert_eq!(found.is_some(), numbers.contains(&number), "{}", number);
            }
            let shown = |packet: &&Packet| !packet.shown(up_to).is_empty();
            prop_assert!(counting.into_iter().filter(shown).all(|packet| packet.layer <= up_to));
        }
    }
}
