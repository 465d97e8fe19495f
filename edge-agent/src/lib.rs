//! The box at the site: pulls cameras by RTSP, publishes what is wanted by WHIP, and says how everything is.
//!
//! ```text
//! rtsp, synthetic -> timeline, h264 -> feed (gop), sound -> publish (packetize, WHIP, WebRTC) -> media node
//!                 -> survey, finding -> health
//! link: WebSocket to signaling; wanted encodings and grants come down, health goes up
//! uplink: what the way to the media nodes carries, and which of the wanted encodings are sent
//! ```
//! Both streams of a camera are always pulled; what nobody wants is not sent.

mod agent;
pub mod backoff;
pub mod check;
pub mod config;
pub mod feed;
pub mod finding;
pub mod gop;
pub mod grant;
pub mod h264;
pub mod h265;
pub mod health;
pub mod link;
pub mod lipsync;
pub mod packetize;
pub mod publish;
pub mod rate;
pub mod rtsp;
pub mod signaling;
pub mod sound;
pub mod source;
pub mod survey;
pub mod synthetic;
pub mod timeline;
pub mod tls;
pub mod uplink;

pub use agent::{Error, run};
