//! The node API: HTTP/JSON between signaling and a media node, on the node's internal listener.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST /v1/publishers` | [`Publish`] | 201 [`Answer`] |
//! | `POST /v1/viewers` | [`View`] | 201 [`Answer`] |
//! | `PATCH /v1/viewers/{id}` | [`Change`] | 204 |
//! | `GET /v1/viewers/{id}/events` | none | 200, server-sent events, one [`crate::session::Event`] each |
//! | `POST /v1/connections/{id}/restart` | none | 200 [`Restarted`] |
//! | `DELETE /v1/connections/{id}` | none | 204, also when it is gone already |
//!
//! Errors are problem details (RFC 9457): 400 malformed SDP, 403 a camera that is not granted or an encoding above the
//! grant's largest, 404 `no_such_connection`, 406 no codec or media we carry, 422 an offer we cannot answer or
//! `no_such_slot`, 503 the node is full or draining.

use crate::{CameraId, ConnectionId, NodeId, Rid, SessionId, grant::CameraGrant};
use serde::{Deserialize, Serialize};

/// Largest SDP a node reads, in bytes.
pub const MAX_SDP: usize = 64 * 1024;
/// Most slots of one connection.
pub const MAX_SLOTS: usize = 16;

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
    /// Whether sound may be published; an offered audio m-line is rejected otherwise.
    #[serde(default)]
    pub audio: bool,
    /// When the grant ends, in Unix seconds: the node stops the publisher then.
    pub until: u64,
    /// SDP offer.
    pub offer: String,
}

/// Somebody wants to see cameras.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    /// Name of the new connection.
    pub connection: ConnectionId,
    /// The grant's session: an earlier connection of the same one is replaced after this one's first frame.
    pub session: SessionId,
    /// All that may be seen and heard.
    pub granted: Vec<CameraGrant>,
    /// How many of the offer's video m-lines become slots, in their order: 1 for WHEP, else [`MAX_SLOTS`]. Further ones
    /// are rejected (WHEP), or the offer is (sessions).
    pub slots: usize,
    /// What the slots show first, in their order; missing ones are empty.
    pub show: Vec<Option<Show>>,
    /// The camera that is heard first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<CameraId>,
    /// When the grant ends, in Unix seconds: the node stops the viewer then.
    pub until: u64,
    /// SDP offer.
    pub offer: String,
}

/// What a slot is to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Show {
    /// Which camera.
    pub camera: CameraId,
    /// The largest encoding wished; the grant's own largest bounds it.
    pub max: Rid,
    /// Slots with more of it are served first where the viewer's network does not carry all.
    #[serde(default)]
    pub priority: u8,
}

/// A viewer's wishes or its grant change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    /// All that may be seen and heard from now on: slots that show anything else are emptied, at once.
    pub granted: Vec<CameraGrant>,
    /// When the grant ends, in Unix seconds.
    pub until: u64,
    /// Slots to change; the others stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<SlotChange>,
    /// The camera to hear; left out, it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<Listen>,
}

/// What one slot is to show from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotChange {
    /// Number of the slot: its video m-line's place among the offer's video m-lines, from 0.
    pub slot: usize,
    /// What; `None` empties it.
    pub show: Option<Show>,
}

/// Which camera is heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// `None` for silence.
    pub camera: Option<CameraId>,
}

/// A connection was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// SDP answer.
    pub answer: String,
}

/// A connection has new ICE credentials; the old ones hold until the new ones are used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Restarted {
    /// SDP fragment (RFC 8840, section 9) with our credentials and candidates.
    pub fragment: String,
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
