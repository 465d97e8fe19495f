//! RTP headers: what is read of a publisher's, and what a viewer's packets say.

use proptest::prelude::*;
use sfu_core::Ssrc;
use sfu_core::rtp::{FIXED_HEADER, Fields, Header, HeaderTemplate, ViewerExtensions, is_rtcp};

/// A fixed header with this first byte, and what follows it.
fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![first, 0x80 | 102, 0x12, 0x34, 1, 2, 3, 4, 0xca, 0xfe, 0xba, 0xbe];
    packet.extend_from_slice(rest);
    packet
}

#[test]
fn the_fixed_header_is_read() {
    let header = Header::read(&packet(0x80, &[9, 9]), false).expect("well-formed");
    assert!(header.marker);
    assert_eq!((header.payload_type, header.sequence, header.time), (102, 0x1234, 0x0102_0304));
    assert_eq!((header.ssrc, header.payload), (Ssrc(0xcafe_babe), 12..14));
}

#[test]
fn the_payload_lies_between_extensions_and_padding() {
    // (name, first byte, what follows the fixed header, payload plain, payload encrypted)
    type Row = (&'static str, u8, &'static [u8], Option<std::ops::Range<usize>>, Option<std::ops::Range<usize>>);
    let table: &[Row] = &[
        ("no payload", 0x80, &[], Some(12..12), Some(12..12)),
        ("version 1", 0x40, &[1], None, None),
        ("version 3", 0xc0, &[1], None, None),
        ("two contributors", 0x82, &[0, 0, 0, 1, 0, 0, 0, 2, 7], Some(20..21), Some(20..21)),
        ("contributors cut", 0x82, &[0, 0, 0, 1], None, None),
        ("empty extension", 0x90, &[0xbe, 0xde, 0, 0, 7], Some(16..17), Some(16..17)),
        ("extension of a word", 0x90, &[0xbe, 0xde, 0, 1, 0, 0, 0, 0, 7], Some(20..21), Some(20..21)),
        ("extension's head cut", 0x90, &[0xbe, 0xde, 0], None, None),
        ("extension cut", 0x90, &[0xbe, 0xde, 0, 2, 0, 0, 0, 0], None, None),
        ("extension of the largest size", 0x90, &[0xbe, 0xde, 0xff, 0xff, 0], None, None),
        ("contributor and extension", 0x91, &[0, 0, 0, 1, 0xbe, 0xde, 0, 0, 7], Some(20..21), Some(20..21)),
        ("padding", 0xa0, &[7, 7, 0, 2], Some(12..14), Some(12..16)),
        ("padding alone", 0xa0, &[0, 2], Some(12..12), Some(12..14)),
        ("padding longer than the body", 0xa0, &[0, 3], None, Some(12..14)),
        ("padding longer than the packet", 0xa0, &[0, 255], None, Some(12..14)),
        ("padding into the extension", 0xb0, &[0xbe, 0xde, 0, 0, 2], None, Some(16..17)),
    ];
    for (name, first, rest, plain, encrypted) in table {
        let packet = packet(*first, rest);
        assert_eq!(Header::read(&packet, false).map(|h| h.payload), *plain, "{name}");
        assert_eq!(Header::read(&packet, true).map(|h| h.payload), *encrypted, "{name}, encrypted");
    }
    for len in 0..FIXED_HEADER {
        assert_eq!(Header::read(&packet(0x80, &[])[..len], false), None, "{len} bytes");
    }
}

