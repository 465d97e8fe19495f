//! A shard: peers, encodings, and what connects them.
//!
//! Contract: call [`Shard::handle`], then [`Shard::poll_output`] until it is empty, then wait for the next input or
//! until [`Shard::poll_timeout`]. [`Output::Full`] means that the arena wants to be sent and cleared first; it is also the
//! place to look for other input, for what waits to be sent stays right whatever is handled in between.
//!
//! The rooms: `peers` (addresses, handshakes, coming and going), `ingest` (from publishers), `feedback` (from viewers),
//! `choice` (who watches which encoding), `allot` (what networks carry of it), `feed` (how it gets it), `wheel` (what happens
//! with time), `backlog` (what waits to be sent), `drain` (what waits into trains), `contract` (what it is told and says).

use self::backlog::Backlog;
pub use self::contract::{Change, Config, Counters, Ended, Input, NewPeer, NewRole, Notice, Output, ShardMessage};
use crate::dtls::{Associations, Fingerprint, Identity};
use crate::encoding::Encoding;
use crate::ice::Credentials;
use crate::publisher::Publisher;
use crate::srtp::Inbound;
use crate::types::{CameraKey, EncodingId, PeerId, ShardId, TransportAddress};
use crate::viewer::{Slot, SlotAt, Viewer};
use rtc_crypto::RTCCryptoProvider;
use rtc_srtp::context::Context;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

mod allot;
mod backlog;
mod choice;
mod contract;
mod drain;
mod feed;
mod feedback;
mod ingest;
mod peers;
mod wheel;

/// See the module.
pub struct Shard {
    config: Config,
    provider: Arc<dyn RTCCryptoProvider>,
    dtls: Associations,
    /// When the shard began; send times count from here.
    origin: Instant,
    now: Instant,
    peers: Vec<Option<Box<Peer>>>,
    /// What fan-out needs of those peers that are viewers, side by side: it goes over them for every packet.
    viewers: Vec<Option<Viewer>>,
    free: Vec<u32>,
    by_id: HashMap<PeerId, u32>,
    by_ufrag: HashMap<String, u32>,
    by_address: HashMap<TransportAddress, u32>,
    handshaking: Vec<u32>,
    /// Peers that have new credentials and have not acted on them yet.
    restarting: Vec<u32>,
    publishers: Vec<u32>,
    cameras: HashMap<CameraKey, Camera>,
    encodings: Vec<Encoding>,
    /// Encodings there have been; the places of those that are gone.
    encodings_begun: u64,
    free_encodings: Vec<usize>,
    encoding_slots: HashMap<EncodingId, usize>,
    /// Encodings with packets that have gathered, and when they are due.
    gathering: BTreeMap<usize, Instant>,
    /// Encodings with viewers that are catching up.
    catching_up: Vec<usize>,
    next_burst: Instant,
    /// Viewers whose network is being probed.
    probing: Vec<u32>,
    next_tick: Instant,
    tick: usize,
    outputs: VecDeque<Output>,
    backlog: Backlog,
    counters: Counters,
}

/// A camera as this shard knows it.
#[derive(Default)]
struct Camera {
    origin: Option<Origin>,
    /// Slots of the encodings that its publisher has, or had last.
    encodings: Vec<usize>,
    /// The slots on this shard that are to show it.
    viewers: Vec<SlotAt>,
}

/// Where a camera's packets come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    /// The publisher at this place.
    Here(u32),
    /// Another shard.
    Shard(ShardId),
}

/// A peer connection.
struct Peer {
    id: PeerId,
    ice: Credentials,
    /// Its credentials after a restart that it has not acted on yet.
    ice_next: Option<Credentials>,
    fingerprint: Fingerprint,
    /// Where its nominated pair is.
    address: Option<TransportAddress>,
    /// Every address that proved our password.
    validated: Vec<TransportAddress>,
    since: Instant,
    heard: Instant,
    /// When it was last heard from `address`.
    heard_here: Instant,
    until: Option<Instant>,
    inbound: Option<Inbound>,
    rtcp_out: Option<Context>,
    role: Role,
}

