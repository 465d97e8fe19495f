//! SDP offer and answer (RFC 8866, RFC 8829, RFC 8853) for the two kinds of peer: the offer is read, the answer written.
//!
//! Invariant: what an answer promises is what the negotiated values say; every m-line we do not carry is rejected
//! with port 0.

mod answer;
mod offer;

use crate::bandwidth::Estimation;
use crate::dtls::Fingerprint;
use crate::ice::Credentials;
use crate::rtp::ViewerExtensions;
use crate::{Codec, Rid, Ssrc, Track, TransportAddress};

pub use answer::restart_fragment;
pub use offer::Offer;

/// Most m-lines of an offer that is looked at.
pub const MAX_MEDIA: usize = 32;
/// Most encodings of one publisher.
pub const MAX_ENCODINGS: usize = 3;
/// Most slots of one viewer.
pub const MAX_SLOTS: usize = 16;

/// Why an offer cannot be answered.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SdpError {
    /// It is no SDP, or not a WebRTC one.
    #[error("the offer is malformed: {0}")]
    Malformed(String),
    /// It has no codec that we carry.
    #[error("the offer has no H.264 video with packetization-mode=1; other video codecs are not carried")]
    NoCodec,
    /// It is sound, but asks for something else than we do.
    #[error("the offer cannot be answered: {0}")]
    Unsupported(&'static str),
}

/// Our side of a connection, as the answer states it.
#[derive(Clone, Debug)]
pub struct Local<'a> {
    /// Our ICE credentials for this peer.
    pub ice: &'a Credentials,
    /// Of our certificate.
    pub fingerprint: Fingerprint,
    /// Where the shard receives, by preference.
    pub candidates: &'a [TransportAddress],
    /// Number of the SDP session (RFC 8866, section 5.2), below 2^63.
    pub session: u64,
}

/// A payload type, and that of its retransmissions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PayloadTypes {
    /// Of H.264.
    pub media: u8,
    /// Of RTX (RFC 4588), where the peer has it.
    pub rtx: Option<u8>,
}

/// Payload types of the sound codecs that a peer has.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct AudioTypes {
    /// Of Opus.
    pub opus: Option<u8>,
    /// Of G.711 A-law.
    pub pcma: Option<u8>,
    /// Of G.711 mu-law.
    pub pcmu: Option<u8>,
}

impl AudioTypes {
    /// The payload type of a codec.
    pub fn of(self, codec: Codec) -> Option<u8> {
        match codec {
            Codec::H264 => None,
            Codec::Opus => self.opus,
            Codec::Pcma => self.pcma,
            Codec::Pcmu => self.pcmu,
        }
    }

    /// The codec of a payload type.
    pub fn codec(self, payload_type: u8) -> Option<Codec> {
        Codec::AUDIO.into_iter().find(|codec| self.of(*codec) == Some(payload_type))
    }

    /// Its codecs, by preference.
    pub fn codecs(self) -> impl Iterator<Item = (Codec, u8)> {
        Codec::AUDIO.into_iter().filter_map(move |codec| Some((codec, self.of(codec)?)))
    }
}

/// What is asked of an offer to view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ViewTerms {
    /// How many of its video m-lines become slots; at most [`MAX_SLOTS`].
    pub slots: usize,
    /// A random number that the SSRCs of what is sent are taken from.
    pub ssrcs: u32,
    /// How it is estimated what its network carries, where its peer can do that: else by REMB.
    pub estimation: Estimation,
}

impl ViewTerms {
    fn ssrc(&self, number: usize) -> Ssrc {
        // The highest bit is that of retransmissions; the lowest seven count, from 1, so that no SSRC is 0.
        Ssrc((self.ssrcs & 0x7fff_ff80) + 1 + number as u32)
    }

    fn slot_ssrcs(&self, number: usize) -> (Ssrc, Ssrc) {
        let ssrc = self.ssrc(number);
        (ssrc, Ssrc(ssrc.0 | 0x8000_0000))
    }

    fn audio_ssrc(&self) -> Ssrc {
        self.ssrc(MAX_SLOTS)
    }
}

/// What was agreed with a viewer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ViewerMedia {
    /// Of the peer's certificate.
    pub fingerprint: Fingerprint,
    /// Name of the first m-line of the bundle.
    pub tag: String,
    /// Its video m-lines, in the offer's order.
    pub slots: Vec<SlotMedia>,
    /// Its audio m-line.
    pub audio: Option<AudioMedia>,
}

impl ViewerMedia {
    /// Whether packets have transport-wide numbers, and there is feedback on them.
    pub fn is_numbered(&self) -> bool {
        self.slots.iter().any(|slot| slot.extensions.transport_number.is_some())
    }
}

/// What was agreed for one video m-line of a viewer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotMedia {
    /// What it takes.
    pub payload_types: PayloadTypes,
    /// Header extensions it takes.
    pub extensions: ViewerExtensions,
    /// Of the video we send.
    pub ssrc: Ssrc,
    /// Of its retransmissions.
    pub rtx_ssrc: Ssrc,
}

/// What was agreed for the audio m-line of a viewer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AudioMedia {
    /// What it takes.
    pub types: AudioTypes,
    /// Header extensions it takes.
    pub extensions: ViewerExtensions,
    /// Of the sound we send.
    pub ssrc: Ssrc,
}

/// What was agreed with a publisher.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublisherMedia {
    /// Name of the first m-line of the bundle.
    pub tag: String,
    /// Of the peer's certificate.
    pub fingerprint: Fingerprint,
    /// What it sends.
    pub payload_types: PayloadTypes,
    /// Id of the extension with the m-line's name.
    pub mid_extension: Option<u8>,
    /// Id of the extension with the encoding's name.
    pub rid_extension: Option<u8>,
    /// Id of the extension with the name of the repaired encoding.
    pub repaired_rid_extension: Option<u8>,
    /// Id of the extension with the transport-wide number, on every m-line that has it; feedback is given on it.
    pub number_extension: Option<u8>,
    /// Names of the video m-line, and of that of its sound.
    pub mids: (String, Option<String>),
    /// Its encodings; [`Rid::SINGLE`] alone when it does not use simulcast.
    pub encodings: Vec<Rid>,
    /// Whether packets name their encoding.
    pub is_simulcast: bool,
    /// Its sound.
    pub audio: Option<AudioTypes>,
    /// Whether its sound is numbered as the pictures are.
    pub audio_is_numbered: bool,
}

impl PublisherMedia {
    /// Everything it sends.
    pub fn tracks(&self) -> Vec<Track> {
        let video = self.encodings.iter().map(|rid| Track::Video(*rid));
        video.chain(self.audio.map(|_| Track::Audio)).collect()
    }
}
