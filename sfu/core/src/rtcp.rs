//! RTCP packets that the node writes (RFC 3550, RFC 4585), and what it takes from those it reads.

use crate::arrivals::Report;
use crate::source::Reception;
use crate::types::{ClockPair, Ssrc};
use rtc_rtcp::extended_report::ExtendedReport;
use rtc_rtcp::extended_report::dlrr::{DLRRReport, DLRRReportBlock};
use rtc_rtcp::extended_report::rrt::ReceiverReferenceTimeReportBlock;
use rtc_rtcp::goodbye::Goodbye;
use rtc_rtcp::packet::{Packet, marshal, unmarshal};
use rtc_rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtcp::sender_report::SenderReport;
use rtc_rtcp::source_description::{SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem};
use rtc_rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, StatusChunkTypeTcc, StatusVectorChunk, SymbolSizeTypeTcc, SymbolTypeTcc,
    TYPE_TCC_DELTA_SCALE_FACTOR, TransportLayerCc,
};
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{
    NackPair, TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use std::time::Duration;

/// Most feedback entries that one datagram may carry.
const MAX_ENTRIES: usize = 512;

/// One thing that a peer told us.
#[derive(Debug, PartialEq, Eq)]
pub enum Feedback {
    /// A publisher's clock.
    SenderReport {
        /// Of which stream.
        ssrc: Ssrc,
        /// What it said.
        pair: ClockPair,
    },
    /// A viewer's loss and round trip.
    ReceiverReport {
        /// Of which stream of ours.
        ssrc: Ssrc,
        /// Of the packets since its last report, in 1/256.
        fraction_lost: u8,
        /// Of the last sender report seen.
        last_report: u32,
        /// Since then, in 1/65536 s.
        delay: u32,
    },
    /// What a receiver can take of all our streams (REMB, draft-alvestrand-rmcat-remb-03), in bit/s.
    Estimate(u64),
    /// A receiver's clock, which it wants back to measure the round trip (RFC 3611, section 4.4).
    ReferenceTime {
        /// Of the receiver.
        ssrc: Ssrc,
        /// Middle 32 bits of its NTP timestamp.
        ntp: u32,
    },
    /// Packets to send again.
    Nack {
        /// Of which stream of ours.
        ssrc: Ssrc,
        /// Which.
        sequences: Vec<u16>,
    },
    /// A keyframe is needed (PLI or FIR).
    KeyframeRequest {
        /// Of which stream of ours.
        ssrc: Ssrc,
    },
    /// These streams are over.
    Bye(Vec<Ssrc>),
}

/// The packets of a decrypted datagram (RFC 3550, section 6.1); one that is cut, and what follows it, comes as it is.
pub fn packets(mut datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let words = datagram.get(2..4).map_or(0, |length| u16::from_be_bytes([length[0], length[1]]));
        let (packet, rest) = datagram.split_at((4 * (usize::from(words) + 1)).min(datagram.len()));
        datagram = rest;
        (!packet.is_empty()).then_some(packet)
    })
}

/// Reads a decrypted datagram; packets of other kinds are passed over, malformed ones end the reading.
pub fn read(mut datagram: &[u8]) -> Vec<Feedback> {
    let Ok(packets) = unmarshal(&mut datagram) else { return Vec::new() };
    let mut feedback = Vec::new();
    for packet in &packets {
        take(packet.as_ref(), &mut feedback);
    }
    feedback.truncate(MAX_ENTRIES);
    feedback
}

fn take(packet: &dyn Packet, feedback: &mut Vec<Feedback>) {
    let any = packet.as_any();
    let receptions = |blocks: &[ReceptionReport], feedback: &mut Vec<Feedback>| {
        feedback.extend(blocks.iter().map(|b| Feedback::ReceiverReport {
            ssrc: Ssrc(b.ssrc),
            fraction_lost: b.fraction_lost,
            last_report: b.last_sender_report,
            delay: b.delay,
        }));
    };
    if let Some(report) = any.downcast_ref::<SenderReport>() {
        let pair = ClockPair { ntp: report.ntp_time, rtp: report.rtp_time };
        feedback.push(Feedback::SenderReport { ssrc: Ssrc(report.ssrc), pair });
        receptions(&report.reports, feedback);
    } else if let Some(report) = any.downcast_ref::<ReceiverReport>() {
        receptions(&report.reports, feedback);
    } else if let Some(nack) = any.downcast_ref::<TransportLayerNack>() {
        let sequences = nack.nacks.iter().flat_map(NackPair::packet_list).take(MAX_ENTRIES).collect();
        feedback.push(Feedback::Nack { ssrc: Ssrc(nack.media_ssrc), sequences });
    } else if let Some(request) = any.downcast_ref::<PictureLossIndication>() {
        feedback.push(Feedback::KeyframeRequest { ssrc: Ssrc(request.media_ssrc) });
    } else if let Some(request) = any.downcast_ref::<FullIntraRequest>() {
        feedback.extend(request.fir.iter().map(|entry| Feedback::KeyframeRequest { ssrc: Ssrc(entry.ssrc) }));
    } else if let Some(estimate) = any.downcast_ref::<ReceiverEstimatedMaximumBitrate>() {
        feedback.push(Feedback::Estimate(estimate.bitrate as u64));
    } else if let Some(report) = any.downcast_ref::<ExtendedReport>() {
        let times = report.reports.iter().filter_map(|b| b.as_any().downcast_ref::<ReceiverReferenceTimeReportBlock>());
        let ssrc = Ssrc(report.sender_ssrc);
        feedback.extend(times.map(|b| Feedback::ReferenceTime { ssrc, ntp: (b.ntp_timestamp >> 16) as u32 }));
    } else if let Some(bye) = any.downcast_ref::<Goodbye>() {
        feedback.push(Feedback::Bye(bye.sources.iter().copied().map(Ssrc).collect()));
    }
}

