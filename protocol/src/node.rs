//! The node API: HTTP/JSON between signaling and a media node, on the node's internal listener.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST /v1/publishers` | [`Publish`] | 201 [`Answer`] |
//! | `POST /v1/viewers` | [`View`] | 201 [`Answer`] |
//! | `DELETE /v1/connections/{id}` | none | 204, also when it is gone already |
//!
//! Errors are problem details (RFC 9457): 400 malformed SDP, 403 an encoding above the grant's largest, 406 no codec or media we carry, 422 an offer we cannot
//! answer, 503 the node is full or draining.

use crate::{CameraId, ConnectionId, NodeId, Rid, SessionId};
use serde::{Deserialize, Serialize};

/// Largest SDP a node reads, in bytes.
pub const MAX_SDP: usize = 64 * 1024;

/// A publisher wants to send a camera's encodings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Publish {
    /// Name of the new connection.
    pub connection: ConnectionId,
    /// The grant's session.
    pub session: SessionId,
    /// What is published: an earlier publisher of the same camera is replaced once this one is connected.
    pub camera: CameraId,
    /// The largest encoding that may be published.
    pub max: Rid,
    /// When the grant ends, in Unix seconds: the node stops the publisher then.
    pub until: u64,
    /// SDP offer.
    pub offer: String,
}

/// A viewer wants to see a camera.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    /// Name of the new connection.
    pub connection: ConnectionId,
    /// The grant's session: an earlier connection of the same one is replaced after this one's first frame.
    pub session: SessionId,
    /// What is to be shown.
    pub camera: CameraId,
    /// The largest encoding to send.
    pub max: Rid,
    /// When the grant ends, in Unix seconds: the node stops the viewer then.
    pub until: u64,
    /// SDP offer.
    pub offer: String,
}

/// A connection was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// SDP answer.
    pub answer: String,
}

/// What a node says of itself to the directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Which node.
    pub id: NodeId,
    /// Base URL of its node API.
    pub url: String,
    /// Whether it takes new connections.
    pub state: NodeState,
    /// Viewers connected.
    pub viewers: u32,
    /// Publishers connected.
    pub publishers: u32,
    /// How much of its capacity is in use, 0 to 1.
    pub load: f64,
}

/// Phase of a node's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Not yet.
    Starting,
    /// Takes connections.
    Serving,
    /// Keeps what it has, takes no more.
    Draining,
}
