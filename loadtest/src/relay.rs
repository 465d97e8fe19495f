//! A UDP relay that stands between virtual peers and a media node and holds every datagram for a fixed time, both ways: a
//! network of a known delay.
//!
//! Invariant: datagrams of one direction leave in the order in which they came. Each client has a socket of its own towards
//! the server, so that the server tells them apart.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::{HashMap, VecDeque};
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
    thread: Option<JoinHandle<()>>,
}

struct Held {
    due: Instant,
    bytes: Vec<u8>,
    /// To this client, or from it to the server.
    client: SocketAddr,
    is_upward: bool,
}

struct Loop {
    socket: UdpSocket,
    server: SocketAddr,
    delay: Duration,
    clients: HashMap<SocketAddr, UdpSocket>,
    held: VecDeque<Held>,
}

impl Relay {
    /// Between whoever sends to the relay's address, which is at `listen`, and `server`; each way takes `delay` longer.
    pub fn start(listen: SocketAddr, server: SocketAddr, delay: Duration) -> io::Result<Self> {
        let socket = UdpSocket::bind(listen)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let relay = Loop { socket, server, delay, clients: HashMap::new(), held: VecDeque::new() };
        let thread = std::thread::Builder::new().name("relay".into()).spawn(move || {
            if let Err(error) = relay.run(&over) {
                tracing::error!(%error, "the relay ends");
            }
        })?;
        Ok(Self { address, is_over, thread: Some(thread) })
    }

    /// Where clients send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Loop {
    fn run(mut self, is_over: &AtomicBool) -> io::Result<()> {
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
        let until = self.held.front().map_or(LOOK, |held| held.due.saturating_duration_since(Instant::now()).min(LOOK));
        let sockets = std::iter::once(&self.socket).chain(self.clients.values());
        let mut fds: Vec<PollFd<'_>> = sockets.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        // Whole milliseconds, the last one spun away: a delay is to be exact.
        let timeout = PollTimeout::try_from(until.as_millis() as u32).unwrap_or(PollTimeout::ZERO);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn hold(&mut self, client: SocketAddr, is_upward: bool, bytes: &[u8]) {
        if self.held.len() < MAX_HELD {
            self.held.push_back(Held { due: Instant::now() + self.delay, bytes: bytes.to_vec(), client, is_upward });
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
                self.clients.insert(client, outward);
            }
            self.hold(client, true, &buffer[..len]);
        }
        Ok(())
    }

    fn hear_server(&mut self, buffer: &mut [u8]) {
        let mut heard = Vec::new();
        for (client, socket) in &self.clients {
            while let Ok(len) = socket.recv(buffer) {
                heard.push((*client, buffer[..len].to_vec()));
            }
        }
        for (client, bytes) in heard {
            self.hold(client, false, &bytes);
        }
    }

    fn pass_on(&mut self) {
        let now = Instant::now();
        while let Some(held) = self.held.pop_front_if(|held| held.due <= now) {
            // What does not leave is lost, as on the way.
            let _ = if held.is_upward {
                self.clients.get(&held.client).map(|socket| socket.send(&held.bytes))
            } else {
                Some(self.socket.send_to(&held.bytes, held.client))
            };
        }
    }
}
