//! A whole shard with a publisher, a viewer and a peer that has not finished its handshake: datagrams from their
//! addresses and from strangers', sealed with the right keys or not, between frames of a real stream.
//!
//! Invariants: nothing is sent to an address that proved no password; nobody without keys ends a connection; what a
//! viewer is sent, it can open.
#![no_main]

#[allow(unfulfilled_lint_expectations)] // of lints that the core has for itself
#[path = "../../sfu/core/tests/net/mod.rs"]
mod net;

use fuzz::{Step, steps};
use libfuzzer_sys::fuzz_target;
use net::Net;
use net::streams::Stream;
use sfu_core::ice::Credentials;
use sfu_core::rtp::Header;
use sfu_core::{
    Arena, CameraKey, Change, Input, Notice, Output, PeerId, ShardId, SlotId, Ssrc, Subscription, TransportAddress,
};
use std::collections::BTreeSet;
use std::time::Duration;

const PEERS: usize = 3;
const STRANGERS: u8 = 4;

fuzz_target!(|data: &[u8]| {
    let mut scene = Scene::new();
    for step in steps(data) {
        scene.act(step);
        assert!(scene.net.shards[0].peer_count() <= PEERS);
        assert_eq!(scene.net.peer(scene.viewer).undecryptable, 0, "the viewer cannot open what it was sent");
    }
});

struct Scene {
    net: Net,
    arena: Arena,
    publisher: usize,
    viewer: usize,
    joiner: usize,
    stream: Stream,
    /// The joiner's first flight.
    hello: Vec<u8>,
    /// What was last sent with keys.
    sealed: Vec<u8>,
    restarts: u64,
    /// Addresses that proved a password.
    validated: BTreeSet<TransportAddress>,
}

impl Scene {
    fn new() -> Self {
        let mut net = Net::new(1, 1);
        let publisher = net.publisher(0);
        let viewer = net.viewer(0, "h");
        let joiner = net.join(0, "h", false);
        let now = net.now;
        net.peer(joiner).handshake(now);
        let hello = net.peer(joiner).out.remove(0);
        let validated = [publisher, viewer].map(|at| net.peer(at).address).into();
        let (arena, stream) = (Arena::new(64 * 1024), Stream::new("h", net::SSRC));
        let sealed = Vec::new();
        let mut scene = Self { net, arena, publisher, viewer, joiner, stream, hello, sealed, restarts: 0, validated };
        let check = scene.check_of(joiner);
        let from = scene.net.peer(joiner).address;
        scene.validated.insert(from);
        scene.receive(from, &check);
        scene.play();
        scene
    }

    fn act(&mut self, step: Step<'_>) {
        let (publisher, viewer, joiner) = (self.publisher, self.viewer, self.joiner);
        let stranger = TransportAddress::udp(([203, 0, 113, step.whom % STRANGERS], 1000).into());
        match step.kind % 16 {
            0 => self.wait(Duration::from_millis(8 * u64::from(step.whom))),
            1 => self.outsider(stranger, step.bytes),
            2 => self.outsider_at(publisher, step.bytes),
            3 => self.outsider_at(viewer, step.bytes),
            4 => self.outsider_at(joiner, step.bytes),
            5 => self.media(step),
            6 => self.control(publisher, step.bytes),
            7 => self.control(viewer, step.bytes),
            8 => {
                let check = self.check_of(usize::from(step.whom / STRANGERS) % PEERS);
                self.validated.insert(stranger);
                self.receive(stranger, &check);
            }
            9 => {
                let check = self.check_of(viewer);
                let mut other = mutated(&check, step.bytes);
                // Within what the password vouches for, so that it is no valid check.
                if let Some(byte) = other.get_mut(8).filter(|byte| **byte == check[8]) {
                    *byte ^= 0xff;
                }
                self.outsider(stranger, &other);
            }
            10 => {
                let hello = mutated(&self.hello, step.bytes);
                let at = [publisher, viewer, joiner][usize::from(step.whom) % PEERS];
                self.outsider_at(at, &hello);
            }
            11 => self.play(),
            12 => self.command(step),
            13 => {
                let datagram = mutated(&self.sealed, step.bytes);
                self.outsider_at([publisher, viewer, joiner][usize::from(step.whom) % PEERS], &datagram);
            }
            14 => self.outsider(stranger, &self.sealed.clone()),
            _ => self.outsider(stranger, &mutated(&self.hello, step.bytes)),
        }
    }

    fn check_of(&mut self, at: usize) -> Vec<u8> {
        self.net.peer(at).check();
        self.net.peer(at).out.pop().expect("a check")
    }

    fn wait(&mut self, time: Duration) {
        self.net.now += time;
        for _ in 0..64 {
            if self.net.shards[0].poll_timeout().is_none_or(|at| at > self.net.now) {
                break;
            }
            self.handle(Input::Timeout);
        }
    }

    /// The next frame of the publisher's stream.
    fn play(&mut self) {
        for (packet, index) in self.stream.next_frame() {
            self.net.peer(self.publisher).send_rtp(&packet, index);
        }
        self.flush(self.publisher);
        self.wait(Duration::from_millis(40));
    }

