//! H.264 from a camera to RTP payloads: no NAL unit is lost, invented or changed on the way, and no payload is too long.
#![no_main]

use bytes::Bytes;
use edge_agent::h264::{AccessUnit, Assembler, NalKind, nal_kind, split_annex_b, split_length_prefixed};
use edge_agent::packetize::{MAX_PAYLOAD, packetize};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, data)) = data.split_first() else { return };
    // The shortest payload leaves room for fragments; the longest is what is sent.
    let max = if first & 1 == 0 { MAX_PAYLOAD } else { 20 + usize::from(*first) };
    let data = Bytes::copy_from_slice(data);
    let by_code = split_annex_b(&data);
    for nal in &by_code {
        assert!(!nal.windows(3).any(|w| w == [0, 0, 1]), "a start code within");
        assert_ne!(nal.last(), Some(&0), "trailing zeros");
    }
    let by_length = split_length_prefixed(&data);
    assert!(by_length.iter().map(|n| 4 + n.len()).sum::<usize>() <= data.len());
    for nals in [by_code, by_length] {
        let inside = |nal: &Bytes| nal.as_ptr() >= data.as_ptr() && nal.as_ptr_range().end <= data.as_ptr_range().end;
        assert!(nals.iter().all(|nal| !nal.is_empty() && inside(nal)));
        let mut assembler = Assembler::default();
        // Twice, so that parameter sets are known from before.
        for _ in 0..2 {
            if let Some(unit) = assembler.assemble(nals.iter().cloned(), 1, 2) {
                check(&unit, max);
            }
        }
    }
});

fn check(unit: &AccessUnit, max: usize) {
    let kinds: Vec<NalKind> = unit.nals.iter().map(|n| nal_kind(n)).collect();
    assert!(!kinds.contains(&NalKind::Other));
    assert_eq!(kinds.contains(&NalKind::Idr), unit.is_keyframe);
    assert_eq!(kinds.starts_with(&[NalKind::Sps, NalKind::Pps]), unit.is_keyframe);
    let payloads = packetize(unit, max);
    assert!(payloads.iter().all(|p| !p.is_empty() && p.len() <= max));
    let fragments = |p: &&Bytes| p[0] & 0x1f == 28 && p[1] & 0x40 == 0;
    assert!(payloads.iter().filter(fragments).all(|p| p.len() == max), "a short fragment that is not the last");
    assert_eq!(depacketize(&payloads), unit.nals);
}

/// RFC 6184, sections 5.6 to 5.8.
fn depacketize(payloads: &[Bytes]) -> Vec<Bytes> {
    let (mut nals, mut fragments) = (Vec::new(), Vec::new());
    for payload in payloads {
        match payload[0] & 0x1f {
            24 => {
                let mut rest = payload.slice(1..);
                while !rest.is_empty() {
                    let len = usize::from(rest[0]) << 8 | usize::from(rest[1]);
                    nals.push(rest.slice(2..2 + len));
                    rest = rest.slice(2 + len..);
                }
            }
            28 => {
                if payload[1] & 0x80 != 0 {
                    fragments = vec![payload[0] & 0xe0 | payload[1] & 0x1f];
                }
                fragments.extend_from_slice(&payload[2..]);
                if payload[1] & 0x40 != 0 {
                    nals.push(std::mem::take(&mut fragments).into());
                }
            }
            _ => nals.push(payload.clone()),
        }
    }
    nals
}
