//! The directory: nodes, cameras' origins and descriptions, connections, and the event bus, as one trait.
//!
//! Every entry is a lease. Invariant: what a look-up returns was written by a holder whose lease has not ended, and a
//! delete removes only what its caller itself wrote: claims carry an [`Epoch`], a fencing token that grows with every
//! claim of the same camera; connections are named by 128 random bits that no two writers share.

use async_trait::async_trait;
use protocol::{
    CameraId, ConnectionId, NodeId, SessionId, camera::Camera, event::Event, grant::Audience, node::NodeRecord,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// How long a node lives without a heartbeat. Nodes send one every second.
pub const NODE_LEASE: Duration = Duration::from_secs(3);

/// Fencing token of a claim: grows with each claim of the same camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// The node that a camera's publisher is connected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Which node.
    pub node: NodeId,
    /// Which of the camera's claims this is.
    pub epoch: Epoch,
}

/// What is known of a camera.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// As its agent announced it last.
    pub description: Option<Camera>,
    /// Where its publisher is, if one is connected.
    pub origin: Option<Origin>,
}

/// One peer connection of a session: a viewer's or a publisher's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionRecord {
    /// Its name.
    pub connection: ConnectionId,
    /// The session of the grant that opened it (claim `sid`).
    pub session: SessionId,
    /// Whom that grant was for (claim `sub`).
    pub subject: String,
    /// What that grant was for.
    pub audience: Audience,
    /// The node that holds it.
    pub node: NodeId,
    /// When the grant ends, in Unix seconds.
    pub until: u64,
    /// Its ICE session; none until the node has answered.
    pub ice: Option<IceSession>,
}

/// An ICE session, told apart by both sides' username fragments (RFC 8839, section 5.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceSession {
    /// The node's.
    pub ours: String,
    /// The peer's; none where its offer has none.
    pub theirs: Option<String>,
}

/// What of a connection's record may change while it lives. Each is written by itself, so that two at once lose nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amendment {
    /// A renewed grant.
    Grant {
        /// When it ends, in Unix seconds.
        until: u64,
        /// How long the record lasts from now.
        lease: Duration,
    },
    /// The ICE session of the answer, or of a restart.
    Ice(IceSession),
}

/// The directory cannot answer now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store behind it is out of reach; the text says why.
    #[error("the directory cannot be reached: {0}")]
    Unavailable(String),
}

/// What nodes know together. Used as `Arc<dyn Directory>`.
#[async_trait]
pub trait Directory: Send + Sync {
    /// A node's process starts: its lease begins, and the origins that an earlier life of the same node still claims
    /// are forgotten.
    async fn register(&self, node: NodeRecord) -> Result<(), Error>;

    /// Renews a node's lease for [`NODE_LEASE`] and replaces its record. An unknown node becomes known.
    async fn heartbeat(&self, node: NodeRecord) -> Result<(), Error>;

    /// A node's process ends in good order: its lease ends now, and its claims with it.
    async fn leave(&self, node: &NodeId) -> Result<(), Error>;

    /// The live nodes, in order of their ids.
    async fn nodes(&self) -> Result<Vec<NodeRecord>, Error>;

    /// Makes a node the camera's origin. A newer claim supersedes an older one, whoever made it. The claim lasts until
    /// it is released or superseded, and is seen only while its node lives.
    async fn claim_origin(&self, camera: CameraId, node: &NodeId) -> Result<Epoch, Error>;

    /// Ends a claim, if it is still the camera's newest. Returns whether it was.
    async fn release_origin(&self, camera: CameraId, node: &NodeId, epoch: Epoch) -> Result<bool, Error>;

    /// The camera's origin, if a live node has claimed it.
    async fn origin(&self, camera: CameraId) -> Result<Option<Origin>, Error>;

    /// Describes a camera for `lease`; the latest description counts. It lapses by itself.
    async fn announce(&self, camera: Camera, lease: Duration) -> Result<(), Error>;

    /// What is known of each of these cameras, in the same order.
    async fn cameras(&self, ids: &[CameraId]) -> Result<Vec<Known>, Error>;

    /// Records a connection for `lease`.
    async fn put_connection(&self, record: ConnectionRecord, lease: Duration) -> Result<(), Error>;

    /// Changes a connection's record, if there is one; it never makes one. Returns whether there was.
    async fn amend_connection(&self, id: ConnectionId, amendment: Amendment) -> Result<bool, Error>;

    /// A connection's record.
    async fn connection(&self, id: ConnectionId) -> Result<Option<ConnectionRecord>, Error>;

    /// Forgets a connection. Returns whether there was a record, so that of several callers one learns that it was
    /// first.
    async fn remove_connection(&self, id: ConnectionId) -> Result<bool, Error>;

    /// Tells every subscriber. Nobody may be listening; that is no error.
    async fn publish(&self, event: Event) -> Result<(), Error>;

    /// Every event published from now on.
    fn subscribe(&self) -> Subscription;
}

/// What a subscriber reads next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// An event.
    Event(Event),
    /// The reader was too slow and this many events are lost to it: state that follows events is to be read anew.
    Lagged(u64),
}

/// A reader of the event bus. It holds a bounded number of events, so a slow reader never holds up another.
#[derive(Debug)]
pub struct Subscription(Receiver<Event>);

impl Subscription {
    /// A subscription fed by a broadcast channel.
    pub(crate) fn new(receiver: Receiver<Event>) -> Self {
        Self(receiver)
    }

    /// Waits for the next event; `None` when the directory is gone. May be cancelled without losing an event.
    pub async fn next(&mut self) -> Option<Received> {
        match self.0.recv().await {
            Ok(event) => Some(Received::Event(event)),
            Err(RecvError::Lagged(lost)) => Some(Received::Lagged(lost)),
            Err(RecvError::Closed) => None,
        }
    }
}
