//! Sealing packets for viewers: from the shared store straight into the send arena, a train at a time.
//!
//! Invariant: the packets of a train are equally long, but the last may be shorter (what UDP GSO needs).

use crate::encoding::Source;
use crate::rewrite::{Place, Rewriter};
use crate::rtp::{Fields, HeaderTemplate, ViewerExtensions};
use crate::sdp::{AudioMedia, AudioTypes, SlotMedia};
use crate::srtp::{MAX_TAG, Sealer};
use crate::{Codec, Layer, Packet, Ssrc, TransportAddress};
use std::ops::Range;
use std::time::Duration;

/// Most packets of a train: where sending gets no cheaper, and a burst stays small.
pub const MAX_TRAIN: usize = 16;
/// Longest header, original sequence number of a retransmission included.
const MAX_HEADER: usize = 30;

/// What a packet takes beside its payload: RTP header and extensions, SRTP tag, UDP and IP, in bytes.
pub(crate) const OVERHEAD: u64 = 64;

/// Where a train lies in the arena, and how it leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Train {
    /// The viewer's address.
    pub to: TransportAddress,
    /// Its bytes in the arena.
    pub bytes: Range<usize>,
    /// Length of each packet but the last, which may be shorter.
    pub segment: usize,
}

/// Send buffer lent by the shell: filled by the core, sent and emptied by the shell.
#[derive(Debug)]
pub struct Arena {
    bytes: Vec<u8>,
    used: usize,
}

impl Arena {
    /// Of so many bytes; at least a train of full packets.
    pub fn new(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity.max(MAX_TRAIN * 1500)], used: 0 }
    }

    /// What a train says.
    pub fn bytes(&self, train: &Train) -> &[u8] {
        &self.bytes[train.bytes.clone()]
    }

    /// All of it, for building messages to the kernel.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Empties it: all trains have left.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.bytes.len() - self.used >= bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// A single datagram, to `to`.
    pub(crate) fn put(&mut self, to: TransportAddress, datagram: &[u8]) -> Train {
        let start = self.used;
        self.bytes[start..start + datagram.len()].copy_from_slice(datagram);
        self.used += datagram.len();
        Train { to, bytes: start..self.used, segment: datagram.len() }
    }
}

/// Bytes that sealing these packets takes at most.
pub(crate) fn room_for(packets: &[Packet]) -> usize {
    packets.iter().map(|p| p.payload.len() + MAX_HEADER + MAX_TAG).sum()
}

/// Packets that can be a train.
pub(crate) struct Run {
    /// Where they stand.
    pub(crate) range: Range<usize>,
    /// Bytes that sealing them takes at most.
    pub(crate) room: usize,
}

/// Cuts packets into runs.
pub(crate) fn runs(packets: &[Packet]) -> Vec<Run> {
    let mut runs = Vec::with_capacity(packets.len() / MAX_TRAIN + 2);
    let mut start = 0;
    for at in 1..=packets.len() {
        let ends = packets.get(at).is_none_or(|next| {
            let length = |i: usize| packets[i].payload.len();
            at - start == MAX_TRAIN
                || length(at - 1) < length(start)
                || next.payload.len() > length(start)
                || may_be_empty(&packets[at - 1])
                || may_be_empty(next)
        });
        if ends {
            runs.push(Run { range: start..at, room: room_for(&packets[start..at]) });
            start = at;
        }
    }
    runs
}

/// Whether an empty packet goes out in its place to some viewers.
fn may_be_empty(packet: &Packet) -> bool {
    packet.standing.is_late && packet.layer > Layer::BASE
}

/// What a viewer gets in one slot: a stream, and one for its retransmissions.
pub(crate) struct Outbound {
    header: HeaderTemplate,
    types: StreamTypes,
    rtx: Option<Rtx>,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
}

/// Payload types of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StreamTypes {
    /// H.264.
    Video(u8),
    /// One for each codec.
    Audio(AudioTypes),
}

impl StreamTypes {
    fn of(self, codec: Codec) -> Option<u8> {
        match self {
            Self::Video(number) => (codec == Codec::H264).then_some(number),
            Self::Audio(types) => types.of(codec),
        }
    }
}

/// Retransmissions in the RTX format (RFC 4588, section 4).
struct Rtx {
    header: HeaderTemplate,
    payload_type: u8,
    next: u64,
    octets: u64,
}

/// Where sealed packets go.
pub(crate) struct Way<'a> {
    /// The viewer's address.
    pub(crate) to: TransportAddress,
    /// When it is, in 6.18 fixed point seconds.
    pub(crate) send_time: u32,
    /// Transport-wide number of the first packet; the others follow.
    pub(crate) number: u16,
    pub(crate) sealer: &'a mut Sealer,
    pub(crate) arena: &'a mut Arena,
}

