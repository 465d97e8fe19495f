//! The domain's words as types, so that one number never stands in for another.

use bytes::Bytes;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Synchronization source (RFC 3550, section 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Ssrc(pub u32);

/// One thread of the node, with its own UDP port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// How datagrams reach a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Transport {
    /// As they are.
    Udp,
    /// In frames (RFC 4571) of a connection that the peer made (RFC 6544).
    Tcp,
}

/// A transport address (RFC 8445, section 4), of a peer or of ours.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct TransportAddress {
    /// What it is of.
    pub transport: Transport,
    /// IP address and port.
    pub socket: SocketAddr,
}

impl TransportAddress {
    /// One of UDP.
    pub fn udp(socket: SocketAddr) -> Self {
        Self { transport: Transport::Udp, socket }
    }

    /// One of TCP.
    pub fn tcp(socket: SocketAddr) -> Self {
        Self { transport: Transport::Tcp, socket }
    }
}

impl fmt::Display for TransportAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        write!(f, "{transport} {}", self.socket)
    }
}

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

/// What one coded stream of a camera is of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Track {
    /// Its picture, in this encoding.
    Video(Rid),
    /// Its sound.
    Audio,
}

impl Track {
    /// Order by size of picture ([`Rid::rank`]); sound has one size.
    pub fn rank(self) -> u8 {
        match self {
            Self::Video(rid) => rid.rank(),
            Self::Audio => 0,
        }
    }
}

/// One coded stream of one camera.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct EncodingId {
    /// Whose.
    pub camera: CameraKey,
    /// Which.
    pub track: Track,
}

/// How a stream is coded. Nothing is transcoded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Codec {
    /// H.264 (RFC 6184).
    H264,
    /// Opus (RFC 7587).
    Opus,
    /// G.711 A-law (RFC 3551, section 4.5.14).
    Pcma,
    /// G.711 mu-law.
    Pcmu,
}

impl Codec {
    /// The sound codecs that pass through, by preference.
    pub const AUDIO: [Self; 3] = [Self::Opus, Self::Pcma, Self::Pcmu];

    /// As `a=rtpmap` names it (RFC 8866, section 6.6).
    pub fn rtpmap(self) -> &'static str {
        match self {
            Self::H264 => "H264/90000",
            Self::Opus => "opus/48000/2",
            Self::Pcma => "PCMA/8000",
            Self::Pcmu => "PCMU/8000",
        }
    }

    /// Ticks of its RTP clock in a second.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::H264 => 90_000,
            Self::Opus => 48_000,
            Self::Pcma | Self::Pcmu => 8_000,
        }
    }

    /// A span of time in ticks of its RTP clock, the part that fits a timestamp.
    pub fn ticks(self, span: Duration) -> u32 {
        (span.as_micros() * u128::from(self.clock_rate()) / 1_000_000) as u32
    }
}

/// A place of a viewer that shows, or plays, one camera at a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum SlotId {
    /// The picture in this video m-line, counted from 0.
    Video(u8),
    /// The sound.
    Audio,
}

/// What a slot is to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// Which camera.
    pub camera: CameraKey,
    /// The largest encoding it may be shown; of no meaning for sound.
    pub max: Rid,
    /// Slots with more of it are served first where the network does not carry all; of no meaning for sound.
    pub priority: u8,
}

/// How a slot is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotState {
    /// Nothing is to be shown.
    Empty,
    /// The camera is published; nothing of it has left yet.
    Waiting,
    /// It is being sent.
    Live,
    /// The camera is not published, or has stopped sending.
    NoSignal,
    /// The viewer's network does not carry it beside what is served first.
    Paused,
}

/// A temporal layer: what is shown up to one of them stays decodable without those above, at a lower frame rate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Layer(u8);

impl Layer {
    /// What no layer can do without.
    pub const BASE: Self = Self(0);
    /// Shown up to it, an encoding is whole. What no other frame refers to is of this layer.
    pub const TOP: Self = Self(2);
    /// How many there are.
    pub const COUNT: usize = 3;
    /// Each, the base first.
    pub const ALL: [Self; Self::COUNT] = [Self(0), Self(1), Self(2)];

    /// That of a `temporal_id`: those from 2 on are left out together.
    pub fn new(temporal_id: u8) -> Self {
        Self(temporal_id).min(Self::TOP)
    }

    /// Its place in an array of [`Self::COUNT`].
    pub fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// One RTP packet of an encoding, as every shard stores it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Place in the encoding's order: the publisher's sequence number, extended to 64 bits.
    pub index: u64,
    /// RTP timestamp as the publisher wrote it.
    pub time: u32,
    /// Last packet of its frame.
    pub marker: bool,
    /// A decoder may begin here: first packet of a group of pictures, any packet of sound.
    pub starts_gop: bool,
    /// How the payload is coded.
    pub codec: Codec,
    /// Temporal layer.
    pub layer: Layer,
    /// RTP payload, decrypted, without padding.
    pub payload: Bytes,
    /// Where it stands among those up to each layer: the ring's to say.
    pub standing: Standing,
}

/// Where a packet stands in an encoding of which the layers above one are left out.
///
/// A packet that is missing counts in every layer, for nobody knows which it is of. It counts when it comes late, too:
/// where its layer is left out, an empty packet goes out in its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// How many packets count before it, for each layer below the top.
    pub before: [u64; Layer::COUNT - 1],
    /// It came after packets that follow it.
    pub is_late: bool,
}

impl Packet {
    /// Its place in the order of what counts up to a layer; that of the next one, where it does not count itself.
    pub fn number(&self, up_to: Layer) -> u64 {
        self.standing.before.get(up_to.place()).copied().unwrap_or(self.index)
    }

    /// Whether it has a place there.
    pub fn counts(&self, up_to: Layer) -> bool {
        self.layer <= up_to || self.standing.is_late
    }

    /// What of its payload is shown up to a layer: all or nothing.
    pub fn shown(&self, up_to: Layer) -> &[u8] {
        if self.layer <= up_to { &self.payload } else { &[] }
    }
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
    /// Ticks of its RTP clock in a second.
    pub rate: u32,
}

impl Clock {
    /// The pair as the publisher would state it at `now`: on the same line, so its relation is unchanged.
    pub fn at(&self, now: Instant) -> ClockPair {
        let elapsed = now.saturating_duration_since(self.came).as_micros() as u64;
        let ntp = ((elapsed / 1_000_000) << 32) | (((elapsed % 1_000_000) << 32) / 1_000_000);
        let ticks = (elapsed * u64::from(self.rate) / 1_000_000) as u32;
        ClockPair { ntp: self.pair.ntp.wrapping_add(ntp), rtp: self.pair.rtp.wrapping_add(ticks) }
    }
}
