//! ICE-TCP (RFC 6544, passive candidates): one port for the whole node, for peers whose network lets no UDP through.
//! Datagrams travel in frames of a connection (RFC 4571).
//!
//! The rooms: `accept` (takes connections in, and finds each one's shard by its first frame), `streams` (a shard's own
//! connections).
//!
//! Invariant: a connection is handed to a shard only with a STUN request that names one, and kept there only while its
//! peer has proved its password.

mod accept;
mod streams;
#[cfg(test)]
mod tests;

pub(crate) use accept::{Accepted, accept, bind};
pub(crate) use streams::Streams;

/// Bytes before a frame: the length of what follows (RFC 4571, section 2).
const HEADER: usize = 2;