impl Outbound {
    /// A stream of pictures.
    pub(crate) fn video(media: &SlotMedia) -> Self {
        let rtx = media.payload_types.rtx.map(|payload_type| Rtx {
            header: HeaderTemplate::new(media.rtx_ssrc, media.extensions),
            payload_type,
            next: 1,
            octets: 0,
        });
        let header = HeaderTemplate::new(media.ssrc, media.extensions);
        Self { header, types: StreamTypes::Video(media.payload_types.media), rtx, packets: 0, octets: 0 }
    }

    /// A stream of sound.
    pub(crate) fn audio(media: &AudioMedia) -> Self {
        let extensions = ViewerExtensions { playout_delay: None, ..media.extensions };
        let header = HeaderTemplate::new(media.ssrc, extensions);
        Self { header, types: StreamTypes::Audio(media.types), rtx: None, packets: 0, octets: 0 }
    }

    pub(crate) fn ssrc(&self) -> Ssrc {
        self.header.ssrc()
    }

    /// Whether its packets have transport-wide numbers.
    pub(crate) fn is_numbered(&self) -> bool {
        self.header.is_numbered()
    }

    /// Whether its receiver takes retransmissions.
    pub(crate) fn has_rtx(&self) -> bool {
        self.rtx.is_some()
    }

    /// Bytes sent so far, retransmissions and all headers included.
    pub(crate) fn bytes(&self) -> u64 {
        let (again, octets) = self.rtx.as_ref().map_or((0, 0), |rtx| (rtx.next - 1, rtx.octets));
        self.octets + octets + (self.packets + again) * OVERHEAD
    }

    /// Asks the receiver to hold its frames back, so long at least and at most.
    pub(crate) fn set_playout_delay(&mut self, least: Duration, most: Duration) {
        let headers = std::iter::once(&mut self.header).chain(self.rtx.as_mut().map(|rtx| &mut rtx.header));
        headers.for_each(|header| header.set_playout_delay(least, most));
    }

    /// Seals a run of packets as one train, from the next frame on those `up_to` a layer; `None` when none of them is for
    /// this viewer.
    pub(crate) fn seal(
        &mut self,
        packets: &[Packet],
        rewriter: &mut Rewriter<Source>,
        up_to: Layer,
        way: Way<'_>,
    ) -> Option<Train> {
        let Way { to, send_time, mut number, sealer, arena } = way;
        let start = arena.used;
        let mut source = rewriter.source()?;
        let mut segment = 0;
        for packet in packets {
            let Some(payload_type) = self.types.of(packet.codec) else { continue };
            if !packet.counts(source.up_to) {
                continue;
            }
            // Another selection goes on where a frame begins that both have, or that the new one is to leave out.
            if source.up_to != up_to {
                let (number, other) = (packet.number(source.up_to), Source { up_to, ..source });
                if rewriter.branch(other, number, packet.number(up_to), packet.time) {
                    source = other;
                    if !packet.counts(up_to) {
                        continue;
                    }
                }
            }
            let Some(place) = rewriter.place(packet.number(source.up_to), packet.time) else { continue };
            let payload = packet.shown(source.up_to);
            let header = self.header.size();
            let body_end = header + payload.len();
            let out = &mut arena.bytes[arena.used..][..body_end + sealer.tag_len()];
            let fields = Fields {
                payload_type,
                marker: packet.marker,
                sequence: place.sequence as u16,
                time: place.time,
                send_time,
                number,
            };
            self.header.write(out, fields);
            out[header..body_end].copy_from_slice(payload);
            sealer.seal(out, header, self.header.ssrc(), place.sequence);
            let len = out.len();
            arena.used += len;
            segment = if segment == 0 { len } else { segment };
            number = number.wrapping_add(1);
            self.packets += 1;
            self.octets += payload.len() as u64;
        }
        (segment > 0).then_some(Train { to, bytes: start..arena.used, segment })
    }

    /// Seals a packet again, as a retransmission; `None` when the viewer takes none.
    pub(crate) fn seal_again(&mut self, packet: &Packet, original: Place, way: Way<'_>) -> Option<Train> {
        let Way { to, send_time, number, sealer, arena } = way;
        let rtx = self.rtx.as_mut()?;
        let start = arena.used;
        let header = rtx.header.size();
        let body_end = header + 2 + packet.payload.len();
        let out = &mut arena.bytes[start..start + body_end + sealer.tag_len()];
        let fields = Fields {
            payload_type: rtx.payload_type,
            marker: packet.marker,
            sequence: rtx.next as u16,
            time: original.time,
            send_time,
            number,
        };
        rtx.header.write(out, fields);
        out[header..header + 2].copy_from_slice(&(original.sequence as u16).to_be_bytes());
        out[header + 2..body_end].copy_from_slice(&packet.payload);
        sealer.seal(out, header, rtx.header.ssrc(), rtx.next);
        rtx.next += 1;
        rtx.octets += packet.payload.len() as u64;
        arena.used += out.len();
        Some(Train { to, bytes: start..arena.used, segment: arena.used - start })
    }
}
