//! A publisher's streams: which SSRC is which encoding, and what each has received.
//!
//! (mid, rid, repaired rid) in the header extensions name a stream's encoding (RFC 8853, section 6), the payload type
//! tells sound from pictures; once learnt, the SSRC is enough. Invariant: one SSRC of media and one of retransmissions
//! are remembered of each track.

use crate::arrivals::Arrivals;
use crate::rtp::Header;
use crate::sdp::PublisherMedia;
use crate::source::{Received, Source};
use crate::types::{CameraKey, Codec, Rid, Ssrc, Track};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Instant;

/// Longest payload that fits a viewer's packet on an Ethernet path: 1,500 less IPv6, UDP, header, RTX and tag.
const MAX_PAYLOAD: usize = 1400;

/// One stream of media.
pub(crate) struct Stream {
    pub(crate) track: Track,
    pub(crate) codec: Codec,
    pub(crate) source: Source,
    /// Added to extended sequence numbers: indices go on where the stream before ended.
    pub(crate) offset: u64,
    /// It began anew sooner than it may: its next packet is a beginning too.
    pub(crate) restarts: bool,
}

enum Role {
    Media(Box<Stream>),
    /// Retransmissions of this encoding.
    Repair(Rid),
}

/// What became of a packet.
pub(crate) struct Accepted {
    pub(crate) ssrc: Ssrc,
    pub(crate) track: Track,
    pub(crate) codec: Codec,
    pub(crate) received: Received,
    pub(crate) time: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Bytes,
}

/// Why a packet is dropped.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Dropped {
    /// Malformed, or of a payload type that was not agreed.
    Malformed,
    /// Nothing says which encoding it belongs to.
    Unknown,
    /// Numbered, and of an m-line that there is not: sent to find out what the way carries.
    Probe,
    /// A retransmission that is empty (padding) or of nothing we know.
    Useless,
}

/// See the module.
pub(crate) struct Publisher {
    pub(crate) camera: CameraKey,
    pub(crate) media: PublisherMedia,
    /// The SSRC we report under.
    pub(crate) ssrc: Ssrc,
    /// Where its packets are numbered.
    pub(crate) arrivals: Option<Box<Arrivals>>,
    streams: BTreeMap<Ssrc, Role>,
}

impl Publisher {
    pub(crate) fn new(camera: CameraKey, media: PublisherMedia, ssrc: Ssrc) -> Self {
        let arrivals = media.number_extension.map(|_| Box::default());
        Self { camera, media, ssrc, arrivals, streams: BTreeMap::new() }
    }

    /// Reads a decrypted packet.
    pub(crate) fn receive(&mut self, now: Instant, origin: Instant, packet: &Bytes) -> Result<Accepted, Dropped> {
        let header = Header::read(packet, false).ok_or(Dropped::Malformed)?;
        let is_numbered = self.note_arrival(now, origin, &header, packet);
        if header.payload.len() > MAX_PAYLOAD {
            return Err(Dropped::Malformed);
        }
        if self.is_foreign(&header, packet) {
            return Err(if is_numbered { Dropped::Probe } else { Dropped::Unknown });
        }
        self.learn(&header, packet)?;
        let payload = packet.slice(header.payload.clone());
        match self.streams.get_mut(&header.ssrc) {
            Some(Role::Media(stream)) if codec_of(&self.media, header.payload_type) == Some(stream.codec) => {
                let rate = stream.codec.clock_rate();
                let received = stream.source.receive(now, origin, header.sequence, header.time, rate);
                Ok(Accepted {
                    ssrc: header.ssrc,
                    track: stream.track,
                    codec: stream.codec,
                    received,
                    time: header.time,
                    marker: header.marker,
                    payload,
                })
            }
            Some(Role::Repair(rid)) => {
                let rid = *rid;
                self.repair(rid, &header, &payload)
            }
            _ => Err(Dropped::Malformed),
        }
    }

    /// Takes note of a packet's number; false where it has none.
    fn note_arrival(&mut self, now: Instant, origin: Instant, header: &Header, packet: &[u8]) -> bool {
        let (Some(id), Some(arrivals)) = (self.media.number_extension, &mut self.arrivals) else { return false };
        let Some([high, low]) = header.extension(packet, id) else { return false };
        arrivals.note(now, origin, u16::from_be_bytes([*high, *low]));
        true
    }

