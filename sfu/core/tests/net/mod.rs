//! A virtual network: shards and peers in virtual time, with seeded loss.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses its part
#![allow(clippy::print_stdout)] // a failed test tells its seed

pub mod offers;
pub mod peer;
pub mod streams;

use offers::{NUMBERED, audio, numbered, publish_offer, session_offer, view_offer, wall_offer};
use peer::{Identity, Packet, Peer};
use rtc_crypto::{RTCCryptoProvider, providers::RingProvider};
use rtc_dtls::crypto::Certificate;
use sfu_core::bandwidth::Estimation;
use sfu_core::ice::Credentials;
use sfu_core::sdp::{Local, MAX_SLOTS, Offer, ViewTerms};
use sfu_core::{
    Arena, CameraKey, Change, Config, Input, NewPeer, NewRole, Notice, Output, PeerId, Rid, Shard, ShardId,
    ShardMessage, SlotId, SlotState, Ssrc, Subscription, Track, TransportAddress, dtls,
};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const STEP: Duration = Duration::from_millis(1);
pub const CAMERA: CameraKey = CameraKey(0);
pub const SSRC: u32 = 0x1000;

pub struct Net {
    pub now: Instant,
    pub shards: Vec<Shard>,
    arenas: Vec<Arena>,
    pub peers: Vec<(usize, Peer)>,
    pub notices: Vec<(usize, Notice)>,
    /// Length of every train sent, in packets.
    pub trains: Vec<usize>,
    mail: VecDeque<(usize, ShardMessage)>,
    /// Every (SSRC, sequence number) that was ever sealed: none may be twice.
    sealed: BTreeSet<(u32, u16)>,
    identity: Identity,
    local: dtls::Identity,
    next_peer: u64,
    random: u64,
    /// Packets from shards to peers that are lost, in 1/1000.
    pub loss: u64,
    /// How networks of viewers that come are estimated.
    pub estimation: Estimation,
    /// By the peers: `None` where everything arrives at once.
    ways: Vec<Option<Way>>,
}

/// What becomes of datagrams of so many bytes that come `at`, since it was laid: when each arrives, if it does.
pub trait Line {
    /// From the peer.
    fn up(&mut self, at: Duration, bytes: usize) -> Option<Duration>;
    /// To the peer.
    fn down(&mut self, at: Duration, bytes: usize) -> Option<Duration>;
}

/// A line between a peer and its shard, and what is under way.
struct Way {
    began: Instant,
    line: Box<dyn Line>,
    up: Held,
    down: Held,
    /// What the peer was sent: when, and how many bytes.
    sent: Vec<(Duration, usize)>,
}

/// Datagrams that are under way in one direction, and when they arrive.
type Held = VecDeque<(Instant, Vec<u8>)>;

impl Way {
    fn send_up(&mut self, now: Instant, datagram: Vec<u8>) {
        if let Some(after) = self.line.up(now - self.began, datagram.len()) {
            self.up.push_back((self.began + after, datagram));
        }
    }

    fn send_down(&mut self, now: Instant, datagram: &[u8]) {
        self.sent.push((now - self.began, datagram.len()));
        if let Some(after) = self.line.down(now - self.began, datagram.len()) {
            self.down.push_back((self.began + after, datagram.to_vec()));
        }
    }
}

fn arrived(held: &mut Held, now: Instant) -> Option<Vec<u8>> {
    held.pop_front_if(|(at, _)| *at <= now).map(|(_, datagram)| datagram)
}

pub fn rid(text: &str) -> Rid {
    Rid::new(text.as_bytes()).expect("a rid")
}

pub fn server(shard: usize) -> TransportAddress {
    udp(&format!("10.0.0.1:{}", 4000 + shard))
}

pub fn udp(address: &str) -> TransportAddress {
    TransportAddress::udp(address.parse().expect("an address"))
}

