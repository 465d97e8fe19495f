//! Transport-wide feedback to publishers: what came is told with its time, what did not is told lost.

mod net;

use net::streams::{Stream, numbered, video_packet};
use net::{CAMERA, Net, SSRC};
use rtc_rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, SymbolTypeTcc, TransportLayerCc};
use sfu_core::SlotId;
use sfu_core::arrivals::{Arrivals, MAX_STATUSES, Report};
use std::time::{Duration, Instant};

/// The moment that virtual time begins.
#[allow(clippy::disallowed_methods, reason = "virtual time has to begin somewhere; only the core forbids it")]
fn origin() -> Instant {
    Instant::now()
}

const MS: Duration = Duration::from_millis(1);

/// Notes numbers, one each millisecond from 100 ms on, and reports at 500 ms.
fn reports(numbers: &[u16]) -> Vec<Report> {
    let (origin, mut arrivals) = (origin(), Arrivals::default());
    for (at, number) in numbers.iter().enumerate() {
        arrivals.note(origin + MS * (100 + at as u32), origin, *number);
    }
    std::iter::from_fn(|| arrivals.report(origin + MS * 500)).collect()
}

/// Which numbers have come, and when, in milliseconds.
fn told(report: &Report) -> Vec<(u16, Option<u32>)> {
    let mut ticks = report.reference * 256;
    let one = |(at, delta): (usize, &Option<i16>)| {
        let came = delta.map(|delta| {
            ticks = ticks.wrapping_add_signed(i32::from(delta));
            ticks / 4
        });
        (report.base.wrapping_add(at as u16), came)
    };
    report.deltas.iter().enumerate().map(one).collect()
}

#[test]
fn what_does_not_come_is_told_lost_across_the_wrap_of_numbers() {
    let reports = reports(&[65_533, 65_534, 1, 2]);
    assert_eq!(reports.len(), 1);
    let expected =
        [(65_533, Some(100)), (65_534, Some(101)), (65_535, None), (0, None), (1, Some(102)), (2, Some(103))];
    assert_eq!(told(&reports[0]), expected);
}

#[test]
fn what_comes_out_of_order_has_its_own_time() {
    let reports = reports(&[7, 9, 8, 10]);
    assert_eq!(told(&reports[0]), [(7, Some(100)), (8, Some(102)), (9, Some(101)), (10, Some(103))]);
}

#[test]
fn what_comes_after_it_was_told_lost_is_told_again_and_a_repetition_is_not() {
    let (origin, mut arrivals) = (origin(), Arrivals::default());
    for (ms, number) in [(0, 1), (2, 3)] {
        arrivals.note(origin + MS * ms, origin, number);
    }
    assert_eq!(told(&arrivals.report(origin + MS * 10).expect("due")), [(1, Some(0)), (2, None), (3, Some(2))]);
    arrivals.note(origin + MS * 20, origin, 2);
    arrivals.note(origin + MS * 21, origin, 3);
    assert_eq!(arrivals.report(origin + MS * 60), None, "not before its time");
    assert_eq!(told(&arrivals.report(origin + MS * 70).expect("due")), [(2, Some(20)), (3, Some(2))]);
    arrivals.note(origin + MS * 80, origin, 3);
    assert_eq!(arrivals.report(origin + MS * 200), None, "nothing new");
}

#[test]
fn numbers_that_jump_cost_no_more_than_what_is_kept() {
    let (origin, mut arrivals) = (origin(), Arrivals::default());
    for n in 0..100_000u32 {
        arrivals.note(origin + MS * (n / 100), origin, (n.wrapping_mul(2_654_435_761) >> 16) as u16);
        if n % 1000 == 0 {
            let reports: Vec<_> = std::iter::from_fn(|| arrivals.report(origin + MS * (n / 100 + 100 * n))).collect();
            assert!(reports.len() <= 1024, "{} reports at once", reports.len());
            let statuses: usize = reports.iter().map(|r| r.deltas.len()).sum();
            assert!(statuses <= 1024 && reports.iter().all(|r| r.deltas.len() <= MAX_STATUSES), "{statuses} statuses");
        }
    }
}

