//! Access units survive the way through RTP, and their packets are equally long.

use bytes::Bytes;
use edge_agent::{
    h264::{AccessUnit, Assembler, split_annex_b, split_length_prefixed},
    packetize::{MAX_PAYLOAD, packetize},
};
use proptest::prelude::*;

fn nal(kind: u8, len: usize) -> Bytes {
    std::iter::once(0x60 | kind).chain((1..len).map(|i| (i * 7 % 251) as u8)).collect::<Vec<_>>().into()
}

fn unit(nals: Vec<Bytes>) -> AccessUnit {
    AccessUnit { nals, is_keyframe: false, ticks: 0, captured_micros: 0 }
}

/// A small depacketizer after RFC 6184, sections 5.6 to 5.8.
fn depacketize(payloads: &[Bytes]) -> Vec<Bytes> {
    let mut nals: Vec<Bytes> = Vec::new();
    let mut fragments: Vec<u8> = Vec::new();
    for p in payloads {
        match p[0] & 0x1f {
            24 => {
                let mut rest = &p[1..];
                while !rest.is_empty() {
                    let len = usize::from(rest[0]) << 8 | usize::from(rest[1]);
                    nals.push(Bytes::copy_from_slice(&rest[2..2 + len]));
                    rest = &rest[2 + len..];
                }
            }
            28 => {
                if p[1] & 0x80 != 0 {
                    fragments = vec![p[0] & 0xe0 | p[1] & 0x1f];
                }
                fragments.extend_from_slice(&p[2..]);
                if p[1] & 0x40 != 0 {
                    nals.push(std::mem::take(&mut fragments).into());
                }
            }
            _ => nals.push(p.clone()),
        }
    }
    nals
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(
        keyframe: bool,
        parameters in (4usize..60, 3usize..20),
        slices in prop::collection::vec(2usize..20_000, 1..5),
        max in 100usize..1400,
    ) {
        let mut nals = if keyframe { vec![nal(7, parameters.0), nal(8, parameters.1)] } else { vec![] };
        nals.extend(slices.iter().map(|len| nal(if keyframe { 5 } else { 1 }, *len)));
        let payloads = packetize(&unit(nals.clone()), max);
        prop_assert!(payloads.iter().all(|p| p.len() <= max && !p.is_empty()));
        prop_assert_eq!(depacketize(&payloads), nals);
    }

    #[test]
    fn all_packets_of_a_slice_but_the_last_are_equally_long(len in 2usize..100_000) {
        let payloads = packetize(&unit(vec![nal(1, len)]), MAX_PAYLOAD);
        let (last, others) = payloads.split_last().expect("a slice makes a packet");
        prop_assert!(others.iter().all(|p| p.len() == MAX_PAYLOAD));
        prop_assert!(last.len() <= MAX_PAYLOAD);
    }

    #[test]
    fn splitting_takes_any_bytes(data in prop::collection::vec(0u8..4, 0..200)) {
        let data = Bytes::from(data);
        for nal in split_annex_b(&data).into_iter().chain(split_length_prefixed(&data)) {
            prop_assert!(!nal.is_empty());
        }
    }
}

#[test]
fn parameter_sets_travel_in_a_packet_of_their_own() {
    let payloads = packetize(&unit(vec![nal(7, 20), nal(8, 5), nal(5, 5000)]), MAX_PAYLOAD);
    assert_eq!(payloads[0][0] & 0x1f, 24);
    assert_eq!(payloads[0].len(), 1 + 2 + 20 + 2 + 5);
    assert!(payloads[1..payloads.len() - 1].iter().all(|p| p.len() == MAX_PAYLOAD && p[0] & 0x1f == 28));
}

#[test]
fn start_codes_of_both_lengths_separate_nal_units() {
    let data = Bytes::from_static(&[0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 4, 5, 0]);
    let nals = split_annex_b(&data);
    assert_eq!(nals, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 4, 5]]);
}

#[test]
fn a_keyframe_gets_the_parameter_sets_that_came_before_it() {
    let mut assembler = Assembler::default();
    assert!(assembler.assemble([nal(5, 9)], 0, 0).is_none(), "an IDR without parameter sets is of no use");
    assert!(assembler.assemble([nal(7, 9), nal(8, 5)], 0, 0).is_none(), "no picture in it");
    let unit = assembler.assemble([nal(9, 2), nal(6, 30), nal(5, 9)], 1, 2).expect("a keyframe");
    assert!(unit.is_keyframe);
    assert_eq!(unit.nals, [nal(7, 9), nal(8, 5), nal(5, 9)]);
}
