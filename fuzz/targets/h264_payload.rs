//! H.264 RTP payloads: a group of pictures starts exactly where a whole unit says so, and that is never left out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sfu_core::Layer;
use sfu_core::h264::{Layers, Start, start};

fuzz_target!(|payload: &[u8]| {
    let kinds = units(payload);
    let expected = if kinds.contains(&7) {
        Start::Parameters
    } else if kinds.contains(&5) {
        Start::Idr
    } else {
        Start::Other
    };
    assert_eq!(start(payload), expected, "{kinds:?}");
    let layer = Layers::default().read(0, false, payload);
    assert!(expected == Start::Other || layer == Layer::BASE, "{kinds:?}");
});

/// Types of the NAL units that begin in a payload (RFC 6184, sections 5.6 to 5.8).
fn units(payload: &[u8]) -> Vec<u8> {
    let Some(first) = payload.first() else { return Vec::new() };
    match first & 0x1f {
        24 => {
            let (mut kinds, mut at) = (Vec::new(), 1);
            while at + 2 < payload.len() {
                let end = at + 2 + (usize::from(payload[at]) << 8 | usize::from(payload[at + 1]));
                if end == at + 2 || end > payload.len() {
                    break;
                }
                kinds.push(payload[at + 2] & 0x1f);
                at = end;
            }
            kinds
        }
        28 => match payload.get(1) {
            Some(header) if header & 0x80 != 0 => vec![header & 0x1f],
            Some(_) => Vec::new(),
            None => vec![28],
        },
        kind => vec![kind],
    }
}
