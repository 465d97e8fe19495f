//! Access units to RTP payloads (RFC 6184, packetization-mode 1).
//!
//! Invariant: every payload that carries a fragment of a NAL unit, but the last one, is exactly as long as asked for:
//! the media node seals a frame's packets as one train, and a train takes packets of equal length. Parameter sets go
//! first, in a packet of their own.

use crate::h264::{AccessUnit, NalKind, nal_kind};
use bytes::{BufMut, Bytes, BytesMut};

/// Longest RTP payload that is sent, in bytes: leaves room for header extensions, SRTP, IPv6 and tunnels.
pub const MAX_PAYLOAD: usize = 1160;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;
/// FU indicator and FU header.
const FU_HEADER: usize = 2;

/// The payloads of one access unit, in order, none longer than `max`. The marker bit belongs on the last.
pub fn packetize(unit: &AccessUnit, max: usize) -> Vec<Bytes> {
    let parameters = unit.nals.iter().take_while(|n| matches!(nal_kind(n), NalKind::Sps | NalKind::Pps)).count();
    let (parameters, slices) = unit.nals.split_at(parameters);
    let mut payloads = Vec::with_capacity(unit.len() / max + 3);
    match aggregate(parameters, max) {
        Some(packet) => payloads.push(packet),
        None => parameters.iter().for_each(|nal| fragment(nal, max, &mut payloads)),
    }
    for nal in slices {
        fragment(nal, max, &mut payloads);
    }
    payloads
}

/// All of the NAL units in one STAP-A (section 5.7.1), if there are several and they fit.
fn aggregate(nals: &[Bytes], max: usize) -> Option<Bytes> {
    let len = 1 + nals.iter().map(|n| 2 + n.len()).sum::<usize>();
    if nals.len() < 2 || len > max {
        return None;
    }
    let importance = nals.iter().filter_map(|n| n.first()).map(|b| b & 0x60).max()?;
    let mut packet = BytesMut::with_capacity(len);
    packet.put_u8(importance | STAP_A);
    for nal in nals {
        packet.put_u16(u16::try_from(nal.len()).ok()?);
        packet.put_slice(nal);
    }
    Some(packet.freeze())
}

/// One NAL unit as it is if it fits, else as FU-A fragments (section 5.8).
fn fragment(nal: &Bytes, max: usize, payloads: &mut Vec<Bytes>) {
    if nal.len() <= max {
        payloads.push(nal.clone());
        return;
    }
    let (header, body) = (nal[0], &nal[1..]);
    let count = body.len().div_ceil(max - FU_HEADER);
    for (i, part) in body.chunks(max - FU_HEADER).enumerate() {
        let start = if i == 0 { FU_START } else { 0 };
        let end = if i + 1 == count { FU_END } else { 0 };
        let mut packet = BytesMut::with_capacity(FU_HEADER + part.len());
        packet.put_u8(header & 0xe0 | FU_A);
        packet.put_u8(start | end | header & 0x1f);
        packet.put_slice(part);
        payloads.push(packet.freeze());
    }
}
