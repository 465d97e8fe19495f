//! Sunroom's media node: the thin shell around `sfu-core`.
//!
//! It owns what the core may not: threads, sockets, clocks, randomness, the directory. What may never be here: a
//! decision about media (that is the core's), a look at grants (that is signaling's).

mod advertise;
mod api;
mod attend;
mod config;
mod mailbox;
mod metrics;
mod node;
mod node_state;
mod shard;
mod socket;
mod start;
mod tcp;
mod viewing;

pub use config::{Config, Estimation, InvalidConfig, Media};
pub use node::Node;
pub use start::StartError;
