//! RTCP that virtual peers write, and what they read of a server's (RFC 3550, RFC 4585).

use rtc_rtcp::packet::{Packet, marshal, unmarshal};
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtcp::sender_report::SenderReport;
use rtc_rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, StatusChunkTypeTcc, StatusVectorChunk, SymbolSizeTypeTcc, SymbolTypeTcc,
    TYPE_TCC_DELTA_SCALE_FACTOR, TransportLayerCc,
};
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{
    NackPair, TransportLayerNack, nack_pairs_from_sequence_numbers,
};

/// The SSRC that viewers report under, as Chromium's receive-only peers do.
const REPORTER: u32 = 1;
/// Most entries of one datagram that are looked at.
const MAX_ENTRIES: usize = 512;

/// Ticks of 250 us in one unit of the time of reference of [`arrivals`].
const REFERENCE_TICKS: u32 = 256;

/// What a viewer says of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Which stream.
    pub ssrc: u32,
    /// Of the packets since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the beginning.
    pub total_lost: u32,
    /// Extended highest sequence number.
    pub highest: u32,
    /// In timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report.
    pub last_report: u32,
    /// Since then, in 1/65536 s.
    pub delay: u32,
}

/// One thing that a server told us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// A sender report.
    SenderReport {
        /// Of which stream.
        ssrc: u32,
        /// Middle 32 bits of its NTP time.
        ntp: u32,
    },
    /// Packets to send again.
    Nack {
        /// Of which stream of ours.
        ssrc: u32,
        /// Which.
        sequences: Vec<u16>,
    },
    /// Streams that are over.
    Bye(Vec<u32>),
}

/// Reads a decrypted datagram; what is of no use here is passed over.
pub fn read(mut datagram: &[u8]) -> Vec<Feedback> {
    let packets = unmarshal(&mut datagram).unwrap_or_default();
    let mut feedback = Vec::new();
    for packet in packets.iter().take(MAX_ENTRIES) {
        let any = packet.as_any();
        if let Some(report) = any.downcast_ref::<SenderReport>() {
            feedback.push(Feedback::SenderReport { ssrc: report.ssrc, ntp: (report.ntp_time >> 16) as u32 });
        } else if let Some(nack) = any.downcast_ref::<TransportLayerNack>() {
            let sequences = nack.nacks.iter().flat_map(NackPair::packet_list).take(MAX_ENTRIES).collect();
            feedback.push(Feedback::Nack { ssrc: nack.media_ssrc, sequences });
        } else if let Some(bye) = any.downcast_ref::<rtc_rtcp::goodbye::Goodbye>() {
            feedback.push(Feedback::Bye(bye.sources.clone()));
        }
    }
    feedback
}

fn write(packets: &[Box<dyn Packet>]) -> Vec<u8> {
    marshal(packets).map(Vec::from).unwrap_or_default()
}

/// A viewer's receiver report with what it can receive (draft-alvestrand-rmcat-remb-03), in bit/s.
pub fn receiver_report(reports: &[Report], remb: Option<f32>) -> Vec<u8> {
    let block = |r: &Report| ReceptionReport {
        ssrc: r.ssrc,
        fraction_lost: r.fraction_lost,
        total_lost: r.total_lost,
        last_sequence_number: r.highest,
        jitter: r.jitter,
        last_sender_report: r.last_report,
        delay: r.delay,
    };
    let report = ReceiverReport { ssrc: REPORTER, reports: reports.iter().map(block).collect(), ..Default::default() };
    let mut packets: Vec<Box<dyn Packet>> = vec![Box::new(report)];
    if let Some(bitrate) = remb {
        let ssrcs = reports.iter().map(|report| report.ssrc).collect();
        packets.push(Box::new(ReceiverEstimatedMaximumBitrate { sender_ssrc: REPORTER, bitrate, ssrcs }));
    }
    write(&packets)
}

/// When packets came, by their transport-wide numbers from `base` on: in ticks of 250 us, `None` of those that did not
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01). `count` is the number of the feedback.
pub fn arrivals(ssrc: u32, base: u16, count: u8, ticks: &[Option<u32>]) -> Vec<u8> {
    let first = ticks.iter().copied().flatten().next().unwrap_or_default();
    let reference_time = first / REFERENCE_TICKS;
    let mut last = reference_time * REFERENCE_TICKS;
    let mut symbols = Vec::with_capacity(ticks.len());
    let mut recv_deltas = Vec::with_capacity(ticks.len());
    for ticks in ticks {
        let delta = ticks.map_or(0, |ticks| ticks.wrapping_sub(last).cast_signed());
        let symbol = match ticks {
            None => SymbolTypeTcc::PacketNotReceived,
            Some(_) if (0..=255).contains(&delta) => SymbolTypeTcc::PacketReceivedSmallDelta,
            Some(_) => SymbolTypeTcc::PacketReceivedLargeDelta,
        };
        symbols.push(symbol);
        if let Some(ticks) = ticks {
            last = *ticks;
            recv_deltas
                .push(RecvDelta { type_tcc_packet: symbol, delta: i64::from(delta) * TYPE_TCC_DELTA_SCALE_FACTOR });
        }
    }
    let chunk = |symbols: &[SymbolTypeTcc]| {
        PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
            type_tcc: StatusChunkTypeTcc::StatusVectorChunk,
            symbol_size: SymbolSizeTypeTcc::TwoBit,
            symbol_list: symbols.to_vec(),
        })
    };
    write(&[Box::new(TransportLayerCc {
        sender_ssrc: REPORTER,
        media_ssrc: ssrc,
        base_sequence_number: base,
        packet_status_count: ticks.len() as u16,
        reference_time,
        fb_pkt_count: count,
        packet_chunks: symbols.chunks(7).map(chunk).collect(),
        recv_deltas,
    })])
}

/// Asks for packets again.
pub fn nack(ssrc: u32, sequences: &[u16]) -> Vec<u8> {
    let nacks = nack_pairs_from_sequence_numbers(sequences);
    write(&[Box::new(TransportLayerNack { sender_ssrc: REPORTER, media_ssrc: ssrc, nacks })])
}

/// Asks for a keyframe.
pub fn picture_loss(ssrc: u32) -> Vec<u8> {
    write(&[Box::new(PictureLossIndication { sender_ssrc: REPORTER, media_ssrc: ssrc })])
}

/// A publisher's sender report.
pub fn sender_report(ssrc: u32, ntp: u64, rtp: u32, packets: u32, octets: u32) -> Vec<u8> {
    let (ntp_time, rtp_time, packet_count, octet_count) = (ntp, rtp, packets, octets);
    write(&[Box::new(SenderReport { ssrc, ntp_time, rtp_time, packet_count, octet_count, ..Default::default() })])
}
