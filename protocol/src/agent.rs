//! The edge agent's WebSocket to signaling (`GET /v1/agent`, subprotocol [`SUBPROTOCOL`]), one JSON text message each.
//!
//! The agent speaks first, with [`Up::Hello`]; signaling answers [`Down::Welcome`] or closes with code 1002 and a
//! reason. A receiver ignores message types it does not know, so that either side may be one version ahead.

use crate::{
    CameraId, Rid,
    camera::{Audio, Camera},
};
use serde::{Deserialize, Serialize};

/// Version spoken by this build; the neighbour's `VERSION - 1` is understood too.
pub const VERSION: u32 = 1;

/// WebSocket subprotocol (RFC 6455, section 1.9).
pub const SUBPROTOCOL: &str = "sunroom-agent.v1";

/// Largest message either side accepts, in bytes.
pub const MAX_MESSAGE: usize = 256 * 1024;

/// From the agent to signaling.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Up {
    /// First message.
    Hello {
        /// [`VERSION`].
        version: u32,
        /// Name and version of the agent's software.
        software: String,
        /// The cameras it holds.
        cameras: Vec<Camera>,
    },
    /// Every 5 s, and when a state changes.
    Health {
        /// One entry a camera.
        cameras: Vec<CameraHealth>,
    },
    /// A message type of a later version.
    #[serde(other)]
    Unknown,
}

/// From signaling to the agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Down {
    /// The agent is known and heard.
    Welcome {
        /// [`VERSION`].
        version: u32,
    },
    /// The encodings of a camera to send from now on; those not named are not to be sent.
    Wanted {
        /// Which camera.
        camera: CameraId,
        /// All that are wanted.
        encodings: Vec<Rid>,
        /// Whether its sound is.
        #[serde(default)]
        audio: bool,
    },
    /// A renewed publish grant, to be used for the next call.
    Grant {
        /// The token.
        token: String,
    },
    /// A message type of a later version.
    #[serde(other)]
    Unknown,
}

/// How a camera is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CameraHealth {
    /// Which one.
    pub id: CameraId,
    /// One entry a stream.
    pub encodings: Vec<EncodingHealth>,
    /// The publishing peer connection is up.
    pub published: bool,
    /// Its sound; absent until it was heard, or when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<Audio>,
    /// What somebody should change at the camera.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// Something about a camera that somebody should change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which kind, for machines: `b_frames`, `not_h264`, `long_gop`, `no_sub_stream`, `audio_codec`.
    pub code: String,
    /// The stream it was found in; absent where it is of the whole camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rid: Option<Rid>,
    /// In plain words, with what to do.
    pub text: String,
}

/// How one stream of a camera is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncodingHealth {
    /// Which one.
    pub rid: Rid,
    /// What its supervisor is doing.
    pub state: StreamState,
    /// In plain words, when something is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Picture width in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Picture height in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// The encoding is wanted, and so is being sent.
    pub sending: bool,
    /// RTP payload bytes sent since the agent started.
    pub sent_bytes: u64,
}

/// What the supervisor of a stream is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamState {
    /// Reaching the camera.
    Connecting,
    /// Pictures come.
    Online,
    /// The camera cannot be reached or stopped sending.
    Unreachable,
    /// The camera refuses the user name or password.
    Unauthorized,
    /// The stream is one a browser cannot play.
    Unsupported,
}