#[test]
fn times_that_are_too_far_apart_are_told_in_two_reports() {
    let (origin, mut arrivals) = (origin(), Arrivals::default());
    arrivals.note(origin, origin, 1);
    arrivals.note(origin + MS * 9_000, origin, 2);
    let now = origin + MS * 9_001;
    assert_eq!(told(&arrivals.report(now).expect("the first")), [(1, Some(0))]);
    assert_eq!(told(&arrivals.report(now).expect("the second")), [(2, Some(9_000))]);
    assert_eq!(arrivals.report(now), None);
}

/// The feedback that a publisher has got: each number, and whether it came.
fn heard(net: &mut Net, publisher: usize) -> Vec<(u16, bool)> {
    let mut heard = Vec::new();
    for datagram in std::mem::take(&mut net.peer(publisher).rtcp) {
        let packets = rtc_rtcp::packet::unmarshal(&mut &datagram[..]).expect("RTCP");
        for feedback in packets.iter().filter_map(|p| p.as_any().downcast_ref::<TransportLayerCc>()) {
            let symbols = feedback.packet_chunks.iter().flat_map(|chunk| match chunk {
                PacketStatusChunk::StatusVectorChunk(chunk) => chunk.symbol_list.clone(),
                PacketStatusChunk::RunLengthChunk(run) => vec![run.packet_status_symbol; usize::from(run.run_length)],
            });
            let symbols = symbols.take(usize::from(feedback.packet_status_count)).enumerate();
            heard.extend(symbols.map(|(at, symbol)| {
                let came = symbol != SymbolTypeTcc::PacketNotReceived;
                (feedback.base_sequence_number.wrapping_add(at as u16), came)
            }));
        }
    }
    heard
}

#[test]
fn a_publisher_whose_packets_are_numbered_hears_which_came() {
    let mut net = Net::new(1, 1);
    let publisher = net.numbered_publisher(0);
    let mut stream = Stream { gop: 1000, ..Stream::new("l", SSRC) };
    let mut number = 65_500u16;
    let mut sent = Vec::new();
    for _ in 0..25 {
        for (packet, index) in stream.next_frame() {
            let came = !number.is_multiple_of(10);
            if came {
                net.peer(publisher).send_rtp(&numbered(&packet, number), index);
            }
            sent.push((number, came));
            number = number.wrapping_add(1);
        }
        net.run(MS * 40);
    }
    net.run(MS * 100);
    let mut heard = heard(&mut net, publisher);
    // Nothing comes after the last one to show that it is lost.
    heard.truncate(sent.len());
    let first = sent.iter().position(|(_, came)| *came).expect("one came");
    let last = sent.iter().rposition(|(_, came)| *came).expect("one came");
    assert_eq!(heard, sent[first..=last]);
    assert_eq!(net.shards[0].encoding_count(), 3, "two pictures and the sound");
    assert_eq!(net.shards[0].counters().refused_rtp, 0);
}

#[test]
fn a_numbered_packet_of_no_m_line_is_told_of_and_is_no_picture() {
    let mut net = Net::new(1, 3);
    let publisher = net.numbered_publisher(0);
    let viewer = net.session(0, 1);
    net.show(viewer, SlotId::Audio, Some((CAMERA, "h")));
    let packet = |sequence, payload_type: Option<u8>| {
        let mut packet = numbered(&video_packet(b'l', SSRC, sequence, 1, false, &[0; 1000]), sequence);
        if let Some(payload_type) = payload_type {
            let mid = packet.windows(2).position(|pair| pair == [0x10, b'0']).expect("its m-line");
            (packet[mid + 1], packet[1]) = (b'-', payload_type);
        }
        packet
    };
    net.peer(publisher).send_rtp(&packet(9, None), 9);
    // Of pictures, and of sound.
    for (sequence, payload_type) in [(10, 102), (11, 111), (12, 8)] {
        net.peer(publisher).send_rtp(&packet(sequence, Some(payload_type)), u64::from(sequence));
    }
    net.run(MS * 100);
    assert_eq!(heard(&mut net, publisher), [(9, true), (10, true), (11, true), (12, true)]);
    assert_eq!(net.shards[0].counters().refused_rtp, 0);
    assert!(net.peer(viewer).packets.is_empty(), "nobody hears them");
}

#[test]
fn a_publisher_whose_packets_are_not_numbered_hears_nothing_of_it() {
    let mut net = Net::new(1, 2);
    let publisher = net.publisher(0);
    let mut stream = Stream::new("l", SSRC);
    stream.play(&mut net, publisher, 25);
    assert_eq!(heard(&mut net, publisher), []);
}
