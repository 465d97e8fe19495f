//! Hostile datagrams, seeded: random ones, and real ones that were recorded and then cut, flipped, forged or repeated.

use crate::peer::Peer;
use std::collections::BTreeMap;
use std::net::UdpSocket;

/// What peers sent, by kind.
#[derive(Default)]
pub(crate) struct Recorded {
    checks: Vec<Vec<u8>>,
    /// Handshake flights and other DTLS.
    dtls: Vec<Vec<u8>>,
    media: Vec<Vec<u8>>,
    control: Vec<Vec<u8>>,
    /// All of it by its sender.
    by_peer: BTreeMap<usize, Vec<Vec<u8>>>,
}

impl Recorded {
    pub(crate) fn sent(&mut self, peer: usize, datagram: Vec<u8>) {
        let kind = match (datagram[0], datagram[1]) {
            (0..=3, _) => &mut self.checks,
            (20..=63, _) => &mut self.dtls,
            (_, 192..=223) => &mut self.control,
            _ => &mut self.media,
        };
        kind.push(datagram.clone());
        self.by_peer.entry(peer).or_default().push(datagram);
    }

    /// The packets just before those of the publisher's stream, and a report.
    pub(crate) fn first_packets(&mut self, publisher: &mut Peer, socket: &UdpSocket) {
        for sequence in 90..100u64 {
            let mut packet = vec![0x80, 102, 0, sequence as u8, 0, 0, 0, 0, 0, 0, 0, 1, 0x7c, 1];
            packet.resize(500, 0xab);
            publisher.send_rtp(&packet, sequence);
        }
        let mut report = vec![0x80, 200, 0, 6, 0, 0, 0, 1];
        report.resize(28, 0);
        publisher.send_rtcp(&report);
        for datagram in std::mem::take(&mut publisher.out) {
            let _ = socket.send(&datagram);
            self.sent(0, datagram);
        }
    }
}

/// Splitmix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one<'a>(&mut self, all: &'a [Vec<u8>]) -> &'a [u8] {
        &all[self.below(all.len())]
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(len).collect()
    }

    /// Mostly short, as what protocols have at their beginnings is.
    fn length(&mut self) -> usize {
        let most = [16, 64, 256, 1400][self.below(4)];
        1 + self.below(most)
    }
}

/// The next hostile datagram from an address that has no peer.
pub(crate) fn of_a_stranger(random: &mut Random, recorded: &Recorded) -> Vec<u8> {
    match random.below(8) {
        0 => {
            let len = random.length();
            random.bytes(len)
        }
        1 => of_a_kind(random),
        2 => wrong_password(random, recorded),
        3 => fragments(random),
        // A repeated check with nothing changed is a valid one, wherever it comes from (RFC 8445, section 7.3).
        4 => {
            let kind = random.below(3);
            random.one([&recorded.dtls, &recorded.media, &recorded.control][kind]).to_vec()
        }
        _ => mutated(random, recorded),
    }
}

/// The next hostile datagram from the address of peer `n`.
pub(crate) fn of_a_peer(random: &mut Random, recorded: &Recorded, n: usize) -> Vec<u8> {
    match random.below(6) {
        0 => of_a_kind(random),
        1 => fragments(random),
        2 => recorded.by_peer.get(&n).map(|all| random.one(all).to_vec()).unwrap_or_else(|| vec![0]),
        3 => forged(random),
        _ => mutated(random, recorded),
    }
}

/// Random, with a first byte that leads to one of the protocols (RFC 7983).
fn of_a_kind(random: &mut Random) -> Vec<u8> {
    let len = random.length();
    let mut datagram = random.bytes(len);
    let kinds = [0..4, 20..64, 128..192];
    let kind = kinds[random.below(3)].clone();
    datagram[0] = kind.start + random.below(kind.len()) as u8;
    datagram
}

/// A whole binding request, for a real user, whose MESSAGE-INTEGRITY is not of the password.
fn wrong_password(random: &mut Random, recorded: &Recorded) -> Vec<u8> {
    let mut datagram = random.one(&recorded.checks).to_vec();
    let transaction = random.bytes(12);
    datagram[8..20].copy_from_slice(&transaction);
    datagram
}

/// A real datagram with a few bits flipped, and sometimes cut or lengthened.
fn mutated(random: &mut Random, recorded: &Recorded) -> Vec<u8> {
    let kind = random.below(4);
    let kinds = [&recorded.checks, &recorded.dtls, &recorded.media, &recorded.control];
    let mut datagram = random.one(kinds[kind]).to_vec();
    if kind == 0 {
        // What stands before MESSAGE-INTEGRITY is changed, so that it is no valid check.
        datagram[8] ^= 1 + random.below(255) as u8;
    }
    for _ in 0..random.below(8) {
        let at = random.below(datagram.len());
        if kind != 0 || at != 8 {
            datagram[at] ^= 1 << random.below(8);
        }
    }
    match random.below(4) {
        0 => datagram.truncate(1 + random.below(datagram.len())),
        1 => {
            let more = random.length();
            datagram.extend(random.bytes(more));
        }
        _ => {}
    }
    datagram
}

/// RTP or RTCP of any source, with any tag.
fn forged(random: &mut Random) -> Vec<u8> {
    let len = 48 + random.below(200);
    let mut datagram = random.bytes(len);
    datagram[0] = 0x80;
    datagram[1] = [102, 103, 200, 201, 205, 206][random.below(6)];
    datagram
}

/// Records of a handshake in plain text, fresh to a replay window: fragments of messages that never become whole.
fn fragments(random: &mut Random) -> Vec<u8> {
    let mut datagram = Vec::new();
    for _ in 0..1 + random.below(20) {
        let body = random.below(3);
        datagram.extend_from_slice(&[22, 0xfe, 0xfd, 0, 0, 0, 0]);
        datagram.extend_from_slice(&(random.next() as u32).to_be_bytes());
        datagram.extend_from_slice(&[0, 12 + body as u8]);
        let (message, offset) = (random.below(16) as u8, random.below(64) as u8);
        datagram.extend_from_slice(&[1, 0, 1, 0, 0, message, 0, 0, offset, 0, 0, body as u8]);
        datagram.extend(random.bytes(body));
    }
    datagram
}
