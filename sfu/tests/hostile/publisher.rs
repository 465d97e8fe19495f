//! Sends the stream in real time, on a thread of its own.

use crate::peer::Peer;
use crate::{FRAME_TIME, frame};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

const SSRC: u32 = 1;

/// Every payload is this byte, but for its first two.
pub(crate) const FILL: u8 = 0xab;

pub(crate) fn offer(fingerprint: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 102\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:peer\r\na=ice-pwd:peerpeerpeerpeerpeerpeer\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:active\r\na=mid:0\r\na=rtcp-mux\r\na=sendonly\r\na=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1;profile-level-id=42e01f\r\na=ssrc:{SSRC} cname:camera\r\n"
    )
}

pub(crate) struct Publisher {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Publisher {
    pub(crate) fn start(peer: Peer, socket: UdpSocket) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || send(peer, &socket, &over));
        Self { is_over, thread }
    }

    pub(crate) fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}

fn send(mut peer: Peer, socket: &UdpSocket, over: &AtomicBool) {
    let (mut number, mut sequence, mut next, mut checked) = (0, 100u64, Instant::now(), Instant::now());
    while !over.load(Ordering::Relaxed) {
        next += FRAME_TIME;
        sleep(next.saturating_duration_since(Instant::now()));
        if checked.elapsed() > Duration::from_secs(5) {
            checked = Instant::now();
            peer.check();
        }
        let lengths = frame(number);
        for (i, len) in lengths.iter().enumerate() {
            peer.send_rtp(&packet(number, i, lengths.len(), *len, sequence), sequence);
            sequence += 1;
        }
        number += 1;
        for datagram in std::mem::take(&mut peer.out) {
            let _ = socket.send(&datagram);
        }
    }
}

fn packet(number: usize, i: usize, count: usize, len: usize, sequence: u64) -> Vec<u8> {
    let is_key = count == 40;
    let mut packet = vec![0x80, 102 | u8::from(i + 1 == count) << 7];
    packet.extend_from_slice(&(sequence as u16).to_be_bytes());
    packet.extend_from_slice(&(number as u32 * 3000).to_be_bytes());
    packet.extend_from_slice(&SSRC.to_be_bytes());
    let start = if i == 0 { 0x80 } else { 0 };
    packet.extend_from_slice(&[0x7c, start | if is_key { 5 } else { 1 }]);
    packet.resize(12 + len, FILL);
    packet
}
