//! What a node remembers of its connections and cameras. Plain bookkeeping, no I/O.
//!
//! Invariant: a camera keeps its number as long as the node lives; every connection is in `connections`, in `peers`
//! and among its session's.

use protocol::{CameraId, ConnectionId, Rid, SessionId};
use sfu_core::{CameraKey, EncodingId, PeerId, ShardId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A connection of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) peer: PeerId,
    pub(crate) shard: ShardId,
    pub(crate) session: SessionId,
    pub(crate) camera: CameraId,
    pub(crate) is_publisher: bool,
}

/// See the module.
#[derive(Default)]
pub(crate) struct State {
    next_peer: u64,
    camera_keys: HashMap<CameraId, CameraKey>,
    cameras: Vec<CameraId>,
    by_peer: BTreeMap<PeerId, Connection>,
    by_id: HashMap<ConnectionId, PeerId>,
    /// What each published camera's publisher is to send.
    wanted: BTreeMap<CameraId, BTreeSet<Rid>>,
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

    pub(crate) fn insert(&mut self, connection: Connection) {
        self.by_id.insert(connection.id, connection.peer);
        self.by_peer.insert(connection.peer, connection);
    }

    pub(crate) fn remove(&mut self, peer: PeerId) -> Option<Connection> {
        let connection = self.by_peer.remove(&peer)?;
        self.by_id.remove(&connection.id);
        Some(connection)
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
        let is_replaced = |older: &&Connection| {
            older.peer < newer.peer
                && older.is_publisher == newer.is_publisher
                && if newer.is_publisher { older.camera == newer.camera } else { older.session == newer.session }
        };
        self.connections().filter(is_replaced).copied().collect()
    }

    /// Shard with the fewest connections.
    pub(crate) fn emptiest_shard(&self, shards: usize) -> ShardId {
        let mut load = vec![0usize; shards];
        for connection in self.connections() {
            load[usize::from(connection.shard.0)] += 1;
        }
        let emptiest = load.iter().enumerate().min_by_key(|(_, n)| **n).map_or(0, |(i, _)| i);
        ShardId(emptiest as u16)
    }

    /// A camera is published: nothing is wanted of it yet.
    pub(crate) fn published(&mut self, camera: CameraId) {
        self.wanted.insert(camera, BTreeSet::new());
    }

    pub(crate) fn unpublished(&mut self, camera: CameraId) {
        self.wanted.remove(&camera);
    }

    /// Takes note that an encoding is wanted, or no more; returns all that are, if the camera is published here.
    pub(crate) fn want(&mut self, encoding: EncodingId, wanted: bool) -> Option<(CameraId, Vec<Rid>)> {
        let camera = self.camera(encoding.camera)?;
        let rid: Rid = encoding.rid.as_str().parse().ok()?;
        let set = self.wanted.get_mut(&camera)?;
        if wanted {
            set.insert(rid);
        } else {
            set.remove(&rid);
        }
        Some((camera, set.iter().cloned().collect()))
    }

    /// What is wanted of every camera published here.
    pub(crate) fn all_wanted(&self) -> Vec<(CameraId, Vec<Rid>)> {
        self.wanted.iter().map(|(camera, set)| (*camera, set.iter().cloned().collect())).collect()
    }
}
