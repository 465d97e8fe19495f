//! What a node remembers of its connections and cameras. Plain bookkeeping, no I/O.
//!
//! Invariant: a camera keeps its number as long as the node lives; what an earlier publisher of a camera still does
//! changes nothing of what is known of the later one.

use crate::viewing::Viewing;
use cluster::Epoch;
use protocol::session::EndReason;
use protocol::{CameraId, ConnectionId, Rid, SessionId};
use sfu_core::{CameraKey, EncodingId, PeerId, ShardId, Track};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A connection of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) peer: PeerId,
    pub(crate) shard: ShardId,
    pub(crate) seat: Seat,
    /// Name of the first m-line of its bundle.
    pub(crate) tag: String,
    /// Its first frame left, or its camera was published by it.
    pub(crate) playing: bool,
    /// Why it is being ended, once it is.
    pub(crate) ending: Option<EndReason>,
}

impl Connection {
    fn is_publisher(&self) -> bool {
        matches!(self.seat, Seat::Publisher(_))
    }
}

/// What one connection holds at a time; a newer one takes it over. A publisher's is its camera, for one grant, and so
/// one session, publishes all cameras of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Seat {
    Viewer(SessionId),
    Publisher(CameraId),
}

/// A camera that is published here, or whose end the directory has yet to hear of.
#[derive(Default)]
struct Publication {
    /// Who was published last, and on which shard; none when it is gone.
    publisher: Option<(PeerId, ShardId)>,
    /// Our latest claim.
    epoch: Option<Epoch>,
    /// Whether the directory knows that it is as it is.
    is_told: bool,
    /// What its publisher is to send.
    wanted: BTreeSet<Track>,
}

/// What a camera's publisher is to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) encodings: Vec<Rid>,
    pub(crate) audio: bool,
}

impl Publication {
    fn wanted(&self) -> Wanted {
        let rid = |track: &Track| match track {
            Track::Video(rid) => rid.as_str().parse().ok(),
            Track::Audio => None,
        };
        let encodings = self.wanted.iter().filter_map(rid).collect();
        Wanted { encodings, audio: self.wanted.contains(&Track::Audio) }
    }
}

/// What the directory is to be told of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untold {
    /// It is published here.
    Published,
    /// It is published here no more; the claim, if there was one.
    Unpublished(Option<Epoch>),
}

/// See the module.
#[derive(Default)]
pub(crate) struct State {
    next_peer: u64,
    camera_keys: HashMap<CameraId, CameraKey>,
    cameras: Vec<CameraId>,
    by_peer: BTreeMap<PeerId, Connection>,
    by_id: HashMap<ConnectionId, PeerId>,
    by_seat: HashMap<Seat, BTreeSet<PeerId>>,
    viewings: HashMap<PeerId, Viewing>,
    /// Connections by shard.
    load: BTreeMap<ShardId, usize>,
    publishers: usize,
    publications: BTreeMap<CameraId, Publication>,
}

impl State {
    pub(crate) fn camera_key(&mut self, id: CameraId) -> CameraKey {
        *self.camera_keys.entry(id).or_insert_with(|| {
            self.cameras.push(id);
            CameraKey(self.cameras.len() as u32 - 1)
        })
    }

    pub(crate) fn camera(&self, key: CameraKey) -> Option<CameraId> {
        self.cameras.get(key.0 as usize).copied()
    }

    pub(crate) fn next_peer(&mut self) -> PeerId {
        self.next_peer += 1;
        PeerId(self.next_peer)
    }

    /// A connection begins; a viewer's with what it shows.
    pub(crate) fn insert(&mut self, connection: Connection, viewing: Option<Viewing>) {
        if let Some(viewing) = viewing {
            self.viewings.insert(connection.peer, viewing);
        }
        self.by_id.insert(connection.id, connection.peer);
        self.by_seat.entry(connection.seat).or_default().insert(connection.peer);
        *self.load.entry(connection.shard).or_default() += 1;
        self.publishers += usize::from(connection.is_publisher());
        self.by_peer.insert(connection.peer, connection);
    }

    /// A connection is over, for this reason unless another was given before.
    pub(crate) fn remove(&mut self, peer: PeerId, why: EndReason) -> Option<Connection> {
        let connection = self.by_peer.remove(&peer)?;
        if let Some(mut viewing) = self.viewings.remove(&peer) {
            viewing.end(connection.ending.unwrap_or(why));
        }
        // A connection may have been made again under the same name.
        if self.by_id.get(&connection.id) == Some(&peer) {
            self.by_id.remove(&connection.id);
        }
        if let Some(peers) = self.by_seat.get_mut(&connection.seat) {
            peers.remove(&peer);
            if peers.is_empty() {
                self.by_seat.remove(&connection.seat);
            }
        }
        if let Some(load) = self.load.get_mut(&connection.shard) {
            *load -= 1;
        }
        self.publishers -= usize::from(connection.is_publisher());
        Some(connection)
    }

