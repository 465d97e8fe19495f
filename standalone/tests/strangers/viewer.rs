//! A str0m viewer on a socket that can lose packets. Invariant: only media is lost, so that it stays connected.

use crate::sunroom::Sunroom;
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RawPacket, Ssrc};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::net::UdpSocket;
use tokio::time::timeout_at;

/// Largest datagram.
const DATAGRAM: usize = 2_000;

pub(crate) struct Viewer {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    loss: Option<Loss>,
    media: Option<Ssrc>,
    seen: BTreeSet<u64>,
    /// RTP packets that came in, lost ones aside.
    pub(crate) delivered: u64,
    /// Those of them that were decrypted and found authentic.
    pub(crate) decrypted: u64,
    /// RTP packets that were lost.
    pub(crate) lost: u64,
    /// Retransmissions (RFC 4588) that came in.
    pub(crate) repaired: u64,
    /// Whether the node has closed the connection.
    pub(crate) closed: bool,
}

impl fmt::Debug for Viewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Viewer")
            .field("packets", &self.seen.len())
            .field("delivered", &self.delivered)
            .field("decrypted", &self.decrypted)
            .field("lost", &self.lost)
            .field("repaired", &self.repaired)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

/// Which packets are lost: one in so many, by chance (xorshift64).
struct Loss {
    one_in: u64,
    state: u64,
}

impl Loss {
    fn strikes(&mut self) -> bool {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.is_multiple_of(self.one_in)
    }
}

/// A seed that is another one in each run.
pub(crate) fn any_seed() -> u64 {
    u64::from(uuid::Uuid::new_v4().as_fields().0) + 1
}

impl Viewer {
    /// Watches the demo's first camera in an encoding.
    pub(crate) async fn join(sunroom: &Sunroom, rid: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let local = socket.local_addr().expect("bound");
        let mut rtc = Rtc::builder()
            .clear_codecs()
            .enable_h264(true)
            .set_rtp_mode(true)
            .enable_raw_packets(true)
            .build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp").expect("a candidate"));
        let mut change = rtc.sdp_api();
        change.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = change.apply().expect("an offer");
        let answer = sunroom.whep(offer.to_sdp_string(), rid).await;
        let answer = SdpAnswer::from_sdp_string(&answer).expect("an answer that str0m understands");
        rtc.sdp_api().accept_answer(pending, answer).expect("an answer that str0m accepts");
        Self {
            rtc,
            socket,
            local,
            loss: None,
            media: None,
            seen: BTreeSet::new(),
            delivered: 0,
            decrypted: 0,
            lost: 0,
            repaired: 0,
            closed: false,
        }
    }

    /// From now on one RTP packet in `one_in` is lost.
    pub(crate) fn lose(&mut self, one_in: u64, seed: u64) {
        self.loss = Some(Loss { one_in, state: seed });
    }

    /// From now on none is.
    pub(crate) fn lose_nothing(&mut self) {
        self.loss = None;
    }

    /// Different packets of the picture that have come, first or again.
    pub(crate) fn packets(&self) -> usize {
        self.seen.len()
    }

    /// The newest packet's extended sequence number.
    pub(crate) fn newest(&self) -> u64 {
        self.seen.last().copied().unwrap_or_default()
    }

    /// Packets that are missing up to that one.
    pub(crate) fn gaps_before(&self, last: u64) -> u64 {
        let first = self.seen.first().copied().unwrap_or(last);
        last + 1 - first - self.seen.range(..=last).count() as u64
    }

    /// Runs until `done`, for `patience` at most; whether it is.
    pub(crate) async fn until(&mut self, patience: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = Instant::now() + patience;
        let mut buffer = [0; DATAGRAM];
        loop {
            let wake = self.drain().await.min(end);
            if done(self) {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            let received = timeout_at(wake.into(), self.socket.recv_from(&mut buffer)).await;
            let now = Instant::now();
            match received {
                Ok(read) => {
                    let (length, from) = read.expect("a socket that reads");
                    self.receive(now, from, &buffer[..length]);
                }
                Err(_) => self.rtc.handle_input(Input::Timeout(now)).expect("time passes"),
            }
        }
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if is_rtp(datagram) {
            if self.loss.as_mut().is_some_and(Loss::strikes) {
                self.lost += 1;
                return;
            }
            self.delivered += 1;
        }
        let receive = Receive::new(Protocol::Udp, from, self.local, datagram).expect("STUN, DTLS, RTP or RTCP");
        self.rtc.handle_input(Input::Receive(now, receive)).expect("a packet that str0m accepts");
    }

    /// Sends what is to be sent and takes what has come; when to look again.
    async fn drain(&mut self) -> Instant {
        loop {
            match self.rtc.poll_output().expect("str0m goes on") {
                Output::Timeout(at) => return at,
                // The node's other addresses cannot be reached from a loopback socket.
                Output::Transmit(out) if out.destination.ip() == self.local.ip() => {
                    self.socket.send_to(&out.contents, out.destination).await.expect("a socket that sends");
                }
                Output::Transmit(_) => {}
                Output::Event(event) => self.take(event),
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::RtpPacket(packet) => {
                self.media = Some(packet.header.ssrc);
                self.seen.insert(*packet.seq_no);
            }
            Event::RawPacket(raw) => {
                if let RawPacket::RtpRx(header, _) = *raw {
                    self.decrypted += 1;
                    self.repaired += u64::from(self.media.is_some_and(|media| media != header.ssrc));
                }
            }
            Event::Closed => self.closed = true,
            _ => {}
        }
    }
}

/// RTP by RFC 7983, and not RTCP by RFC 5761.
fn is_rtp(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, kind, ..] if !(64..96).contains(&(kind & 127)))
}