fn write(packets: &[Box<dyn Packet>]) -> Vec<u8> {
    marshal(packets).map(Vec::from).unwrap_or_default()
}

/// A sender report with our canonical name: the publisher's clock in the viewer's timestamps.
pub fn sender_report(ssrc: Ssrc, pair: ClockPair, packets: u32, octets: u32) -> Vec<u8> {
    let report = SenderReport {
        ssrc: ssrc.0,
        ntp_time: pair.ntp,
        rtp_time: pair.rtp,
        packet_count: packets,
        octet_count: octets,
        ..Default::default()
    };
    let name = SourceDescriptionItem { sdes_type: SdesType::SdesCname, text: "sunroom".into() };
    let names = SourceDescription { chunks: vec![SourceDescriptionChunk { source: ssrc.0, items: vec![name] }] };
    write(&[Box::new(report), Box::new(names)])
}

/// A receiver report on a publisher's streams.
pub fn receiver_report(ours: Ssrc, receptions: &[(Ssrc, Reception)]) -> Vec<u8> {
    let block = |(ssrc, r): &(Ssrc, Reception)| ReceptionReport {
        ssrc: ssrc.0,
        fraction_lost: r.fraction_lost,
        total_lost: r.total_lost,
        last_sequence_number: r.highest,
        jitter: r.jitter,
        last_sender_report: r.last_report,
        delay: r.delay,
    };
    let reports = receptions.iter().map(block).collect();
    write(&[Box::new(ReceiverReport { ssrc: ours.0, reports, ..Default::default() })])
}

/// Asks a publisher for packets again.
pub fn nack(ours: Ssrc, media: Ssrc, sequences: &[u16]) -> Vec<u8> {
    let nacks = nack_pairs_from_sequence_numbers(sequences);
    write(&[Box::new(TransportLayerNack { sender_ssrc: ours.0, media_ssrc: media.0, nacks })])
}

/// Tells a publisher which of its packets came, and when.
pub fn arrivals(ours: Ssrc, media: Ssrc, report: &Report) -> Vec<u8> {
    let symbol = |delta: &Option<i16>| match delta {
        None => SymbolTypeTcc::PacketNotReceived,
        Some(0..=255) => SymbolTypeTcc::PacketReceivedSmallDelta,
        Some(_) => SymbolTypeTcc::PacketReceivedLargeDelta,
    };
    let chunk = |deltas: &[Option<i16>]| {
        let symbol_list = deltas.iter().map(symbol).collect();
        let (type_tcc, symbol_size) = (StatusChunkTypeTcc::StatusVectorChunk, SymbolSizeTypeTcc::TwoBit);
        PacketStatusChunk::StatusVectorChunk(StatusVectorChunk { type_tcc, symbol_size, symbol_list })
    };
    let delta = |delta: &Option<i16>| {
        let ticks = i64::from((*delta)?);
        Some(RecvDelta { type_tcc_packet: symbol(delta), delta: ticks * TYPE_TCC_DELTA_SCALE_FACTOR })
    };
    write(&[Box::new(TransportLayerCc {
        sender_ssrc: ours.0,
        media_ssrc: media.0,
        base_sequence_number: report.base,
        packet_status_count: report.deltas.len() as u16,
        reference_time: report.reference,
        fb_pkt_count: report.count,
        packet_chunks: report.deltas.chunks(7).map(chunk).collect(),
        recv_deltas: report.deltas.iter().filter_map(delta).collect(),
    })])
}

/// Asks a publisher for a keyframe.
pub fn picture_loss(ours: Ssrc, media: Ssrc) -> Vec<u8> {
    write(&[Box::new(PictureLossIndication { sender_ssrc: ours.0, media_ssrc: media.0 })])
}

/// Gives a receiver its clock back, so long after it told it (RFC 3611, section 4.5).
pub fn reference_time_answer(ours: Ssrc, theirs: Ssrc, ntp: u32, waited: Duration) -> Vec<u8> {
    let dlrr = (waited.as_secs_f64() * 65_536.0) as u32;
    let block = DLRRReportBlock { reports: vec![DLRRReport { ssrc: theirs.0, last_rr: ntp, dlrr }] };
    write(&[Box::new(ExtendedReport { sender_ssrc: ours.0, reports: vec![Box::new(block)] })])
}

/// Says that our streams are over.
pub fn goodbye(sources: &[Ssrc]) -> Vec<u8> {
    let sources = sources.iter().map(|s| s.0).collect();
    write(&[Box::new(Goodbye { sources, ..Default::default() })])
}
