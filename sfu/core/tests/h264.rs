//! Where a group of pictures begins in H.264 payloads, and which layers they are of.

use proptest::prelude::*;
use sfu_core::Layer;
use sfu_core::h264::{Layers, Start, start};

#[test]
fn what_starts_in_a_payload() {
    use Start::{Idr, Other, Parameters};
    let table: &[(&str, &[u8], Start)] = &[
        ("empty", &[], Other),
        ("SPS", &[0x67, 1, 2], Parameters),
        ("SPS without a body", &[0x67], Parameters),
        ("SPS, lowest importance", &[0x07], Parameters),
        ("IDR", &[0x65, 1], Idr),
        ("PPS", &[0x68, 1], Other),
        ("SEI", &[0x06, 5], Other),
        ("access unit delimiter", &[0x09, 0xf0], Other),
        ("non-IDR slice", &[0x41, 1], Other),
        ("STAP-A without a unit", &[24], Other),
        ("STAP-A of half a size", &[24, 0], Other),
        ("STAP-A of an empty unit", &[24, 0, 0], Other),
        ("STAP-A: an empty unit ends it", &[24, 0, 0, 0, 1, 0x67], Other),
        ("STAP-A of SPS and PPS", &[24, 0, 2, 0x67, 1, 0, 2, 0x68, 2], Parameters),
        ("STAP-A of PPS and SPS", &[24, 0, 2, 0x68, 1, 0, 2, 0x67, 2], Parameters),
        ("STAP-A of delimiter and IDR", &[24, 0, 2, 0x09, 0xf0, 0, 1, 0x65], Idr),
        ("STAP-A of IDR and SPS: the parameters count", &[24, 0, 1, 0x65, 0, 1, 0x67], Parameters),
        ("STAP-A of slices", &[24, 0, 1, 0x41, 0, 1, 0x41], Other),
        ("STAP-A whose unit is cut", &[24, 0, 9, 0x67, 1], Other),
        ("STAP-A whose second unit is cut", &[24, 0, 1, 0x65, 0, 9, 0x67, 1], Idr),
        ("STAP-A whose size is the largest", &[24, 0xff, 0xff, 0x67], Other),
        ("STAP-A in a STAP-A is none", &[24, 0, 4, 24, 0, 1, 0x67], Other),
        ("STAP-A with importance bits", &[0x78, 0, 1, 0x67], Parameters),
        ("FU-A without a header", &[0x7c], Other),
        ("FU-A, start of an IDR", &[0x7c, 0x85, 1], Idr),
        ("FU-A, start of an SPS", &[0x7c, 0x87, 1], Parameters),
        ("FU-A, start of a slice", &[0x7c, 0x81, 1], Other),
        ("FU-A, middle of an IDR", &[0x7c, 0x05, 1], Other),
        ("FU-A, middle of an SPS", &[0x7c, 0x07, 1], Other),
        ("FU-A, end of an IDR", &[0x7c, 0x45, 1], Other),
        ("FU-A, start of a STAP-A is none", &[0x7c, 0x98, 0, 1, 0x67], Other),
        ("FU-B is not carried", &[0x7d, 0x85, 0, 0], Other),
        ("STAP-B is not carried", &[25, 0, 0, 0, 1, 0x67], Other),
    ];
    for (name, payload, expected) in table {
        assert_eq!(start(payload), *expected, "{name}");
    }
}

/// Prefix NAL unit of this importance and temporal id (H.264, G.7.3.1.1).
fn prefix(importance: u8, temporal_id: u8) -> [u8; 4] {
    [importance << 5 | 14, 0xc0, 0x80, temporal_id << 5 | 7]
}