    /// A packet of the publisher's with the right keys: any, or the input as payload of the stream.
    fn media(&mut self, step: Step<'_>) {
        let mut plain = step.bytes.to_vec();
        if step.whom & 0x80 != 0 {
            let (frame, _) = self.stream.next_frame().swap_remove(0);
            plain = frame[..20].to_vec();
            plain.extend_from_slice(step.bytes);
        }
        let Some(header) = Header::read(&plain, true) else { return };
        let sequence = u64::from(header.sequence);
        let is_stream = header.ssrc == Ssrc(net::SSRC);
        let round = self.stream.sequence >> 16;
        let index = [round, round.saturating_sub(1)].map(|r| r << 16 | sequence);
        let index = index.into_iter().min_by_key(|i| i.abs_diff(self.stream.sequence)).filter(|_| is_stream);
        self.net.peer(self.publisher).send_rtp(&plain, index.unwrap_or(sequence));
        self.flush(self.publisher);
    }

    /// RTCP with the right keys.
    fn control(&mut self, at: usize, bytes: &[u8]) {
        let mut plain = bytes.to_vec();
        plain.resize(plain.len().max(8), 0);
        plain[0] = 0x80 | plain[0] & 0x3f;
        plain[1] = 192 | plain[1] & 0x1f;
        self.net.peer(at).send_rtcp(&plain);
        self.flush(at);
    }

    /// What the node itself tells a shard.
    fn command(&mut self, step: Step<'_>) {
        let peer = PeerId(1 + u64::from(step.whom >> 4) % PEERS as u64);
        let number = step.bytes.first().copied().unwrap_or_default();
        let input = match step.whom & 15 {
            0..=9 => {
                let max = net::rid(["h", "l"][usize::from(number >> 7)]);
                let wish = Subscription { camera: CameraKey(u32::from(number & 1)), max, priority: number >> 3 & 7 };
                let slot = SlotId::Video(number >> 1 & 3);
                let slots = vec![(slot, Some(wish).filter(|_| number & 64 == 0)), (SlotId::Audio, None)];
                Input::Change(Change { peer, until: None, slots })
            }
            10..=14 => {
                self.restarts += 1;
                let mut bits = [0xff; 24];
                bits[..8].copy_from_slice(&self.restarts.to_be_bytes());
                Input::Restart { peer, ice: Credentials::new(ShardId(0), &bits) }
            }
            _ => Input::Disconnect(PeerId(self.joiner as u64 + 1)),
        };
        self.handle(input);
    }

    fn flush(&mut self, at: usize) {
        let from = self.net.peer(at).address;
        for datagram in std::mem::take(&mut self.net.peer(at).out) {
            self.receive(from, &datagram);
            self.sealed = datagram;
        }
    }

    fn outsider_at(&mut self, at: usize, bytes: &[u8]) {
        self.outsider(self.net.peers[at].1.address, bytes);
    }

    /// A datagram of somebody who has no keys: no connection that is up may end by it.
    fn outsider(&mut self, from: TransportAddress, bytes: &[u8]) {
        for gone in self.receive(from, bytes) {
            assert_eq!(gone, PeerId(self.joiner as u64 + 1), "ended by somebody without its keys");
        }
    }

    fn receive(&mut self, from: TransportAddress, bytes: &[u8]) -> Vec<PeerId> {
        self.handle(Input::Datagram { from, bytes, waited: Duration::ZERO })
    }

    /// Who is gone by this.
    fn handle(&mut self, input: Input<'_>) -> Vec<PeerId> {
        let (now, mut gone) = (self.net.now, Vec::new());
        self.net.shards[0].handle(now, input);
        while let Some(output) = self.net.shards[0].poll_output(&mut self.arena) {
            match output {
                Output::Train(train) => {
                    let bytes = self.arena.bytes(&train).to_vec();
                    assert!(self.validated.contains(&train.to), "{} bytes to {}", bytes.len(), train.to);
                    if train.to == self.net.peers[self.viewer].1.address {
                        bytes.chunks(train.segment).for_each(|d| self.net.peer(self.viewer).receive(now, d));
                    }
                }
                Output::Full => self.arena.clear(),
                Output::Notice(Notice::Gone(peer, _)) => gone.push(peer),
                _ => {}
            }
        }
        self.arena.clear();
        self.net.peer(self.viewer).packets.clear();
        gone
    }
}

/// A datagram with bits flipped, cut or made longer: each four bytes say where and how.
fn mutated(datagram: &[u8], how: &[u8]) -> Vec<u8> {
    let mut datagram = datagram.to_vec();
    for change in how.chunks_exact(4) {
        let at = usize::from(u16::from_be_bytes([change[1], change[2]]));
        match change[0] & 3 {
            0 => datagram.truncate(at),
            1 => datagram.extend_from_slice(&change[1..]),
            _ if datagram.is_empty() => {}
            _ => {
                let at = at % datagram.len();
                datagram[at] ^= change[3];
            }
        }
    }
    datagram
}
