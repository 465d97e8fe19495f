//! What a light viewer tells of when packets come.
#![allow(clippy::disallowed_methods)] // virtual time has to begin somewhere

use loadtest::arrivals::Arrivals;
use loadtest::client::sdp::NUMBER_EXTENSION;
use rtc_rtcp::packet::unmarshal;
use rtc_rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

/// An RTP packet with a send time and then this transport-wide number, its payload sealed.
fn packet(number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let extensions = [0xbe, 0xde, 0, 2, 2 << 4 | 2, 1, 2, 3, NUMBER_EXTENSION << 4 | 1, high, low, 0];
    [&[0x90, 102, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7], &extensions[..], &[0xee; 100]].concat()
}

/// The first number, how many follow, and the arrival times of those that came, in microseconds.
fn read(feedback: &[u8]) -> (u16, u16, Vec<i64>) {
    let packets = unmarshal(&mut &*feedback).expect("RTCP");
    let told = packets[0].as_any().downcast_ref::<TransportLayerCc>().expect("transport-wide feedback");
    let mut at = i64::from(told.reference_time) * 64_000;
    let times = told.recv_deltas.iter().map(|delta| {
        at += delta.delta;
        at
    });
    (told.base_sequence_number, told.packet_status_count, times.collect())
}

#[test]
fn each_tenth_of_a_second_it_is_told_what_came_and_when() {
    let began = Instant::now();
    let mut arrivals = Arrivals::new(began);
    // A packet each 30 ms, the third lost; numbers begin anew.
    let mut told = Vec::new();
    for n in (0..11u16).filter(|n| *n != 2) {
        told.extend(arrivals.note(began + MS * 30 * u32::from(n), &packet(n.wrapping_sub(3)), 7));
    }
    let told: Vec<_> = told.iter().map(|feedback| read(feedback)).collect();
    assert_eq!(told[0], (65_533, 5, vec![0, 30_000, 90_000, 120_000]));
    assert_eq!(told[1], (2, 4, vec![150_000, 180_000, 210_000, 240_000]));
    assert_eq!(told.len(), 2);
}

#[test]
fn after_a_jump_it_begins_anew_and_what_has_no_number_is_not_told() {
    let began = Instant::now();
    let mut arrivals = Arrivals::new(began);
    for (ms, number) in [(0, 1), (10, 2), (20, 5000)] {
        assert_eq!(arrivals.note(began + MS * ms, &packet(number), 7), None);
    }
    assert_eq!(arrivals.note(began + MS * 500, &[0x80; 12], 7), None);
    assert_eq!(arrivals.note(began + MS * 500, &packet(5)[..14], 7), None);
    let feedback = arrivals.note(began + MS * 500, &packet(5001), 7).expect("it is time");
    assert_eq!(read(&feedback), (5000, 2, vec![20_000, 500_000]));
}
