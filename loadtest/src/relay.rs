//! A UDP relay that stands between peers and a media node and does to every datagram what a network would: the lab for
//! what [`crate::impairment`] describes.
//!
//! Invariant: datagrams of one direction leave in the order in which they came. Each client has a socket of its own towards
//! the server, so that the server tells them apart.

use crate::impairment::{Fate, Impairment, Line, Traffic};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Most clients; what further ones send is dropped.
const MAX_CLIENTS: usize = 1024;
/// Most datagrams that are held at a time; what comes above is dropped, as by a router.
const MAX_HELD: usize = 100_000;
/// Longest datagram, in bytes.
const LONGEST: usize = 2048;
/// How often it looks whether it is to stop, while nothing comes.
const LOOK: Duration = Duration::from_millis(50);

/// A running relay. It ends with this.
pub struct Relay {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Passed>>,
}

/// What a relay passed on, by direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// From clients to the server.
    pub up: Traffic,
    /// From the server to clients.
    pub down: Traffic,
}

/// Ordered by when it leaves, then by when it came.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    due: Instant,
    number: u64,
    /// To this client, or from it to the server.
    client: SocketAddr,
    is_upward: bool,
    bytes: Vec<u8>,
}

struct Client {
    outward: UdpSocket,
    /// Index of its line.
    line: usize,
}

/// A line, and when its time began.
struct Laid {
    began: Instant,
    line: Line,
}

struct Loop {
    socket: UdpSocket,
    server: SocketAddr,
    network: Impairment,
    clients: HashMap<SocketAddr, Client>,
    lines: Vec<Laid>,
    held: BinaryHeap<Reverse<Held>>,
    /// Datagrams that have come.
    came: u64,
}

impl Relay {
    /// Between whoever sends to the relay's address, which is at `listen`, and `server`, over such a network.
    pub fn start(listen: SocketAddr, server: SocketAddr, network: Impairment) -> io::Result<Self> {
        let socket = UdpSocket::bind(listen)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let (clients, lines, held) = (HashMap::new(), Vec::new(), BinaryHeap::new());
        let mut relay = Loop { socket, server, network, clients, lines, held, came: 0 };
        let thread = std::thread::Builder::new().name("relay".into()).spawn(move || {
            if let Err(error) = relay.run(&over) {
                tracing::error!(%error, "the relay ends");
            }
            relay.passed()
        })?;
        Ok(Self { address, is_over, thread: Some(thread) })
    }

    /// Where clients send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, and says what it passed on.
    pub fn end(mut self) -> Passed {
        self.stop()
    }

    fn stop(&mut self) -> Passed {
        self.is_over.store(true, Ordering::Relaxed);
        // A thread that panicked has said so.
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Loop {
    fn run(&mut self, is_over: &AtomicBool) -> io::Result<()> {
        let mut buffer = vec![0; LONGEST];
        while !is_over.load(Ordering::Relaxed) {
            self.wait()?;
            self.hear_clients(&mut buffer)?;
            self.hear_server(&mut buffer);
            self.pass_on();
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        let until =
            self.held.peek().map_or(LOOK, |Reverse(held)| held.due.saturating_duration_since(Instant::now()).min(LOOK));
        let sockets = std::iter::once(&self.socket).chain(self.clients.values().map(|client| &client.outward));
        let mut fds: Vec<PollFd<'_>> = sockets.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        // Whole milliseconds, the last one spun away: a delay is to be exact.
        let timeout = PollTimeout::try_from(until.as_millis() as u32).unwrap_or(PollTimeout::ZERO);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What all lines did.
    fn passed(&self) -> Passed {
        let mut passed = Passed::default();
        for Laid { line, .. } in &self.lines {
            passed.up += line.up.traffic();
            passed.down += line.down.traffic();
        }
        passed
    }

    /// The line of a client that is new.
    fn line(&mut self) -> usize {
        if self.lines.is_empty() || !self.network.shared {
            self.lines.push(Laid { began: Instant::now(), line: self.network.line(self.lines.len() as u64) });
        }
        self.lines.len() - 1
    }

    fn hold(&mut self, client: SocketAddr, is_upward: bool, bytes: &[u8]) {
        let Some(line) = self.clients.get(&client).map(|known| known.line) else { return };
        let Laid { began, line } = &mut self.lines[line];
        let link = if is_upward { &mut line.up } else { &mut line.down };
        let fate = link.pass(began.elapsed(), bytes.len());
        if let Fate::Arrives(at) = fate
            && self.held.len() < MAX_HELD
        {
            self.came += 1;
            let (due, number) = (*began + at, self.came);
            self.held.push(Reverse(Held { due, number, client, is_upward, bytes: bytes.to_vec() }));
        }
    }

    fn hear_clients(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        while let Ok((len, client)) = self.socket.recv_from(buffer) {
            if !self.clients.contains_key(&client) {
                if self.clients.len() >= MAX_CLIENTS {
                    continue;
                }
                let any =
                    if self.server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                let outward = UdpSocket::bind(SocketAddr::new(any, 0))?;
                outward.connect(self.server)?;
                outward.set_nonblocking(true)?;
                let line = self.line();
                self.clients.insert(client, Client { outward, line });
            }
            self.hold(client, true, &buffer[..len]);
        }
        Ok(())
    }

    fn hear_server(&mut self, buffer: &mut [u8]) {
        let mut heard = Vec::new();
        for (client, Client { outward, .. }) in &self.clients {
            while let Ok(len) = outward.recv(buffer) {
                heard.push((*client, buffer[..len].to_vec()));
            }
        }
        for (client, bytes) in heard {
            self.hold(client, false, &bytes);
        }
    }

    fn pass_on(&mut self) {
        let now = Instant::now();
        while self.held.peek().is_some_and(|Reverse(held)| held.due <= now) {
            let Some(Reverse(held)) = self.held.pop() else { break };
            // What does not leave is lost, as on the way.
            let _ = if held.is_upward {
                self.clients.get(&held.client).map(|client| client.outward.send(&held.bytes))
            } else {
                Some(self.socket.send_to(&held.bytes, held.client))
            };
        }
    }
}
