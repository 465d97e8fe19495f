//! Capacity planning: virtual publishers and viewers that speak the real protocols (signaling, ICE, DTLS, SRTP) at the
//! least cost, thousands in a process; what they measure; reports and plans from it.
//!
//! It knows a server only from outside: by its public API, its media and its `/metrics`. What may never be here: code of
//! the server's side (what it shares with services are wire types, configuration files and listeners), or a join that is
//! left out, delayed or slowed without being said.

pub mod agent;
pub mod api;
pub mod arguments;
pub mod arrivals;
pub mod client;
pub mod engine;
pub mod fleet;
pub mod forces;
pub mod impairment;
pub mod measure;
pub mod outcome;
pub mod plan;
pub mod profile;
pub mod progress;
pub mod publisher;
pub mod reception;
pub mod relay;
pub mod report;
pub mod run;
pub mod scenario;
pub mod server;
pub mod slo;
pub mod stamp;
pub mod units;
pub mod viewer;