enum Role {
    Publisher(Publisher),
    /// Whose state stands among the viewers, at the same place.
    Viewer,
}

impl Shard {
    /// A shard without peers, beginning at `now`.
    pub fn new(config: Config, identity: Identity, provider: Arc<dyn RTCCryptoProvider>, now: Instant) -> Self {
        Self {
            config,
            dtls: Associations::new(identity, Arc::clone(&provider)),
            provider,
            origin: now,
            now,
            peers: Vec::new(),
            viewers: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            handshaking: Vec::new(),
            restarting: Vec::new(),
            publishers: Vec::new(),
            cameras: HashMap::new(),
            encodings: Vec::new(),
            encodings_begun: 0,
            free_encodings: Vec::new(),
            encoding_slots: HashMap::new(),
            gathering: BTreeMap::new(),
            catching_up: Vec::new(),
            next_burst: now,
            probing: Vec::new(),
            next_tick: now,
            tick: 0,
            outputs: VecDeque::new(),
            backlog: Backlog::default(),
            counters: Counters::default(),
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Connections, up or coming up.
    pub fn peer_count(&self) -> usize {
        self.by_id.len()
    }

    /// Encodings of cameras that are published or watched, or were until lately.
    pub fn encoding_count(&self) -> usize {
        self.encoding_slots.len()
    }

    /// Takes in one thing that happened at `now`.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::Datagram { from, bytes, waited } => self.receive(from, bytes, waited),
            Input::Closed(address) => self.closed(address),
            Input::Connect(peer) => self.connect(*peer),
            Input::Change(change) => self.change(change),
            Input::Restart { peer, ice } => self.restart(peer, ice),
            Input::Disconnect(id) => {
                if let Some(place) = self.by_id.get(&id) {
                    self.remove(*place, Ended::Removed);
                }
            }
            Input::FromShard(message) => self.hear(message),
            Input::Timeout => self.turn_wheel(),
        }
    }

    /// Whether packets wait to be sealed and sent.
    pub fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Whether a peer is to connect, or to come by another way: connectivity checks are urgent then, and else they can wait
    /// for up to 60 ms, as reports of how packets arrive always can.
    pub fn expects_checks(&self) -> bool {
        !self.handshaking.is_empty() || !self.restarting.is_empty()
    }

    /// When something is due; `None` when nothing is.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due(Duration::ZERO)
    }

    /// When to come again at the latest without other input: what is not urgent is best done together with something else,
    /// for each time that a sleeping core wakes up costs more than what it then does.
    pub fn poll_latest(&self) -> Option<Instant> {
        self.due(if self.probing.is_empty() { wheel::LEEWAY } else { Duration::ZERO })
    }

    /// When something is due, a tick of the wheel so much later.
    fn due(&self, leeway: Duration) -> Option<Instant> {
        let is_used = !self.by_id.is_empty() || self.encodings.iter().any(Encoding::is_watched);
        let tick = is_used.then_some(self.next_tick + leeway);
        let burst = (!self.catching_up.is_empty()).then_some(self.next_burst);
        [tick, burst, self.gathering.values().copied().min()].into_iter().flatten().min()
    }

    fn peer(&self, place: u32) -> Option<&Peer> {
        self.peers.get(place as usize)?.as_deref()
    }

    fn peer_mut(&mut self, place: u32) -> Option<&mut Peer> {
        self.peers.get_mut(place as usize)?.as_deref_mut()
    }

    fn viewer(&mut self, place: u32) -> Option<&mut Viewer> {
        self.viewers.get_mut(place as usize)?.as_mut()
    }

    fn slot(&mut self, at: SlotAt) -> Option<&mut Slot> {
        self.viewer(at.place)?.slot_mut(at.slot)
    }

    fn notify(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Notice(notice));
    }

    fn tell(&mut self, shard: ShardId, message: ShardMessage) {
        self.outputs.push_back(Output::ToShard(shard, message));
    }
}
