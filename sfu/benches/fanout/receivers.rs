//! The viewers' ends: every packet received and counted, one in a hundred opened and checked, on one thread.

use crate::peer::Peer;
use crate::publisher::FILL;
use nix::poll::{PollFd, PollFlags, poll};
use quinn_udp::{RecvMeta, UdpSocketState};
use sfu_core::rtp::{ABS_SEND_TIME, PLAYOUT_DELAY};
use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// One packet in so many is opened.
const OPENED: u64 = 100;

pub(crate) fn offer(fingerprint: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 102 103\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:peer\r\na=ice-pwd:peerpeerpeerpeerpeerpeer\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:active\r\na=mid:0\r\na=rtcp-mux\r\na=recvonly\r\na=extmap:2 {ABS_SEND_TIME}\r\na=extmap:5 {PLAYOUT_DELAY}\r\na=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1;profile-level-id=42e01f\r\na=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n"
    )
}

/// What was seen.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) received: u64,
    pub(crate) opened: u64,
    pub(crate) wrong: u64,
}

pub(crate) struct Receivers {
    addresses: Vec<SocketAddr>,
    looks_inside: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
    playing: Arc<AtomicUsize>,
    thread: JoinHandle<Seen>,
}

impl Receivers {
    pub(crate) fn start(viewers: Vec<(Peer, UdpSocket)>) -> anyhow::Result<Self> {
        let addresses = viewers.iter().map(|(peer, _)| peer.address).collect();
        let ends = viewers.into_iter().map(|(peer, socket)| End::new(peer, &socket)).collect::<Result<Vec<_>, _>>()?;
        let (looks_inside, is_over) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let playing = Arc::new(AtomicUsize::new(0));
        let (looks, over, count) = (Arc::clone(&looks_inside), Arc::clone(&is_over), Arc::clone(&playing));
        let thread = std::thread::spawn(move || receive(ends, &looks, &over, &count));
        Ok(Self { addresses, looks_inside, is_over, playing, thread })
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether packets are opened: those of the ceiling are only counted.
    pub(crate) fn look_inside(&self, look: bool) {
        self.looks_inside.store(look, Ordering::Relaxed);
    }

    pub(crate) fn wait_for_all(&self, limit: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.playing.load(Ordering::Relaxed) < self.addresses.len() {
            anyhow::ensure!(begun.elapsed() < limit, "{} are playing", self.playing.load(Ordering::Relaxed));
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    pub(crate) fn stop(self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

struct End {
    peer: Peer,
    socket: UdpSocket,
    state: UdpSocketState,
    received: u64,
}

impl End {
    fn new(peer: Peer, connected: &UdpSocket) -> std::io::Result<Self> {
        let socket = connected.try_clone()?;
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Self { peer, socket, state, received: 0 })
    }

    fn receive(&mut self, buffer: &mut [u8], looks_inside: bool, seen: &mut Seen) {
        let mut meta = [RecvMeta::default()];
        while let Ok(1) = self.state.recv((&self.socket).into(), &mut [IoSliceMut::new(buffer)], &mut meta) {
            for datagram in buffer[..meta[0].len].chunks(meta[0].stride.max(1)) {
                self.received += 1;
                seen.received += 1;
                let is_media = datagram[0] >= 128 && datagram[1] & 0x7f == 102;
                if looks_inside && (!is_media || seen.received.is_multiple_of(OPENED)) {
                    self.open(datagram, seen);
                }
            }
        }
    }

    fn open(&mut self, datagram: &[u8], seen: &mut Seen) {
        let wrong = self.peer.undecryptable;
        self.peer.receive(Instant::now(), datagram);
        self.peer.rtcp.clear();
        seen.wrong += (self.peer.undecryptable - wrong) as u64;
        for packet in self.peer.packets.drain(..) {
            seen.opened += 1;
            seen.wrong += u64::from(!packet.payload[2..].iter().all(|byte| *byte == FILL));
        }
    }
}

fn receive(mut ends: Vec<End>, looks_inside: &AtomicBool, is_over: &AtomicBool, playing: &AtomicUsize) -> Seen {
    let (mut seen, mut buffer, mut checked) = (Seen::default(), vec![0; 65_536], Instant::now());
    while !is_over.load(Ordering::Relaxed) {
        let mut fds: Vec<PollFd<'_>> = ends.iter().map(|e| PollFd::new(e.socket.as_fd(), PollFlags::POLLIN)).collect();
        if poll(&mut fds, 50u16).is_err() {
            continue;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        for (end, _) in ends.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            end.receive(&mut buffer, looks_inside.load(Ordering::Relaxed), &mut seen);
        }
        playing.store(ends.iter().filter(|e| e.received > 20).count(), Ordering::Relaxed);
        if checked.elapsed() > Duration::from_secs(5) {
            checked = Instant::now();
            for end in &mut ends {
                end.peer.check();
                for datagram in std::mem::take(&mut end.peer.out) {
                    let _ = end.socket.send(&datagram);
                }
            }
        }
    }
    seen
}
