//! Numbers every RTP packet that leaves, retransmissions too, and hears what the node tells of them
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! Invariants: a packet's number replaces one that stands there already, so packets do not grow; what is sent beside the
//! pictures, to find out what the uplink carries, names an m-line that is none, so that the node takes it for no picture,
//! and has the pictures' payload type, for which the numbers were agreed; it leaves by a timer, for pictures may be few.

use super::media::{MID_URI, NUMBER_URI};
use crate::{
    backoff::random_u32,
    uplink::{CLOCK_MICROS, Lane, Told},
};
use bytes::Bytes;
use rtc::{
    interceptor::{Attribute, AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket},
    rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, SymbolTypeTcc, TransportLayerCc},
    rtp,
    sansio::Protocol,
    shared::{TransportContext, error::Error},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

#[cfg(test)]
mod tests;

/// Bytes of a packet beside its payload: header, header extensions, SRTP's tag, UDP, IP.
pub(super) const HEADERS: usize = 12 + 16 + 16 + 8 + 20;
/// Payload of a packet that is sent beside the pictures.
static PADDING: [u8; 1000] = [0; 1000];
/// Its m-line.
const NO_LINE: &[u8] = b"-";
/// It is sent so often while there is a probe.
const PADDING_INTERVAL: Duration = Duration::from_millis(5);
/// Most packets that one report is taken to tell of.
const MAX_STATUSES: usize = 4096;
/// A unit of a report's reference time.
const REFERENCE_MICROS: i64 = 64_000;

/// The interceptor.
pub(super) struct Numbering {
    lane: Lane,
    /// Ids of the header extensions with the number and the m-line's name, where they were agreed.
    ids: Option<(u8, u8)>,
    /// Of those streams.
    numbered: BTreeSet<u32>,
    /// SSRCs of the pictures, with their payload types.
    pictures: BTreeMap<u32, u8>,
    /// SSRC and last sequence number of what is sent beside the pictures.
    padding: (u32, u16),
    /// When it is to be sent next, while there is a probe.
    next_padding: Option<Instant>,
    /// The picture's packet that left last.
    picture: Option<Picture>,
    inbound: VecDeque<TaggedPacket>,
    outbound: VecDeque<TaggedPacket>,
}

/// A packet of a picture, as it left.
#[derive(Clone, Copy)]
struct Picture {
    transport: TransportContext,
    payload_type: u8,
    timestamp: u32,
}

impl Numbering {
    /// One that tells `lane`.
    pub(super) fn new(lane: Lane) -> Self {
        let padding = (random_u32().max(1), 0);
        let (inbound, outbound) = (VecDeque::new(), VecDeque::new());
        let (numbered, pictures) = (BTreeSet::new(), BTreeMap::new());
        let (next_padding, picture) = (None, None);
        Self { lane, ids: None, numbered, pictures, padding, next_padding, picture, inbound, outbound }
    }

    /// Begins to send beside the pictures where there is a probe.
    fn expect_padding(&mut self, now: Instant) {
        if self.next_padding.is_none() && self.picture.is_some() && self.lane.is_probing() {
            self.next_padding = Some(now + PADDING_INTERVAL);
        }
    }

    /// Adds what is to be sent beside the pictures now.
    fn pad(&mut self, now: Instant) -> Result<(), Error> {
        let (Some((number_id, mid_id)), Some(picture)) = (self.ids, self.picture) else { return Ok(()) };
        let Picture { transport, payload_type, timestamp } = picture;
        let due = self.lane.padding(now);
        for _ in 0..due / PADDING.len() as u64 {
            self.padding.1 = self.padding.1.wrapping_add(1);
            let (ssrc, sequence_number) = self.padding;
            let mut header =
                rtp::Header { version: 2, payload_type, sequence_number, timestamp, ssrc, ..Default::default() };
            header.set_extension(mid_id, Bytes::from_static(NO_LINE))?;
            let number = self.lane.send(now, (PADDING.len() + HEADERS) as u32);
            header.set_extension(number_id, Bytes::copy_from_slice(&number.to_be_bytes()))?;
            let packet = Packet::Rtp(rtp::Packet { header, payload: Bytes::from_static(&PADDING) });
            let message = AttributedPacket::new(packet);
            self.outbound.push_back(TaggedPacket { now, transport, message });
        }
        Ok(())
    }
}

