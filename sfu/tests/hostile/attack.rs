//! The attack: at a pace that the socket can take, from many addresses, some of them the viewers' own.

use crate::datagrams::{Random, Recorded, of_a_peer, of_a_stranger};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Sockets of strangers.
const STRANGERS: usize = 200;
/// One datagram in so many comes from a peer's own address.
const OF_PEERS: usize = 5;
/// Datagrams that are sent at once, and how often: 32,000 a second.
const BURST: usize = 64;
const BURST_EVERY: Duration = Duration::from_millis(2);
/// Bytes that may wait at the node's socket, as the kernel counts them.
const MAX_BACKLOG: u64 = 2 << 20;
/// How often that is looked at, in bursts.
const BACKLOG_EVERY: usize = 8;
/// The attack waits for the node no longer than this.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was done.
#[derive(Default)]
pub(crate) struct Attack {
    pub(crate) from_strangers: u64,
    from_peers: u64,
    not_sent: u64,
    took: Duration,
    /// Furthest that a burst fell behind the one before it.
    slip: Duration,
    strangers: Vec<Stranger>,
}

/// What strangers were answered.
pub(crate) struct Answers {
    pub(crate) bytes: u64,
    /// Bytes sent and received by the address that got most for its own.
    pub(crate) worst: (u64, u64),
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from_strangers, from_peers, not_sent, took, slip, .. } = self;
        write!(f, "{from_strangers} datagrams of strangers and {from_peers} from peers' addresses in {took:.1?}")?;
        write!(f, " ({not_sent} could not be sent; the sender was late by {slip:.0?} at most)")
    }
}

struct Stranger {
    socket: UdpSocket,
    sent: u64,
    received: u64,
}

impl Stranger {
    /// Somewhere in 127.0.0.0/8.
    fn new(random: &mut Random) -> Self {
        let [a, b, c, ..] = random.next().to_le_bytes();
        let socket = UdpSocket::bind((Ipv4Addr::new(127, a, b, c.clamp(1, 254)), 0)).expect("a socket");
        socket.set_nonblocking(true).expect("a socket that does not wait");
        Self { socket, sent: 0, received: 0 }
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8]) -> bool {
        let sent = self.socket.send_to(datagram, to).unwrap_or_default();
        self.sent += sent as u64;
        sent > 0
    }

    fn listen(&mut self) {
        let mut buffer = [0; 2048];
        while let Ok((len, _)) = self.socket.recv_from(&mut buffer) {
            self.received += len as u64;
        }
    }
}

impl Attack {
    /// Sends `count` datagrams to `node`; `peers` are the sockets of the publisher and the viewers.
    pub(crate) fn run(
        seed: u64,
        count: usize,
        node: SocketAddr,
        peers: &[UdpSocket],
        recorded: &Recorded,
        backlog: impl Fn() -> u64,
    ) -> Self {
        let mut random = Random::new(seed);
        let mut strangers: Vec<Stranger> = (0..STRANGERS).map(|_| Stranger::new(&mut random)).collect();
        let (begun, mut attack, mut last) = (Instant::now(), Self::default(), Instant::now());
        for number in 0..count {
            if number.is_multiple_of(BURST) {
                attack.slip = attack.slip.max(last.elapsed().saturating_sub(BURST_EVERY));
                std::thread::sleep((last + BURST_EVERY).saturating_duration_since(Instant::now()));
                last = Instant::now();
            }
            if number.is_multiple_of(BURST * BACKLOG_EVERY) {
                wait_for_room(&backlog);
                last = last.max(Instant::now() - BURST_EVERY);
            }
            let sent = if random.below(OF_PEERS) == 0 {
                let n = random.below(peers.len());
                let sent = peers[n].send(&of_a_peer(&mut random, recorded, n)).is_ok();
                attack.from_peers += u64::from(sent);
                sent
            } else {
                let datagram = of_a_stranger(&mut random, recorded);
                let sent = strangers[random.below(STRANGERS)].send(node, &datagram);
                attack.from_strangers += u64::from(sent);
                sent
            };
            attack.not_sent += u64::from(!sent);
        }
        Self { took: begun.elapsed(), strangers, ..attack }
    }

    /// What came back to the strangers.
    pub(crate) fn answers(&mut self) -> Answers {
        self.strangers.iter_mut().for_each(Stranger::listen);
        let bytes = self.strangers.iter().map(|s| s.received).sum();
        let all = self.strangers.iter().map(|s| (s.sent, s.received));
        let worst = all.max_by_key(|(sent, received)| i128::from(*received) - i128::from(*sent)).unwrap_or_default();
        Answers { bytes, worst }
    }
}

/// Waits until the node has read most of what waits for it.
fn wait_for_room(backlog: &impl Fn() -> u64) {
    let begun = Instant::now();
    while backlog() > MAX_BACKLOG && begun.elapsed() < PATIENCE {
        std::thread::sleep(BURST_EVERY);
    }
}
