//! What the node needs to know of an H.264 payload (RFC 6184): where a group of pictures starts.

const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// What starts in a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// A sequence parameter set: a decoder may begin here.
    Parameters,
    /// A picture that needs none before it.
    Idr,
    /// Anything else.
    Other,
}

/// What starts in this RTP payload. Malformed payloads are [`Start::Other`].
pub fn start(payload: &[u8]) -> Start {
    match payload {
        [first, rest @ ..] if first & 0x1f == STAP_A => aggregate(rest),
        [first, header, ..] if first & 0x1f == FU_A && header & 0x80 != 0 => unit(header & 0x1f),
        [first, ..] => unit(first & 0x1f),
        [] => Start::Other,
    }
}

fn unit(kind: u8) -> Start {
    match kind {
        SPS => Start::Parameters,
        IDR => Start::Idr,
        _ => Start::Other,
    }
}

fn aggregate(mut rest: &[u8]) -> Start {
    let mut found = Start::Other;
    while let [high, low, unit_bytes @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((first, _)) = unit_bytes.split_first().filter(|_| len > 0 && len <= unit_bytes.len()) else { break };
        match unit(first & 0x1f) {
            Start::Parameters => return Start::Parameters,
            Start::Idr => found = Start::Idr,
            Start::Other => {}
        }
        rest = &unit_bytes[len..];
    }
    found
}