#[test]
fn header_extensions_are_found_by_id() {
    // (name, profile, data, id, value)
    type Row = (&'static str, u16, &'static [u8], u8, Option<&'static [u8]>);
    let table: &[Row] = &[
        ("one byte long", 0xbede, &[0x10, b'0', 0, 0], 1, Some(b"0")),
        ("another id", 0xbede, &[0x10, b'0', 0, 0], 2, None),
        ("after another", 0xbede, &[0x10, b'0', 0x31, b'h', b'i', 0, 0, 0], 3, Some(b"hi")),
        ("after padding", 0xbede, &[0, 0, 0x30, b'l'], 3, Some(b"l")),
        ("16 bytes long", 0xbede, b"\x2fabcdefghijklmnop\0\0\0", 2, Some(b"abcdefghijklmnop")),
        ("longer than the block", 0xbede, &[0x13, 1, 2, 3], 1, None),
        ("after id 15, which ends all", 0xbede, &[0xf0, 1, 0x10, b'0'], 1, None),
        ("after id 0 with a length, which ends all", 0xbede, &[0x01, 0x10, b'0', 0x10, b'1', 0, 0, 0], 1, None),
        ("two-byte form", 0x1000, &[1, 1, b'0', 0], 1, Some(b"0")),
        ("two-byte form with application bits", 0x100f, &[1, 1, b'0', 0], 1, Some(b"0")),
        ("two-byte form, empty", 0x1000, &[3, 0, 0, 0], 3, Some(b"")),
        ("two-byte form, after padding and another", 0x1000, &[0, 7, 1, 9, 200, 1, 5, 0], 200, Some(&[5])),
        ("two-byte form, cut", 0x1000, &[1, 9, 1, 2], 1, None),
        ("two-byte form, without length", 0x1000, &[0, 0, 0, 1], 1, None),
        ("neither form", 0xabcd, &[0x10, b'0', 0, 0], 1, None),
    ];
    for (name, profile, data, id, value) in table {
        let mut rest = profile.to_be_bytes().to_vec();
        rest.extend_from_slice(&((data.len() / 4) as u16).to_be_bytes());
        rest.extend_from_slice(data);
        let packet = packet(0x90, &rest);
        let header = Header::read(&packet, false).expect("well-formed");
        assert_eq!(header.extension(&packet, *id), *value, "{name}");
    }
    let plain = packet(0x80, &[0x10, b'0']);
    assert_eq!(Header::read(&plain, false).expect("well-formed").extension(&plain, 1), None, "none at all");
}

#[test]
fn rtcp_is_told_from_rtp() {
    for (second, expected) in
        [(0, false), (102, false), (191, false), (192, true), (200, true), (223, true), (224, false)]
    {
        assert_eq!(is_rtcp(&[0x80, second, 0, 0]), expected, "{second}");
    }
    assert!(!is_rtcp(&[0x80]));
    assert!(!is_rtcp(&[]));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_a_template_writes_is_read_back(
        ssrc in any::<u32>(),
        payload_type in 0..128u8,
        abs_send_time in proptest::option::of(1..15u8),
        playout_delay in proptest::option::of(1..15u8),
        transport_number in proptest::option::of(1..15u8),
        marker in any::<bool>(),
        sequence in any::<u16>(),
        time in any::<u32>(),
        send_time in 0..1u32 << 24,
        number in any::<u16>(),
    ) {
        let ids = [abs_send_time, playout_delay, transport_number];
        let is_alone = |(at, id): (usize, &Option<u8>)| id.is_none() || !ids[..at].contains(id);
        prop_assume!(ids.iter().enumerate().all(is_alone));
        let extensions = ViewerExtensions { abs_send_time, playout_delay, transport_number };
        let template = HeaderTemplate::new(Ssrc(ssrc), extensions);
        prop_assert_eq!(template.ssrc(), Ssrc(ssrc));
        let mut packet = vec![0xee; template.size() + 3];
        // A second packet keeps nothing of the first.
        let before = Fields {
            payload_type: !payload_type,
            marker: !marker,
            sequence: !sequence,
            time: !time,
            send_time: send_time ^ 0xff_ffff,
            number: !number,
        };
        template.write(&mut packet, before);
        template.write(&mut packet, Fields { payload_type, marker, sequence, time, send_time, number });
        let header = Header::read(&packet, true).expect("well-formed");
        prop_assert_eq!((header.marker, header.payload_type), (marker, payload_type));
        prop_assert_eq!((header.sequence, header.time, header.ssrc), (sequence, time, Ssrc(ssrc)));
        prop_assert_eq!(header.payload.clone(), template.size()..packet.len());
        prop_assert_eq!(&packet[header.payload.clone()], &[0xee; 3]);
        if let Some(id) = abs_send_time {
            prop_assert_eq!(header.extension(&packet, id), Some(&send_time.to_be_bytes()[1..]));
        }
        if let Some(id) = playout_delay {
            prop_assert_eq!(header.extension(&packet, id), Some(&[0u8; 3][..]));
        }
        prop_assert_eq!(template.is_numbered(), transport_number.is_some());
        if let Some(id) = transport_number {
            prop_assert_eq!(header.extension(&packet, id), Some(&number.to_be_bytes()[..]));
        }
    }

    #[test]
    fn nothing_is_read_beyond_a_packet(
        first in prop_oneof![0x80..0xc0u8, any::<u8>()],
        profile in prop_oneof![Just(0xbedeu16), 0x1000..0x1010u16, any::<u16>()],
        words in prop_oneof![0..8u16, any::<u16>()],
        data in proptest::collection::vec(any::<u8>(), 0..60),
        cut in 0..80usize,
        encrypted in any::<bool>(),
    ) {
        let mut bytes = packet(first, &profile.to_be_bytes());
        bytes.extend_from_slice(&words.to_be_bytes());
        bytes.extend_from_slice(&data);
        bytes.truncate(cut);
        if let Some(header) = Header::read(&bytes, encrypted) {
            prop_assert!(header.payload.start <= header.payload.end && header.payload.end <= bytes.len());
            prop_assert!(header.payload.start >= FIXED_HEADER);
            for id in 0..=255 {
                header.extension(&bytes, id);
            }
        }
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        is_rtcp(&bytes);
        if let Some(header) = Header::read(&bytes, false) {
            prop_assert!(header.payload.end <= bytes.len());
            header.extension(&bytes, 1);
        }
    }
}