impl Net {
    pub fn new(shards: usize, seed: u64) -> Self {
        println!("seed {seed}");
        let provider: Arc<dyn RTCCryptoProvider> = Arc::new(RingProvider::new());
        let certificate = Certificate::generate_self_signed(vec!["node".to_owned()], provider.crypto()).expect("made");
        let local = dtls::Identity::new(&certificate, &provider).expect("usable");
        #[allow(clippy::disallowed_methods, reason = "virtual time has to begin somewhere; only the core forbids it")]
        let now = Instant::now();
        let shard = |n: usize| Shard::new(config(n), local.clone(), Arc::clone(&provider), now);
        Self {
            now,
            shards: (0..shards).map(shard).collect(),
            arenas: (0..shards).map(|_| Arena::new(64 * 1024)).collect(),
            peers: Vec::new(),
            notices: Vec::new(),
            trains: Vec::new(),
            mail: VecDeque::new(),
            sealed: BTreeSet::new(),
            identity: Identity::new(),
            local,
            next_peer: 0,
            random: seed.wrapping_mul(2).wrapping_add(1),
            loss: 0,
            estimation: Estimation::Remb,
            ways: Vec::new(),
        }
    }

    /// From now on a peer's datagrams take this line.
    pub fn lay(&mut self, at: usize, line: impl Line + 'static) {
        let (line, up, down) = (Box::new(line), VecDeque::new(), VecDeque::new());
        self.ways[at] = Some(Way { began: self.now, line, up, down, sent: Vec::new() });
    }

    /// What came to a peer's line: when, since it was laid, and how many bytes.
    pub fn sent(&self, at: usize) -> &[(Duration, usize)] {
        self.ways[at].as_ref().map_or(&[], |way| &way.sent)
    }

