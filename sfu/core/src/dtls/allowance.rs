//! How much a peer's address may send of what nobody vouches for: records in the clear, and those before their keys.
//!
//! The handshake library keeps fragments and early records without a bound, and puts fragments together in time that
//! grows with the cube of their number. Invariant: it sees no datagram longer than [`MAX_DATAGRAM`], and no more pieces
//! of an association than a handshake on a bad network needs (RFC 6347, section 4.2).

use super::DtlsError;

/// Longest datagram: a path of Ethernet carries 1,472 bytes.
const MAX_DATAGRAM: usize = 2048;
/// Records and fragments that a handshake may have, repetitions included; a browser's has 8 to 12.
const HANDSHAKE: u32 = 160;
/// Those in the clear that may come after it: a last flight that is repeated.
const AFTERWARDS: u32 = 64;
/// Longest handshake message, in bytes: a certificate chain.
const MAX_MESSAGE: usize = 16 * 1024;
const HANDSHAKE_RECORD: u8 = 22;
const RECORD_HEADER: usize = 13;
const MESSAGE_HEADER: usize = 12;

/// What is left for one association.
pub(super) struct Allowance {
    left: u32,
    is_up: bool,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: HANDSHAKE, is_up: false }
    }
}

impl Allowance {
    /// Takes a datagram off what is left, or refuses it.
    pub(super) fn admit(&mut self, datagram: &[u8]) -> Result<(), DtlsError> {
        let pieces = pieces(datagram, self.is_up).ok_or(DtlsError::Excess)?;
        self.left = self.left.checked_sub(pieces).ok_or(DtlsError::Excess)?;
        Ok(())
    }

    /// From now on records have keys.
    pub(super) fn handshake_is_over(&mut self) {
        (self.left, self.is_up) = (AFTERWARDS, true);
    }
}

/// Records and fragments of a datagram that count; `None` where it is not cut as a handshake's is.
fn pieces(mut records: &[u8], is_up: bool) -> Option<u32> {
    if records.len() > MAX_DATAGRAM {
        return None;
    }
    let mut pieces = 0;
    while !records.is_empty() {
        let header = records.get(..RECORD_HEADER)?;
        let end = RECORD_HEADER + usize::from(u16::from_be_bytes([header[11], header[12]]));
        let body = records.get(RECORD_HEADER..end)?;
        let is_clear = header[3..5] == [0, 0];
        pieces += match header[0] {
            HANDSHAKE_RECORD if is_clear => fragments(body)?,
            _ => u32::from(is_clear || !is_up),
        };
        records = &records[end..];
    }
    Some(pieces)
}

/// Fragments of handshake messages in a record (RFC 6347, section 4.2.3).
fn fragments(mut body: &[u8]) -> Option<u32> {
    let mut fragments = 0;
    while !body.is_empty() {
        let header = body.get(..MESSAGE_HEADER)?;
        let number =
            |at: usize| usize::from(header[at]) << 16 | usize::from(header[at + 1]) << 8 | usize::from(header[at + 2]);
        let (message, offset, length) = (number(1), number(6), number(9));
        let is_sound = message <= MAX_MESSAGE && offset + length <= message && (length > 0 || message == 0);
        body = body.get(MESSAGE_HEADER + length..).filter(|_| is_sound)?;
        fragments += 1;
    }
    Some(fragments)
}
