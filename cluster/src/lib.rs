//! What Sunroom's nodes know together, and how its services reach each other.
//!
//! [`Directory`] holds who serves what, as leases, and carries the event bus; [`InProcess`] is the embedded one.
//! [`placement`] decides, purely, which node a connection goes to; [`NodeClient`] calls the node that was chosen;
//! [`listen`] and [`tls`] are how every service of ours is reached. Invariant: nothing here holds media, and nothing
//! that carries media waits for anything here.

mod clock;
mod directory;
mod in_process;
pub mod listen;
mod node_api;
pub mod placement;
pub mod tls;

pub use clock::{Clock, SystemClock};
pub use directory::{
    Amendment, ConnectionRecord, Directory, Epoch, Error, IceSession, Known, NODE_LEASE, Origin, Received, Subscription,
};
pub use in_process::InProcess;
pub use node_api::{Here, NodeClient, NodeError, NodeEvents};
