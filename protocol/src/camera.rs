//! What a viewer may know of a camera (`GET /v1/cameras`), and what its agent says of it.

use crate::{CameraId, Rid};
use serde::{Deserialize, Serialize};

/// One coded stream of a camera.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoding {
    /// Which one.
    pub rid: Rid,
    /// Width of the picture in pixels; absent until the stream has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height of the picture in pixels; absent until the stream has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// A camera as its agent announces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Camera {
    /// Which one.
    pub id: CameraId,
    /// A name that people know it by.
    pub name: String,
    /// Its encodings, large to small.
    pub encodings: Vec<Encoding>,
    /// Its sound; absent until it was heard, or when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<Audio>,
}

/// A camera's sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audio {
    /// Its codec, as RTP names it: `PCMA`, `PCMU`, `opus`, `mpeg4-generic` (AAC) ...
    pub codec: String,
    /// Whether browsers can play it live: PCMA, PCMU and Opus pass through, nothing is transcoded.
    pub live: bool,
}

/// A camera as a viewer sees it listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The camera.
    #[serde(flatten)]
    pub camera: Camera,
    /// A publisher is connected, so a picture may be had now.
    pub live: bool,
}

/// Answer of `GET /v1/cameras`: the cameras that the caller's grant names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct List {
    /// In the grant's order.
    pub cameras: Vec<Listed>,
}
