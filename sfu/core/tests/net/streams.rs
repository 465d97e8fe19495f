//! What publishers send: packets of pictures and of sound.

use super::Net;
use std::time::Duration;

/// A packet of G.711 A-law, 20 ms: number `n` of a sound whose SSRC is not that of any picture.
pub fn sound_packet(ssrc: u32, n: u64) -> (Vec<u8>, u64) {
    let (sequence, time) = (1000 + n, 5_000 + 160 * n as u32);
    let mut packet = vec![0x80, 8];
    packet.extend_from_slice(&(sequence as u16).to_be_bytes());
    packet.extend_from_slice(&time.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[n as u8; 160]);
    (packet, sequence)
}

/// A publisher's packet of an encoding, plain.
pub fn video_packet(rid: u8, ssrc: u32, sequence: u16, time: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x90, 102 | u8::from(marker) << 7];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&time.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, b'0', 0x30, rid]);
    packet.extend_from_slice(payload);
    packet
}

/// The same packet with a transport-wide number, as the first of its header extensions.
pub fn numbered(packet: &[u8], number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let extension = [super::peer::NUMBER << 4 | 1, high, low, 0];
    let words = packet[15] + 1;
    [&packet[..15], &[words], &extension, &packet[16..]].concat()
}

/// One encoding of a virtual camera: frames of several packets, a keyframe every `gop` frames.
pub struct Stream {
    pub rid: &'static str,
    pub ssrc: u32,
    pub sequence: u64,
    pub time: u32,
    pub frame: u32,
    pub gop: u32,
    pub packets_per_frame: usize,
}

impl Stream {
    pub fn new(rid: &'static str, ssrc: u32) -> Self {
        Self { rid, ssrc, sequence: 65_500, time: 1_000_000, frame: 0, gop: 50, packets_per_frame: 3 }
    }

    /// The next frame's packets, plain, with their indices. A payload's bytes 2 to 6 hold the frame's number.
    pub fn next_frame(&mut self) -> Vec<(Vec<u8>, u64)> {
        let is_key = self.frame.is_multiple_of(self.gop);
        let mut packets = Vec::new();
        let number = self.frame.to_be_bytes();
        let body = |first: &[u8], len: usize| {
            let mut payload = first.to_vec();
            payload.extend_from_slice(&number);
            payload.resize(len, 0xab);
            payload
        };
        let mut payloads = Vec::new();
        if is_key {
            payloads.push(vec![24, 0, 4, 0x67, 1, 2, 3, 0, 2, 0x68, 4]);
        }
        let kind = if is_key { 5 } else { 1 };
        let fragments = if is_key { 40 } else { self.packets_per_frame };
        for i in 0..fragments {
            let start = if i == 0 {
                0x80
            } else if i + 1 == fragments {
                0x40
            } else {
                0
            };
            let len = if i + 1 == fragments { 500 } else { 1100 };
            payloads.push(body(&[0x7c, start | kind], len));
        }
        let count = payloads.len();
        for (i, payload) in payloads.into_iter().enumerate() {
            packets.push((self.packet(i + 1 == count, &payload), self.sequence));
            self.sequence += 1;
        }
        self.frame += 1;
        self.time = self.time.wrapping_add(3600);
        packets
    }

    fn packet(&self, marker: bool, payload: &[u8]) -> Vec<u8> {
        video_packet(self.rid.as_bytes()[0], self.ssrc, self.sequence as u16, self.time, marker, payload)
    }

    /// Sends a frame and lets 40 ms pass.
    pub fn play(&mut self, net: &mut Net, publisher: usize, frames: usize) {
        for _ in 0..frames {
            for (packet, index) in self.next_frame() {
                net.peer(publisher).send_rtp(&packet, index);
            }
            net.run(Duration::from_millis(40));
        }
    }
}