    /// Splitmix64: the same seed, the same losses.
    fn roll(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn add(&mut self, shard: usize, make: impl FnOnce(&Local<'_>) -> (NewRole, String), cm: bool) -> usize {
        self.next_peer += 1;
        let mut bits = [0; 24];
        bits[..8].copy_from_slice(&self.next_peer.to_le_bytes());
        bits[8..16].copy_from_slice(&self.roll().to_be_bytes());
        let ice = Credentials::new(ShardId(shard as u16), &bits);
        let candidates = [server(shard)];
        let local = Local { ice: &ice, fingerprint: self.local.fingerprint, candidates: &candidates, session: 1 };
        let (role, answer) = make(&local);
        let address = udp(&format!("10.1.0.{}:5000", self.next_peer));
        let peer = Peer::new(&self.identity, address, server(shard), &answer);
        self.peers.push((shard, if cm { peer.only_aes_cm() } else { peer }));
        self.ways.push(None);
        let new = NewPeer {
            id: PeerId(self.next_peer),
            ice: ice.clone(),
            fingerprint: self.identity.fingerprint(),
            until: None,
            role,
        };
        self.handle(shard, Input::Connect(Box::new(new)));
        self.peers.len() - 1
    }

    /// A publisher of `h` and `l`, connected.
    pub fn publisher(&mut self, shard: usize) -> usize {
        self.publisher_of(shard, &["h", "l"])
    }

    /// A publisher of these encodings, connected.
    pub fn publisher_of(&mut self, shard: usize, rids: &[&str]) -> usize {
        self.publisher_for(shard, CAMERA, rids)
    }

    /// A publisher of these encodings of a camera, and of its sound, connected.
    pub fn publisher_for(&mut self, shard: usize, camera: CameraKey, rids: &[&str]) -> usize {
        let offer = publish_offer(&self.identity.fingerprint().to_string(), rids);
        self.publisher_with(shard, camera, &offer)
    }

    /// A publisher of `h` and `l` whose packets are numbered, connected.
    pub fn numbered_publisher(&mut self, shard: usize) -> usize {
        let offer = publish_offer(&self.identity.fingerprint().to_string(), &["h", "l"]);
        self.publisher_with(shard, CAMERA, &numbered(&offer))
    }

    fn publisher_with(&mut self, shard: usize, camera: CameraKey, offer: &str) -> usize {
        let at = self.add(
            shard,
            |local| {
                let (media, answer) = Offer::parse(offer).expect("sdp").publish(local, true).expect("answered");
                (NewRole::Publisher { camera, media, ssrc: Ssrc(77) }, answer)
            },
            false,
        );
        self.connect(at);
        at
    }

    /// A viewer of at most `max`, not connected yet.
    pub fn join(&mut self, shard: usize, max: &str, cm: bool) -> usize {
        let offer = view_offer(&self.identity.fingerprint().to_string());
        let show = vec![(SlotId::Video(0), Subscription { camera: CAMERA, max: rid(max), priority: 0 })];
        self.join_with(shard, &offer, show, cm)
    }

    /// A viewer with this offer, not connected yet.
    pub fn join_with(&mut self, shard: usize, offer: &str, show: Vec<(SlotId, Subscription)>, cm: bool) -> usize {
        let ssrcs = (self.next_peer as u32 + 1) << 7;
        let terms = ViewTerms { slots: MAX_SLOTS, ssrcs, estimation: self.estimation };
        self.add(
            shard,
            |local| {
                let (media, answer) = Offer::parse(offer).expect("sdp").view(local, terms).expect("answered");
                (NewRole::Viewer { show, media, first_sequence: 0x7ff0 }, answer)
            },
            cm,
        )
    }

    /// A connected viewer with so many slots and sound, which show nothing yet.
    pub fn session(&mut self, shard: usize, slots: usize) -> usize {
        let offer = session_offer(&self.identity.fingerprint().to_string(), slots);
        let at = self.join_with(shard, &offer, Vec::new(), false);
        self.connect(at);
        at
    }

    /// A connected viewer whose one slot shows the camera, and who has sound and all header extensions.
    pub fn watching_session(&mut self, shard: usize) -> usize {
        let fingerprint = self.identity.fingerprint().to_string();
        let offer = view_offer(&fingerprint) + &audio(&fingerprint, 1, "recvonly") + NUMBERED;
        let show = vec![(SlotId::Video(0), Subscription { camera: CAMERA, max: rid("h"), priority: 0 })];
        let at = self.join_with(shard, &offer, show, false);
        self.connect(at);
        at
    }

    /// A connected viewer with so many slots, which show nothing yet, and all header extensions.
    pub fn wall(&mut self, shard: usize, slots: usize) -> usize {
        let offer = wall_offer(&self.identity.fingerprint().to_string(), slots);
        let at = self.join_with(shard, &offer, Vec::new(), false);
        self.connect(at);
        at
    }

    /// A session of one slot, this line left out of its offer, and these payload types of sound in place of those.
    pub fn session_without(&mut self, shard: usize, line: &str, types: &str, others: &str) -> usize {
        let offer = session_offer(&self.identity.fingerprint().to_string(), 1).replace(line, "").replace(types, others);
        let at = self.join_with(shard, &offer, Vec::new(), false);
        self.connect(at);
        at
    }

    /// Shows a camera in a viewer's slot.
    pub fn show(&mut self, at: usize, slot: SlotId, wish: Option<(CameraKey, &str)>) {
        let change = Self::change(at, slot, wish);
        self.handle(self.peers[at].0, Input::Change(change));
    }

    /// What shows a camera in a viewer's slot.
    pub fn change(at: usize, slot: SlotId, wish: Option<(CameraKey, &str)>) -> Change {
        let subscription = wish.map(|(camera, max)| Subscription { camera, max: rid(max), priority: 0 });
        Change { peer: PeerId(at as u64 + 1), until: None, slots: vec![(slot, subscription)] }
    }

    /// The states that a viewer's slot went through.
    pub fn states(&self, at: usize, wanted: SlotId) -> Vec<(Option<CameraKey>, SlotState)> {
        let said = self.notices.iter().filter_map(|(_, n)| match n {
            Notice::Slot { peer, slot, camera, state } if peer.0 == at as u64 + 1 && *slot == wanted => {
                Some((*camera, *state))
            }
            _ => None,
        });
        said.collect()
    }

    /// The media packets of one stream that a viewer got.
    pub fn packets(&self, at: usize, ssrc: Ssrc) -> Vec<Packet> {
        self.peers[at].1.packets.iter().filter(|p| p.header.ssrc == ssrc).cloned().collect()
    }

    /// The SSRC of what a viewer is shown in a slot.
    pub fn ssrc(at: usize, slot: u32) -> Ssrc {
        Ssrc(((at as u32 + 1) << 7) + 1 + slot)
    }

    /// A connected viewer.
    pub fn viewer(&mut self, shard: usize, max: &str) -> usize {
        let at = self.join(shard, max, false);
        self.connect(at);
        at
    }

    pub fn connect(&mut self, at: usize) {
        let now = self.now;
        self.peers[at].1.check();
        self.step();
        self.peers[at].1.handshake(now);
        for _ in 0..5000 {
            if self.peers[at].1.is_connected() {
                return self.step();
            }
            self.step();
        }
        panic!("peer {at} did not connect");
    }

    /// Hands a shard what a peer has to send, without time passing.
    pub fn push(&mut self, at: usize) {
        let (shard, from) = (self.peers[at].0, self.peers[at].1.address);
        for datagram in std::mem::take(&mut self.peers[at].1.out) {
            self.handle(shard, Input::Datagram { from, bytes: &datagram, waited: Duration::ZERO });
        }
    }

    pub fn peer(&mut self, at: usize) -> &mut Peer {
        &mut self.peers[at].1
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// One millisecond: everything that is under way arrives.
    pub fn step(&mut self) {
        self.now += STEP;
        for at in 0..self.peers.len() {
            let now = self.now;
            self.peers[at].1.handle_timeout(now);
            self.travel(at);
        }
        for shard in 0..self.shards.len() {
            if self.shards[shard].poll_timeout().is_some_and(|at| at <= self.now) {
                self.handle(shard, Input::Timeout);
            }
        }
        while let Some((to, message)) = self.mail.pop_front() {
            self.handle(to, Input::FromShard(message));
        }
    }

    /// What a peer sends, and what is under way from and to it.
    fn travel(&mut self, at: usize) {
        let now = self.now;
        let Some(way) = &mut self.ways[at] else { return self.push(at) };
        let (shard, peer) = &mut self.peers[at];
        let (shard, from) = (*shard, peer.address);
        for datagram in std::mem::take(&mut peer.out) {
            way.send_up(now, datagram);
        }
        while let Some(datagram) = arrived(&mut way.down, now) {
            peer.receive(now, &datagram);
        }
        while let Some(datagram) = self.ways[at].as_mut().and_then(|way| arrived(&mut way.up, now)) {
            self.handle(shard, Input::Datagram { from, bytes: &datagram, waited: Duration::ZERO });
        }
    }

    pub fn handle(&mut self, shard: usize, input: Input<'_>) {
        self.tell(shard, input);
        self.send(shard, usize::MAX);
    }

    /// Tells a shard something without letting it send.
    pub fn tell(&mut self, shard: usize, input: Input<'_>) {
        self.shards[shard].handle(self.now, input);
    }

    /// Lets a shard send so many trains; returns to whom they went.
    pub fn send(&mut self, shard: usize, trains: usize) -> Vec<TransportAddress> {
        let mut sent = Vec::new();
        while sent.len() < trains {
            let Some(output) = self.shards[shard].poll_output(&mut self.arenas[shard]) else { break };
            match output {
                Output::Train(train) => {
                    let bytes = self.arenas[shard].bytes(&train).to_vec();
                    self.trains.push(bytes.chunks(train.segment).len());
                    for packet in bytes.chunks(train.segment) {
                        self.deliver(train.to, packet);
                    }
                    sent.push(train.to);
                }
                Output::Full => self.arenas[shard].clear(),
                Output::ToShard(to, message) => self.mail.push_back((usize::from(to.0), message)),
                Output::ToAllShards(message) => {
                    for other in (0..self.shards.len()).filter(|n| *n != shard) {
                        self.mail.push_back((other, message.clone()));
                    }
                }
                Output::Notice(notice) => self.notices.push((shard, notice)),
            }
        }
        self.arenas[shard].clear();
        sent
    }

    fn deliver(&mut self, to: TransportAddress, packet: &[u8]) {
        let is_media = packet[0] >= 128 && !sfu_core::rtp::is_rtcp(packet);
        if is_media {
            let sequence = u16::from_be_bytes([packet[2], packet[3]]);
            let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
            assert!(self.sealed.insert((ssrc, sequence)), "sequence number {sequence} of SSRC {ssrc} is sealed twice");
        }
        if is_media && self.loss > 0 && self.roll() % 1000 < self.loss {
            return;
        }
        let now = self.now;
        let Some(at) = self.peers.iter().position(|(_, peer)| peer.address == to) else { return };
        match &mut self.ways[at] {
            Some(way) => way.send_down(now, packet),
            None => self.peers[at].1.receive(now, packet),
        }
    }

    /// Whether the encoding was last said to be wanted.
    pub fn is_wanted(&self, name: &str) -> bool {
        let said = |n: &Notice| match n {
            Notice::Wanted(encoding, wanted) if encoding.track == Track::Video(rid(name)) => Some(*wanted),
            _ => None,
        };
        self.notices.iter().rev().find_map(|(_, n)| said(n)).unwrap_or(false)
    }
}

fn config(shard: usize) -> Config {
    Config {
        shard: ShardId(shard as u16),
        ring_bytes: 1 << 20,
        linger: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(15),
        silence_timeout: Duration::from_secs(25),
    }
}
