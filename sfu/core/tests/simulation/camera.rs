//! A camera whose frames have sizes as an encoder makes them: by chance, keyframes some five times as large as others.

use crate::net::Net;
use crate::net::streams::video_packet;
use sfu_core::rtcp;
use sfu_core::{ClockPair, Ssrc};

/// From one frame to the next, in milliseconds.
pub(crate) const FRAME: u64 = 40;
/// From one keyframe to the next, in frames.
pub(crate) const GOP: u32 = 50;
/// Most payload of a packet.
const PACKET: usize = 1100;
/// What the model writes into a payload.
const HEAD: usize = 11;
/// A keyframe is so many times as large as other frames on average.
const KEYFRAME: f64 = 5.0;

/// What stands in a packet of a camera: which part of which frame it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    pub(crate) is_key: bool,
    /// No other frame refers to it.
    pub(crate) is_disposable: bool,
    /// `h` or `l`.
    pub(crate) rid: u8,
    /// Of the frame, counted since the camera began.
    pub(crate) frame: u32,
    /// Which of how many packets.
    pub(crate) number: u16,
    pub(crate) of: u16,
}

impl Part {
    fn write(self, len: usize) -> Vec<u8> {
        let edge = u8::from(self.number == 0) << 7 | u8::from(self.number + 1 == self.of) << 6;
        let mut payload =
            vec![if self.is_disposable { 0x1c } else { 0x7c }, edge | if self.is_key { 5 } else { 1 }, self.rid];
        payload.extend_from_slice(&self.number.to_be_bytes());
        payload.extend_from_slice(&self.of.to_be_bytes());
        payload.extend_from_slice(&self.frame.to_be_bytes());
        payload.resize(len.max(HEAD), 0xab);
        payload
    }

    pub(crate) fn read(payload: &[u8]) -> Self {
        let two = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
        let frame = u32::from(two(7)) << 16 | u32::from(two(9));
        let (is_key, is_disposable) = (payload[1] & 0x1f == 5, payload[0] & 0x60 == 0);
        Self { is_key, is_disposable, rid: payload[2], frame, number: two(3), of: two(5) }
    }
}

/// One encoding of it.
struct Encoding {
    rid: &'static str,
    ssrc: u32,
    sequence: u64,
    /// In bit/s, of payload.
    rate: f64,
    /// Where its GOPs begin.
    phase: u32,
    is_sent: bool,
}

/// See the module.
pub(crate) struct Camera {
    publisher: usize,
    encodings: Vec<Encoding>,
    /// Frames so far.
    pub(crate) frame: u32,
    /// Frames refer to every so many-th of them, and to no other.
    pub(crate) referred: u32,
    /// Some packets come a frame later than they should, or never.
    pub(crate) is_uneven: bool,
    late: Vec<(Vec<u8>, u64)>,
    chance: fastrand::Rng,
}

/// What an encoding takes on average, in bit/s of payload.
pub(crate) fn rate_of(rid: &str) -> f64 {
    if rid == "h" { 2_000_000.0 } else { 500_000.0 }
}

impl Camera {
    /// Of such encodings, published by that peer.
    pub(crate) fn new(publisher: usize, rids: &[&'static str], seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let encoding = |(n, rid): (usize, &&'static str)| Encoding {
            rid,
            ssrc: 0x1000 + 16 * publisher as u32 + n as u32,
            sequence: 1000,
            rate: rate_of(rid),
            phase: chance.u32(0..GOP),
            is_sent: true,
        };
        let encodings = rids.iter().enumerate().map(encoding).collect();
        Self { publisher, encodings, frame: 0, referred: 1, is_uneven: false, late: Vec::new(), chance }
    }

    /// Sends an encoding, from a keyframe on, or no more.
    pub(crate) fn send(&mut self, rid: &str, is_sent: bool) {
        let frame = self.frame;
        for encoding in self.encodings.iter_mut().filter(|encoding| encoding.rid == rid) {
            (encoding.is_sent, encoding.phase) = (is_sent, frame % GOP);
        }
    }

    /// Sends the next frame of each encoding, and now and then its clock.
    pub(crate) fn play(&mut self, net: &mut Net) {
        let (frame, time) = (self.frame, 1_000_000 + self.frame * FRAME as u32 * 90);
        let mut late = std::mem::take(&mut self.late);
        for encoding in self.encodings.iter_mut().filter(|encoding| encoding.is_sent) {
            let is_key = frame % GOP == encoding.phase;
            let is_disposable = !(frame + GOP - encoding.phase).is_multiple_of(self.referred);
            let small = encoding.rate / 8.0 * FRAME as f64 / 1000.0 * f64::from(GOP) / (f64::from(GOP - 1) + KEYFRAME);
            let size =
                small * if is_key { KEYFRAME - 1.0 + 2.0 * self.chance.f64() } else { 0.6 + 0.8 * self.chance.f64() };
            let size = size as usize;
            let of = size.div_ceil(PACKET) as u16;
            for number in 0..of {
                // Among the packets of the next frame.
                let due = if number + 1 == of { std::mem::take(&mut late) } else { Vec::new() };
                for (packet, sequence) in due {
                    net.peer(self.publisher).send_rtp(&packet, sequence);
                }
                let len = (size - PACKET * usize::from(number)).min(PACKET);
                let rid = encoding.rid.as_bytes()[0];
                let payload = Part { is_key, is_disposable, rid, frame, number, of }.write(len);
                let Encoding { ssrc, sequence, .. } = *encoding;
                let packet = video_packet(rid, ssrc, sequence as u16, time, number + 1 == of, &payload);
                match if self.is_uneven { self.chance.u32(0..100) } else { 100 } {
                    0 => {}
                    1..10 => self.late.push((packet, sequence)),
                    _ => net.peer(self.publisher).send_rtp(&packet, sequence),
                }
                encoding.sequence += 1;
            }
            if frame.is_multiple_of(25) {
                let ntp = (9 << 32) + ((u64::from(frame) * FRAME) << 32) / 1000;
                let report = rtcp::sender_report(Ssrc(encoding.ssrc), ClockPair { ntp, rtp: time }, 1, 1);
                net.peer(self.publisher).send_rtcp(&report);
            }
        }
        if frame.is_multiple_of(100) {
            net.peer(self.publisher).check();
        }
        net.peer(self.publisher).rtcp.clear();
        self.frame += 1;
    }
}