    /// Unwraps a retransmission (RFC 4588, section 4) of an encoding whose stream is known.
    fn repair(&mut self, rid: Rid, header: &Header, payload: &Bytes) -> Result<Accepted, Dropped> {
        let original = payload.get(..2).ok_or(Dropped::Useless)?;
        let sequence = u16::from_be_bytes([original[0], original[1]]);
        let (ssrc, stream) = self.media_of(Track::Video(rid)).ok_or(Dropped::Useless)?;
        let received = stream.source.recover(sequence).ok_or(Dropped::Useless)?;
        let (track, codec) = (stream.track, stream.codec);
        let payload = payload.slice(2..);
        Ok(Accepted { ssrc, track, codec, received, time: header.time, marker: header.marker, payload })
    }

    /// The stream that a track comes in now: its newest SSRC.
    pub(crate) fn media_of(&mut self, track: Track) -> Option<(Ssrc, &mut Stream)> {
        self.streams.iter_mut().find_map(|(ssrc, role)| match role {
            Role::Media(stream) if stream.track == track => Some((*ssrc, stream.as_mut())),
            _ => None,
        })
    }

    pub(crate) fn stream(&mut self, ssrc: Ssrc) -> Option<&mut Stream> {
        match self.streams.get_mut(&ssrc)? {
            Role::Media(stream) => Some(stream),
            Role::Repair(_) => None,
        }
    }

    /// Its media streams.
    pub(crate) fn streams(&mut self) -> impl Iterator<Item = (Ssrc, &mut Stream)> {
        self.streams.iter_mut().filter_map(|(ssrc, role)| match role {
            Role::Media(stream) => Some((*ssrc, stream.as_mut())),
            Role::Repair(_) => None,
        })
    }

    /// Forgets streams that said good-bye.
    pub(crate) fn forget(&mut self, gone: &[Ssrc]) {
        self.streams.retain(|ssrc, _| !gone.contains(ssrc));
    }

    /// Whether a packet names an m-line that was not agreed.
    fn is_foreign(&self, header: &Header, packet: &[u8]) -> bool {
        let (video, sound) = &self.media.mids;
        let named = self.media.mid_extension.and_then(|id| header.extension(packet, id));
        named.is_some_and(|mid| mid != video.as_bytes() && sound.as_ref().is_none_or(|sound| mid != sound.as_bytes()))
    }

    /// Learns whose an SSRC is, the first time it is seen.
    fn learn(&mut self, header: &Header, packet: &[u8]) -> Result<(), Dropped> {
        let codec = codec_of(&self.media, header.payload_type);
        match self.streams.get(&header.ssrc) {
            // Sound that is coded in another way from now on is another stream: its clock runs at another rate.
            Some(Role::Media(stream)) if codec.is_some_and(|codec| codec != stream.codec && is_audio(codec)) => {}
            Some(_) => return Ok(()),
            None => {}
        }
        if let Some(codec) = codec.filter(|codec| is_audio(*codec)) {
            self.begin(header.ssrc, Track::Audio, codec);
            return Ok(());
        }
        let named = |id: Option<u8>| id.and_then(|id| header.extension(packet, id));
        let is_rtx = Some(header.payload_type) == self.media.payload_types.rtx;
        let rid = match (self.media.is_simulcast, is_rtx) {
            (false, _) => Rid::SINGLE,
            (true, false) => named(self.media.rid_extension).and_then(Rid::new).ok_or(Dropped::Unknown)?,
            (true, true) => named(self.media.repaired_rid_extension).and_then(Rid::new).ok_or(Dropped::Unknown)?,
        };
        if !self.media.encodings.contains(&rid) {
            return Err(Dropped::Unknown);
        }
        if is_rtx {
            self.streams.retain(|_, role| !matches!(role, Role::Repair(before) if *before == rid));
            self.streams.insert(header.ssrc, Role::Repair(rid));
            return Ok(());
        }
        self.begin(header.ssrc, Track::Video(rid), Codec::H264);
        Ok(())
    }

    /// A new stream of a track takes the old one's place.
    fn begin(&mut self, ssrc: Ssrc, track: Track, codec: Codec) {
        self.streams.retain(|_, role| !matches!(role, Role::Media(stream) if stream.track == track));
        let stream = Stream { track, codec, source: Source::default(), offset: 0, restarts: false };
        self.streams.insert(ssrc, Role::Media(Box::new(stream)));
    }
}

fn codec_of(media: &PublisherMedia, payload_type: u8) -> Option<Codec> {
    if payload_type == media.payload_types.media {
        return Some(Codec::H264);
    }
    media.audio?.codec(payload_type)
}

fn is_audio(codec: Codec) -> bool {
    codec != Codec::H264
}