    pub(crate) fn viewing(&mut self, peer: PeerId) -> Option<&mut Viewing> {
        self.viewings.get_mut(&peer)
    }

    /// A connection is to end, and why.
    pub(crate) fn ending(&mut self, peer: PeerId, why: EndReason) {
        if let Some(connection) = self.by_peer.get_mut(&peer) {
            connection.ending.get_or_insert(why);
        }
    }

    pub(crate) fn playing(&mut self, peer: PeerId) {
        if let Some(connection) = self.by_peer.get_mut(&peer) {
            connection.playing = true;
        }
    }

    pub(crate) fn viewer_count(&self) -> usize {
        self.by_peer.len() - self.publishers
    }

    pub(crate) fn publisher_count(&self) -> usize {
        self.publishers
    }

    pub(crate) fn by_peer(&self, peer: PeerId) -> Option<&Connection> {
        self.by_peer.get(&peer)
    }

    pub(crate) fn by_id(&self, id: ConnectionId) -> Option<&Connection> {
        self.by_peer.get(self.by_id.get(&id)?)
    }

    pub(crate) fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.by_peer.values()
    }

    /// The older connections that one replaces: of its session, or publishers of its camera.
    pub(crate) fn replaced_by(&self, newer: &Connection) -> Vec<Connection> {
        let seated = self.by_seat.get(&newer.seat).into_iter().flat_map(|peers| peers.range(..newer.peer));
        seated.filter_map(|peer| self.by_peer.get(peer)).cloned().collect()
    }

    /// Those of them that are not even kept until the newer one plays: all but the newest that plays.
    pub(crate) fn superseded_by(&self, newer: &Connection) -> Vec<Connection> {
        let mut older = self.replaced_by(newer);
        if let Some(kept) = older.iter().rposition(|c| c.playing) {
            older.remove(kept);
        }
        older
    }

    /// Shard with the fewest connections.
    pub(crate) fn emptiest_shard(&self, shards: usize) -> ShardId {
        let all = (0..shards).map(|n| ShardId(n as u16));
        all.min_by_key(|id| self.load.get(id).copied().unwrap_or_default()).unwrap_or(ShardId(0))
    }

    /// A camera has a new publisher: nothing is wanted of it yet.
    pub(crate) fn published(&mut self, camera: CameraId, peer: PeerId, shard: ShardId) {
        let publication = self.publications.entry(camera).or_default();
        publication.publisher = Some((peer, shard));
        publication.is_told = false;
        publication.wanted.clear();
    }

    /// A publisher is gone. Whether it was the camera's last one.
    pub(crate) fn unpublished(&mut self, camera: CameraId, peer: PeerId) -> bool {
        let of_peer = |p: &&mut Publication| p.publisher.is_some_and(|(last, _)| last == peer);
        let Some(publication) = self.publications.get_mut(&camera).filter(of_peer) else { return false };
        publication.publisher = None;
        publication.is_told = false;
        publication.wanted.clear();
        true
    }

    /// What the directory has yet to hear of a camera.
    pub(crate) fn untold(&self, camera: CameraId) -> Option<Untold> {
        let publication = self.publications.get(&camera).filter(|p| !p.is_told)?;
        Some(match publication.publisher {
            Some(_) => Untold::Published,
            None => Untold::Unpublished(publication.epoch),
        })
    }

    /// The cameras that the directory has yet to hear of.
    pub(crate) fn untold_cameras(&self) -> Vec<CameraId> {
        self.publications.iter().filter(|(_, p)| !p.is_told).map(|(camera, _)| *camera).collect()
    }

    pub(crate) fn claimed(&mut self, camera: CameraId, epoch: Epoch) {
        if let Some(publication) = self.publications.get_mut(&camera) {
            publication.epoch = Some(epoch);
        }
    }

    /// The directory knows all of a camera.
    pub(crate) fn told(&mut self, camera: CameraId) {
        if let Some(publication) = self.publications.get_mut(&camera) {
            publication.is_told = true;
        }
        self.publications.retain(|_, p| p.publisher.is_some() || !p.is_told);
    }

    /// Takes note that an encoding is wanted, or no more; returns all that are. None where `from` is not the shard of
    /// the camera's publisher.
    pub(crate) fn want(&mut self, from: ShardId, encoding: EncodingId, wanted: bool) -> Option<(CameraId, Wanted)> {
        let camera = self.camera(encoding.camera)?;
        let publication = self.publications.get_mut(&camera)?;
        publication.publisher.filter(|(_, shard)| *shard == from)?;
        if wanted {
            publication.wanted.insert(encoding.track);
        } else {
            publication.wanted.remove(&encoding.track);
        }
        Some((camera, publication.wanted()))
    }

    /// What is wanted of every camera published here.
    pub(crate) fn all_wanted(&self) -> Vec<(CameraId, Wanted)> {
        let published = self.publications.iter().filter(|(_, p)| p.publisher.is_some());
        published.map(|(camera, p)| (*camera, p.wanted())).collect()
    }
}
