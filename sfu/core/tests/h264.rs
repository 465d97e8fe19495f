//! Where a group of pictures begins in H.264 payloads.

use proptest::prelude::*;
use sfu_core::h264::{Start, start};

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

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_payload_is_too_odd(
        first in prop_oneof![Just(24u8), Just(28), any::<u8>()],
        rest in proptest::collection::vec(prop_oneof![3 => 0..8u8, 1 => any::<u8>()], 0..64),
    ) {
        let payload: Vec<u8> = std::iter::once(first).chain(rest).collect();
        start(&payload);
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
