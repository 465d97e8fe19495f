//! Transport-wide feedback is read as another implementation writes it, and nothing else is.

use proptest::prelude::*;
use rtc_rtcp::packet::marshal;
use rtc_rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, RunLengthChunk, StatusChunkTypeTcc, StatusVectorChunk, SymbolSizeTypeTcc,
    SymbolTypeTcc, TYPE_TCC_DELTA_SCALE_FACTOR, TransportLayerCc,
};
use sfu_core::Ssrc;
use sfu_core::arrivals::Report;
use sfu_core::rtcp;
use sfu_core::transport_feedback::{MAX_STATUSES, TransportFeedback};

fn symbol(delta: Option<i16>) -> SymbolTypeTcc {
    match delta {
        None => SymbolTypeTcc::PacketNotReceived,
        Some(0..=255) => SymbolTypeTcc::PacketReceivedSmallDelta,
        Some(_) => SymbolTypeTcc::PacketReceivedLargeDelta,
    }
}

/// The first chunk of these symbols, of the kind that suits them, and how many it holds.
fn chunk(symbols: &[SymbolTypeTcc]) -> (PacketStatusChunk, usize) {
    let same = symbols.iter().take_while(|symbol| **symbol == symbols[0]).count();
    let vector = |symbol_size, most: usize| {
        let symbol_list = symbols[..most.min(symbols.len())].to_vec();
        let len = symbol_list.len();
        let type_tcc = StatusChunkTypeTcc::StatusVectorChunk;
        (PacketStatusChunk::StatusVectorChunk(StatusVectorChunk { type_tcc, symbol_size, symbol_list }), len)
    };
    let is_large = |symbol: &SymbolTypeTcc| *symbol == SymbolTypeTcc::PacketReceivedLargeDelta;
    if same > 7 {
        let (type_tcc, packet_status_symbol) = (StatusChunkTypeTcc::RunLengthChunk, symbols[0]);
        let run = RunLengthChunk { type_tcc, packet_status_symbol, run_length: same as u16 };
        (PacketStatusChunk::RunLengthChunk(run), same)
    } else if symbols.iter().take(14).any(is_large) {
        vector(SymbolSizeTypeTcc::TwoBit, 7)
    } else {
        vector(SymbolSizeTypeTcc::OneBit, 14)
    }
}

/// Feedback as rtc-rtcp writes it.
fn write(base: u16, reference: u32, deltas: &[Option<i16>]) -> Vec<u8> {
    let symbols: Vec<SymbolTypeTcc> = deltas.iter().copied().map(symbol).collect();
    let (mut packet_chunks, mut rest) = (Vec::new(), symbols.as_slice());
    while !rest.is_empty() {
        let (chunk, len) = chunk(rest);
        packet_chunks.push(chunk);
        rest = &rest[len..];
    }
    let delta = |delta: &Option<i16>| {
        let ticks = i64::from((*delta)?);
        Some(RecvDelta { type_tcc_packet: symbol(*delta), delta: ticks * TYPE_TCC_DELTA_SCALE_FACTOR })
    };
    let feedback = TransportLayerCc {
        sender_ssrc: 1,
        media_ssrc: 2,
        base_sequence_number: base,
        packet_status_count: deltas.len() as u16,
        reference_time: reference,
        fb_pkt_count: 3,
        packet_chunks,
        recv_deltas: deltas.iter().filter_map(delta).collect(),
    };
    marshal(&[Box::new(feedback)]).expect("well-formed").to_vec()
}

/// What it means.
fn meaning(base: u16, reference: u32, deltas: &[Option<i16>]) -> Vec<(u16, Option<u32>)> {
    let mut ticks = reference.wrapping_mul(256);
    let one = |(at, delta): (usize, &Option<i16>)| {
        let came = delta.map(|delta| {
            ticks = ticks.wrapping_add_signed(i32::from(delta));
            ticks
        });
        (base.wrapping_add(at as u16), came)
    };
    deltas.iter().enumerate().map(one).collect()
}

fn read(packet: &[u8]) -> Option<Vec<(u16, Option<u32>)>> {
    TransportFeedback::read(packet).map(Iterator::collect)
}

fn statuses() -> impl Strategy<Value = Vec<Option<i16>>> {
    let delta = prop_oneof![Just(None), (0..256i16).prop_map(Some), any::<i16>().prop_map(Some)];
    proptest::collection::vec((delta, prop_oneof![Just(1usize), 1..30usize]), 1..60)
        .prop_map(|runs| runs.into_iter().flat_map(|(delta, times)| std::iter::repeat_n(delta, times)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_rtc_rtcp_writes_is_read(base in any::<u16>(), reference in 0..1u32 << 24, deltas in statuses()) {
        let expected = meaning(base, reference, &deltas);
        prop_assert_eq!(read(&write(base, reference, &deltas)), Some(expected.clone()));
        let report = Report { base, reference, count: 9, deltas };
        prop_assert_eq!(read(&rtcp::arrivals(Ssrc(1), Ssrc(2), &report)), Some(expected));
    }

    #[test]
    fn a_packet_that_is_cut_is_read_as_far_as_it_goes(deltas in statuses(), cut in 0..100usize) {
        let whole = write(7, 8, &deltas);
        let expected = meaning(7, 8, &deltas);
        let cut = whole.len().saturating_sub(cut);
        if let Some(read) = read(&whole[..cut]) {
            prop_assert_eq!(&read, &expected[..read.len()]);
        }
    }

    #[test]
    fn whatever_comes_ends(
        head in proptest::collection::vec(any::<u8>(), 10),
        count in any::<u16>(),
        rest in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let count = count.to_be_bytes();
        let packet = [&[0x8f, 205], &head[..], &[0, 1], &count[..], &rest].concat();
        prop_assert!(read(&packet).is_none_or(|read| read.len() <= usize::from(MAX_STATUSES)));
    }
}

#[test]
fn other_packets_and_too_many_statuses_are_not_read() {
    let packet = write(1, 2, &[Some(3), None]);
    assert!(read(&packet).is_some());
    for (at, byte) in [(0, 0x81), (0, 0x4f), (1, 206)] {
        let mut other = packet.clone();
        other[at] = byte;
        assert_eq!(read(&other), None, "{at}: {byte}");
    }
    assert_eq!(read(&packet[..20]), None, "without chunks");
    let mut long = write(1, 2, &[None; 4000]);
    assert_eq!(read(&long).map(|read| read.len()), Some(4000));
    long[14..16].copy_from_slice(&(MAX_STATUSES + 1).to_be_bytes());
    long[20..22].copy_from_slice(&0x1fff_u16.to_be_bytes());
    assert_eq!(read(&long), None);
}

#[test]
fn a_reserved_symbol_ends_the_reading() {
    let mut packet = write(1, 2, &[Some(3), Some(4), Some(300), Some(5), None, None, None]);
    assert_eq!(read(&packet).map(|read| read.len()), Some(7));
    // The third of seven symbols of two bits.
    packet[20] |= 0b11;
    assert_eq!(read(&packet).map(|read| read.len()), Some(2));
}
