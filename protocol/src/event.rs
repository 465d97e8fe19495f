//! Messages of the cluster's event bus. A receiver ignores kinds it does not know.

use crate::{CameraId, ConnectionId, NodeId, Rid};
use serde::{Deserialize, Serialize};

/// What happened, or is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A camera's publisher connected to a node.
    Published {
        /// Which camera.
        camera: CameraId,
        /// Its origin.
        node: NodeId,
    },
    /// A camera's publisher left its node.
    Unpublished {
        /// Which camera.
        camera: CameraId,
        /// Its former origin.
        node: NodeId,
    },
    /// The encodings of a camera that a node wants to receive; repeated when the set changes and every 10 s.
    Wanted {
        /// Which camera.
        camera: CameraId,
        /// Who wants them: the camera's origin.
        node: NodeId,
        /// All that are wanted.
        encodings: Vec<Rid>,
        /// Whether its sound is.
        #[serde(default)]
        audio: bool,
    },
    /// A connection has ended: its peer left, fell silent, or its grant ran out.
    Ended {
        /// Which connection.
        connection: ConnectionId,
    },
    /// An agent's publish grant is in its last third; the issuer answers with [`Event::GrantRenewed`].
    GrantExpiring {
        /// Claims `sub` of the grant.
        subject: String,
        /// The grant as it is, still valid.
        token: String,
    },
    /// A renewed publish grant, for signaling to hand to its agent.
    GrantRenewed {
        /// Claims `sub` of the grant.
        subject: String,
        /// The new grant.
        token: String,
    },
    /// A kind of a later version.
    #[serde(other)]
    Unknown,
}