/// What a report tells of each packet.
fn told(report: &TransportLayerCc) -> Vec<Told> {
    let symbols = report.packet_chunks.iter().flat_map(|chunk| match chunk {
        PacketStatusChunk::RunLengthChunk(run) => {
            vec![run.packet_status_symbol; usize::from(run.run_length).min(MAX_STATUSES)]
        }
        PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.clone(),
    });
    let mut deltas = report.recv_deltas.iter();
    let mut clock = i64::from(report.reference_time) * REFERENCE_MICROS;
    let count = usize::from(report.packet_status_count).min(MAX_STATUSES);
    let mut all = Vec::with_capacity(count);
    for (at, symbol) in symbols.take(count).enumerate() {
        let number = report.base_sequence_number.wrapping_add(at as u16);
        let came = match symbol {
            SymbolTypeTcc::PacketNotReceived => None,
            // It came, but when is not told: as if with the one before it.
            SymbolTypeTcc::PacketReceivedWithoutDelta => Some(clock.rem_euclid(CLOCK_MICROS)),
            SymbolTypeTcc::PacketReceivedSmallDelta | SymbolTypeTcc::PacketReceivedLargeDelta => {
                let Some(delta) = deltas.next() else { break };
                clock += delta.delta;
                Some(clock.rem_euclid(CLOCK_MICROS))
            }
        };
        all.push(Told { number, came });
    }
    all
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Numbering {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(reports) = &packet.message.packet {
            for report in reports.iter().filter_map(|r| r.as_any().downcast_ref::<TransportLayerCc>()) {
                self.lane.hear(told(report));
            }
        }
        self.expect_padding(packet.now);
        self.inbound.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inbound.pop_front()
    }

    fn handle_write(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
        let now = packet.now;
        let is_repair = packet.message.attributes.iter().any(|a| matches!(a, Attribute::Retransmission));
        let Packet::Rtp(media) = &mut packet.message.packet else {
            self.outbound.push_back(packet);
            return Ok(());
        };
        let bytes = (media.payload.len() + HEADERS) as u32;
        let id = self.ids.filter(|_| self.numbered.contains(&media.header.ssrc)).map(|(number, _)| number);
        let Some(id) = id else {
            self.outbound.push_back(packet);
            return Ok(());
        };
        if is_repair && !self.lane.may_repair(now, bytes) {
            return Ok(());
        }
        let number = self.lane.send(now, bytes);
        media.header.set_extension(id, Bytes::copy_from_slice(&number.to_be_bytes()))?;
        let (ssrc, timestamp) = (media.header.ssrc, media.header.timestamp);
        if let Some(&payload_type) = self.pictures.get(&ssrc) {
            self.picture = Some(Picture { transport: packet.transport, payload_type, timestamp });
        }
        self.outbound.push_back(packet);
        self.expect_padding(now);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.outbound.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if self.next_padding.is_none_or(|at| now < at) {
            return Ok(());
        }
        self.next_padding = self.lane.is_probing().then(|| now + PADDING_INTERVAL);
        self.pad(now)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.next_padding
    }
}

impl Interceptor for Numbering {
    fn bind_local_stream(&mut self, stream: &StreamInfo) {
        let id = |uri: &str| {
            let found = stream.rtp_header_extensions.iter().find(|e| e.uri == uri);
            found.and_then(|e| u8::try_from(e.id).ok()).filter(|id| *id > 0)
        };
        let Some(number) = id(NUMBER_URI) else { return };
        self.numbered.insert(stream.ssrc);
        if stream.mime_type.starts_with("video/") {
            self.pictures.insert(stream.ssrc, stream.payload_type);
        }
        self.ids = id(MID_URI).map(|mid| (number, mid)).or(self.ids);
    }

    fn unbind_local_stream(&mut self, stream: &StreamInfo) {
        self.numbered.remove(&stream.ssrc);
        self.pictures.remove(&stream.ssrc);
    }

    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
