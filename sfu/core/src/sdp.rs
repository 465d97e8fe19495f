//! SDP offer and answer (RFC 8866, RFC 8829, RFC 8853) for the two kinds of peer: the offer is read, the answer written.
//!
//! Invariant: what an answer promises is what the negotiated values say; every m-line we do not carry is rejected
//! with port 0.

mod answer;
mod offer;

use crate::dtls::Fingerprint;
use crate::ice::Credentials;
use crate::rtp::ViewerExtensions;
use crate::{Rid, Ssrc};
use std::net::SocketAddr;

pub use offer::Offer;

/// Most m-lines of an offer that is looked at.
pub const MAX_MEDIA: usize = 32;
/// Most encodings of one publisher.
pub const MAX_ENCODINGS: usize = 3;

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
    pub candidates: &'a [SocketAddr],
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

/// What was agreed with a viewer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ViewerMedia {
    /// Of the peer's certificate.
    pub fingerprint: Fingerprint,
    /// What it takes.
    pub payload_types: PayloadTypes,
    /// Header extensions it takes.
    pub extensions: ViewerExtensions,
    /// Of the video we send.
    pub ssrc: Ssrc,
    /// Of its retransmissions.
    pub rtx_ssrc: Ssrc,
}

/// What was agreed with a publisher.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublisherMedia {
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
    /// Name of the video m-line.
    pub mid: String,
    /// Its encodings; [`Rid::SINGLE`] alone when it does not use simulcast.
    pub encodings: Vec<Rid>,
    /// Whether packets name their encoding.
    pub is_simulcast: bool,
}
