//! A viewer's session, as its app hears of it (`GET /v1/sessions/{id}/events`): server-sent events (WHATWG HTML,
//! section 9.2), whose `data` is one [`Event`] as JSON. A reader ignores types and states that it does not know.
//!
//! The stream begins with one [`Event::Slot`] for each slot, and one [`Event::Audio`] where the session has an audio
//! m-line; then come changes. It ends after [`Event::Ended`].

use crate::CameraId;
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// How a slot is.
    Slot {
        /// Its number, from 0.
        slot: usize,
        /// What it shows, or is to show.
        camera: Option<CameraId>,
        /// How that is.
        state: SlotState,
    },
    /// How the sound is.
    Audio {
        /// What is heard, or is to be heard.
        camera: Option<CameraId>,
        /// How that is.
        state: SlotState,
    },
    /// The connection is over.
    Ended {
        /// Why.
        reason: EndReason,
    },
    /// A type of a later version.
    #[serde(other)]
    Unknown,
}

/// How a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// Nothing is to be shown.
    Empty,
    /// The camera is published; its picture has not left yet.
    Waiting,
    /// The picture is being sent.
    Live,
    /// The camera is not published, or its picture has stopped.
    NoSignal,
    /// The viewer's network does not carry the picture beside those that are served first; it comes back by itself.
    Paused,
    /// The grant no longer covers the camera.
    Withdrawn,
    /// A state of a later version.
    #[serde(other)]
    Unknown,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The peer said good-bye, or asked for the end.
    Left,
    /// A newer connection of the same session took its place.
    Replaced,
    /// ICE or DTLS did not come about in time.
    NeverConnected,
    /// Nothing was heard from the peer.
    Silent,
    /// The handshake failed.
    Handshake,
    /// The grant ended and was not renewed.
    GrantOver,
    /// The node stops; connect again.
    NodeStopping,
    /// A reason of a later version.
    #[serde(other)]
    Unknown,
}
