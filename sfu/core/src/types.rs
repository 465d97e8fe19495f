//! The domain's words as types, so that one number never stands in for another.

use bytes::Bytes;
use std::fmt;
use std::time::Instant;

/// Synchronization source (RFC 3550, section 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Ssrc(pub u32);

/// One thread of the node, with its own UDP port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// A peer connection on this node, numbered by the shell; never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct PeerId(pub u64);

/// A camera on this node, numbered by the shell; the same number as long as the node lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct CameraKey(pub u32);

/// Restriction identifier of an encoding (RFC 8851), at most 16 bytes, held in place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rid {
    text: [u8; 16],
    len: u8,
}

impl Rid {
    /// The one encoding of a publisher that does not use simulcast.
    pub const SINGLE: Self = Self { text: [b'h', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], len: 1 };

    /// A rid of 1 to 16 letters and digits, else `None`.
    pub fn new(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() > 16 || !text.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let mut held = [0; 16];
        held[..text.len()].copy_from_slice(text);
        Some(Self { text: held, len: text.len() as u8 })
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.len)]).expect("letters and digits only")
    }

    /// Order by size of picture: `l` < `m` < all others.
    pub fn rank(&self) -> u8 {
        match self.as_str() {
            "l" => 0,
            "m" => 1,
            _ => 2,
        }
    }
}

impl fmt::Debug for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One encoding of one camera.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct EncodingId {
    /// Whose.
    pub camera: CameraKey,
    /// Which.
    pub rid: Rid,
}

/// One RTP packet of an encoding, as every shard stores it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Place in the encoding's order: the publisher's sequence number, extended to 64 bits.
    pub index: u64,
    /// RTP timestamp as the publisher wrote it, 90 kHz.
    pub time: u32,
    /// Last packet of its frame.
    pub marker: bool,
    /// First packet of a group of pictures.
    pub starts_gop: bool,
    /// RTP payload, decrypted, without padding.
    pub payload: Bytes,
}

/// A publisher's sender report: which RTP time its wall clock showed when (RFC 3550, section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockPair {
    /// NTP timestamp, 32.32 fixed point.
    pub ntp: u64,
    /// RTP timestamp of the same instant.
    pub rtp: u32,
}

/// A publisher's clock: its last sender report, and when that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    /// What it said.
    pub pair: ClockPair,
    /// When it came.
    pub came: Instant,
}

impl Clock {
    /// The pair as the publisher would state it at `now`: on the same line, so its relation is unchanged.
    pub fn at(&self, now: Instant) -> ClockPair {
        let elapsed = now.saturating_duration_since(self.came).as_micros() as u64;
        let ntp = ((elapsed / 1_000_000) << 32) | (((elapsed % 1_000_000) << 32) / 1_000_000);
        let ticks = (elapsed * 9 / 100) as u32;
        ClockPair { ntp: self.pair.ntp.wrapping_add(ntp), rtp: self.pair.rtp.wrapping_add(ticks) }
    }
}
