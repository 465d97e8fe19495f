//! Wire types that Sunroom's services share, and the grants they act on.
//!
//! Ground floor: imports nothing of ours. What may never be here: I/O, clocks, decisions. A type belongs here only
//! when two services speak it to each other; time is an argument.

pub mod agent;
pub mod camera;
pub mod event;
pub mod grant;
mod ids;
pub mod node;
mod problem;
pub mod session;

pub use ids::{CameraId, ConnectionId, InvalidRid, NodeId, Rid, SessionId};
pub use problem::Problem;
