//! Sunroom's media node as pure state machines: every decision, no I/O.
//!
//! [`Shard`] is the machine: `handle(now, Input)` is the one mutation, then [`Shard::poll_output`] is drained until it
//! is empty, then [`Shard::poll_timeout`] says when to come again. Same inputs, same outputs: a test drives a shard in
//! virtual time.
//!
//! Ground floor: imports nothing of ours. What may never be here: async, clocks, locks, sockets, threads, iteration
//! over hash maps. Time and randomness are arguments (handshakes take theirs from the crypto provider that the caller
//! passes in).

pub mod allocation;
pub mod arrivals;
pub mod bandwidth;
pub mod departures;
pub mod dtls;
mod encoding;
mod fanout;
pub mod h264;
pub mod ice;
pub mod keyframe;
pub mod path;
mod publisher;
pub mod rewrite;
pub mod ring;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
mod shard;
pub mod source;
pub mod srtp;
pub mod transport_feedback;
mod types;
mod viewer;

pub use fanout::{Arena, MAX_TRAIN, Train};
pub use shard::{Change, Config, Counters, Ended, Input, NewPeer, NewRole, Notice, Output, Shard, ShardMessage};
pub use types::{
    CameraKey, Clock, ClockPair, Codec, EncodingId, Layer, Packet, PeerId, Rid, ShardId, SlotId, SlotState, Ssrc,
    Standing, Subscription, Track, Transport, TransportAddress,
};