#[test]
fn the_layer_of_a_packet_by_itself() {
    let (base, middle, top) = (Layer::BASE, Layer::new(1), Layer::TOP);
    let table: &[(&str, &[u8], Layer)] = &[
        ("slice that is referred to", &[0x41, 1], base),
        ("slice, lowest importance above none", &[0x21, 1], base),
        ("slice that is not", &[0x01, 1], top),
        ("data partition that is not", &[0x02, 1], top),
        ("IDR", &[0x65, 1], base),
        ("IDR, against the standard", &[0x05, 1], base),
        ("SPS", &[0x67, 1], base),
        ("PPS", &[0x68, 1], base),
        ("PPS, against the standard", &[0x08, 1], base),
        ("SEI", &[0x06, 5], top),
        ("access unit delimiter", &[0x09, 0xf0], top),
        ("filler", &[0x0c, 0xff], top),
        ("nothing", &[], top),
        ("unknown", &[0x1f, 1], base),
        ("FU-A, start of a slice that is not referred to", &[0x1c, 0x81, 1], top),
        ("FU-A, middle of it", &[0x1c, 0x01, 1], top),
        ("FU-A, end of it", &[0x1c, 0x41, 1], top),
        ("FU-A, middle of a slice that is", &[0x5c, 0x01, 1], base),
        ("FU-A, middle of an IDR", &[0x7c, 0x05, 1], base),
        ("FU-A, middle of an SEI", &[0x1c, 0x06, 1], top),
        ("FU-A without a header", &[0x1c], base),
        ("STAP-A of slices that are not", &[24, 0, 1, 0x01, 0, 1, 0x01], top),
        ("STAP-A of delimiter, SEI and slice", &[24, 0, 2, 9, 0xf0, 0, 2, 6, 5, 0, 1, 0x41], base),
        ("STAP-A of SEI and a slice that is not", &[24, 0, 2, 6, 5, 0, 1, 0x01], top),
        ("STAP-A of PPS and a slice that is not", &[24, 0, 1, 0x68, 0, 1, 0x01], base),
        ("STAP-A of a slice that is not and one that is", &[24, 0, 1, 0x01, 0, 1, 0x41], base),
        ("STAP-A whose second unit is cut", &[24, 0, 1, 0x01, 0, 9, 0x41], top),
        ("prefix of the base", &prefix(2, 0), base),
        ("prefix of the next layer", &prefix(2, 1), middle),
        ("prefix of the one after it", &prefix(2, 2), top),
        ("prefix of the last", &prefix(2, 7), top),
        ("prefix of a frame that is not referred to", &prefix(0, 0), top),
        ("prefix that is cut", &prefix(2, 1)[..3], base),
        ("prefix of another extension", &[0x4e, 0x40, 0x80, 0x27], base),
        ("slice extension", &[0x54, 0x80, 0x80, 0x27, 1], middle),
        ("FU-A, start of a slice extension", &[0x5c, 0x94, 0x80, 0x80, 0x27], middle),
        ("FU-A, middle of a slice extension", &[0x5c, 0x14, 0x80, 0x80, 0x27], base),
        ("STAP-A of prefix and slice", &[24, 0, 4, 0x4e, 0xc0, 0x80, 0x27, 0, 1, 0x41], middle),
    ];
    for (name, payload, expected) in table {
        assert_eq!(Layers::default().read(1, false, payload), *expected, "{name}");
    }
}

/// Timestamp, marker and payload of a packet, and its layer.
type Read<'a> = (u32, bool, &'a [u8], Layer);

#[test]
fn the_packets_of_a_frame_are_of_one_layer() {
    let (base, middle, top) = (Layer::BASE, Layer::new(1), Layer::TOP);
    let table: &[(&str, &[Read<'_>])] = &[
        (
            "prefix and fragments",
            &[
                (1, false, &prefix(2, 1), middle),
                (1, false, &[0x5c, 0x81, 1], middle),
                (1, true, &[0x5c, 0x41, 1], middle),
                (2, true, &[0x41, 1], base),
            ],
        ),
        ("filler at the end of a frame that is referred to", &[(1, false, &[0x41, 1], base), (1, true, &[12], base)]),
        ("and of one that is not", &[(1, false, &[0x01, 1], top), (1, true, &[12], top)]),
        ("filler of which nothing is known", &[(1, true, &[12], base)]),
        ("delimiter before a frame", &[(1, false, &[9, 0xf0], top), (1, false, &[0x41, 1], base)]),
        ("a frame with the time of the one before", &[(1, true, &[0x01, 1], top), (1, true, &[0x41, 1], base)]),
        ("a frame whose end is missing", &[(1, false, &[0x01, 1], top), (2, true, &[0x41, 1], base)]),
    ];
    for (name, packets) in table {
        let mut layers = Layers::default();
        for (time, marker, payload, expected) in *packets {
            assert_eq!(layers.read(*time, *marker, payload), *expected, "{name}: {payload:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_payload_is_too_odd(
        first in prop_oneof![Just(24u8), Just(28), any::<u8>()],
        rest in proptest::collection::vec(prop_oneof![3 => 0..8u8, 1 => any::<u8>()], 0..64),
    ) {
        let payload: Vec<u8> = std::iter::once(first).chain(rest).collect();
        let layer = Layers::default().read(0, false, &payload);
        prop_assert!(start(&payload) == Start::Other || layer == Layer::BASE);
    }

    #[test]
    fn units_put_together_begin_with_what_any_of_them_begins(
        units in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 1..6),
    ) {
        let kinds: Vec<u8> = units.iter().map(|u| u[0] & 0x1f).collect();
        let mut payload = vec![24];
        for unit in &units {
            payload.extend_from_slice(&(unit.len() as u16).to_be_bytes());
            payload.extend_from_slice(unit);
        }
        let expected = if kinds.contains(&7) {
            Start::Parameters
        } else if kinds.contains(&5) {
            Start::Idr
        } else {
            Start::Other
        };
        prop_assert_eq!(start(&payload), expected);
    }
}
