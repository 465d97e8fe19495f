//! The thread that virtual peers live on: a socket each, one epoll for all, trains received whole (GRO), frames sent as
//! trains (GSO).
//!
//! Invariant: everything measured is in the [`Measures`] that are taken with [`Handle::take`], once.

mod socket;
mod thread;

use crate::client::Client;
use crate::measure::Measures;
use crate::profile::Film;
use crate::viewer::Begun;
use nix::sys::eventfd::{EfdFlags, EventFd};
pub use socket::{RawSocket, raise_descriptor_limit};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// A virtual peer of an engine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct PeerId(pub u32);

/// What a new peer is to do.
pub enum Role {
    /// Watch.
    Viewer {
        /// What its slots show, by camera number.
        cameras: Vec<u32>,
        /// When its join began.
        begun: Begun,
        /// What made payloads hold is checked.
        is_made: bool,
    },
    /// Send a film.
    Publisher {
        /// Number of its camera.
        camera: u32,
        /// What it sends.
        film: Arc<Film>,
    },
}

/// What happened to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A viewer has a picture, a publisher has sent a keyframe.
    Ready(PeerId),
    /// It never connected.
    NeverConnected(PeerId),
    /// Its handshake failed.
    Failed(PeerId),
    /// The server ended it.
    Closed(PeerId),
}

enum Command {
    Add { id: PeerId, client: Box<Client>, role: Role },
    Switch { id: PeerId, slot: usize, camera: u32, told: oneshot::Sender<()> },
    Remove(PeerId),
    Take(oneshot::Sender<Measures>),
    Addresses(oneshot::Sender<Vec<SocketAddr>>),
    Silence(bool),
    Stop,
}

/// How peers are connected to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Runs of packets are received at a time (GRO), else each packet by itself.
    pub gro: bool,
    /// The address that sockets are bound to, in place of the one that leads to the server.
    pub from: Option<IpAddr>,
    /// Where media is sent, in place of the candidate of the server's answer: a relay.
    pub via: Option<SocketAddr>,
}

impl Default for Network {
    fn default() -> Self {
        Self { gro: true, from: None, via: None }
    }
}

/// Reaches an engine's thread. The thread ends with it.
pub struct Handle {
    commands: Sender<Command>,
    bell: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

/// The engine has ended.
#[derive(Debug, thiserror::Error)]
#[error("the thread of the virtual peers has ended; the log says why")]
pub struct Gone;

impl Handle {
    /// Starts a thread. What happens to its peers goes to `events`.
    pub fn start(name: &str, network: Network, events: mpsc::UnboundedSender<Event>) -> io::Result<Self> {
        let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
        let (commands, inbox) = channel();
        let engine = thread::Engine::new(network, events, inbox, Arc::clone(&bell))?;
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Err(error) = engine.run() {
                tracing::error!(%error, "the thread of the virtual peers ends");
            }
        })?;
        Ok(Self { commands, bell, thread: Some(thread) })
    }

    fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            // A full counter means that the bell rings already.
            let _ = self.bell.write(1);
        }
    }

    /// A peer begins: its first ICE check leaves at once.
    pub fn add(&self, id: PeerId, client: Client, role: Role) {
        self.send(Command::Add { id, client: Box::new(client), role });
    }

    /// A viewer's slot is to show another camera, as from now. Once this returns the server may be asked: were it asked
    /// before, frames it sends at once could find a viewer that does not expect them yet.
    pub async fn switch(&self, id: PeerId, slot: usize, camera: u32) -> Result<(), Gone> {
        let (told, receiver) = oneshot::channel();
        self.send(Command::Switch { id, slot, camera, told });
        receiver.await.map_err(|_| Gone)
    }

    /// A peer is to go, without a word.
    pub fn remove(&self, id: PeerId) {
        self.send(Command::Remove(id));
    }

    /// Publishers pause, or go on.
    pub fn silence(&self, silent: bool) {
        self.send(Command::Silence(silent));
    }

    /// What was measured since it was asked last.
    pub async fn take(&self) -> Result<Measures, Gone> {
        let (sender, receiver) = oneshot::channel();
        self.send(Command::Take(sender));
        receiver.await.map_err(|_| Gone)
    }

    /// Where its peers receive.
    pub async fn addresses(&self) -> Result<Vec<SocketAddr>, Gone> {
        let (sender, receiver) = oneshot::channel();
        self.send(Command::Addresses(sender));
        receiver.await.map_err(|_| Gone)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// The wall clock in Unix microseconds: what stamps and the kernel's receive times count in.
pub fn unix_micros() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}
