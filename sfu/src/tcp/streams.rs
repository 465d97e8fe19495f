//! A shard's TCP connections, read and written on its own thread.
//!
//! Invariant: nothing waits for a slow connection. What the kernel does not take at once is dropped by whole trains, as
//! a full UDP socket does, and counted; only a train that left in part is seen to its end. A connection never holds more
//! than one train to be sent and one frame to be read.

use super::{Accepted, HEADER};
use crate::socket::Counters;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::SockRef;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use tokio::sync::OwnedSemaphorePermit;

/// What the kernel keeps of one connection to be sent: a keyframe's burst, and no more, for it delays what comes after.
const SEND_BUFFER: usize = 128 * 1024;
/// Longest frame that is read, in bytes: of what peers send, none is longer than a packet.
const MAX_FRAME: usize = 2048;
/// Bytes read in one call.
const READ: usize = 16 * 1024;
/// Connections that are seen to in one turn.
const EVENTS: usize = 64;

/// See the module.
pub(crate) struct Streams {
    epoll: Epoll,
    open: HashMap<u64, Stream>,
    by_address: HashMap<SocketAddr, u64>,
    next: u64,
    /// Of those that were closed since they were last taken.
    closed: Vec<SocketAddr>,
    read: Vec<u8>,
    frames: Vec<u8>,
    pub(crate) counters: Counters,
}

struct Stream {
    socket: TcpStream,
    from: SocketAddr,
    /// It is one of so many.
    _place: OwnedSemaphorePermit,
    /// The beginning of a frame.
    partial: Vec<u8>,
    /// The rest of a train that left in part.
    unsent: Vec<u8>,
}

impl Streams {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            open: HashMap::new(),
            by_address: HashMap::new(),
            next: 0,
            closed: Vec::new(),
            read: vec![0; READ],
            frames: Vec::new(),
            counters: Counters::default(),
        })
    }

    /// What to wait on.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Takes a connection, which does not block.
    pub(crate) fn adopt(&mut self, accepted: Accepted) -> io::Result<()> {
        let Accepted { socket, from, place, .. } = accepted;
        socket.set_nodelay(true)?;
        SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER)?;
        let number = self.next;
        self.next += 1;
        self.epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
        if let Some(older) = self.by_address.insert(from, number) {
            self.open.remove(&older);
        }
        self.open.insert(number, Stream { socket, from, _place: place, partial: Vec::new(), unsent: Vec::new() });
        Ok(())
    }

    /// Reads what is there, at most one turn's, and hands every datagram to `each`; sends what had to wait.
    pub(crate) fn turn(&mut self, mut each: impl FnMut(SocketAddr, &[u8])) -> io::Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let mut events = [EpollEvent::empty(); EVENTS];
        let ready = self.epoll.wait(&mut events, EpollTimeout::ZERO)?;
        for event in &events[..ready] {
            let Some(stream) = self.open.get_mut(&event.data()) else { continue };
            let flags = event.events();
            let mut seen_to = Ok(());
            if flags.contains(EpollFlags::EPOLLOUT) {
                seen_to = stream.send_rest(&self.epoll, event.data());
            }
            if seen_to.is_ok() && !(flags - EpollFlags::EPOLLOUT).is_empty() {
                seen_to = stream.receive(&mut self.read, &mut each);
            }
            if let Err(error) = seen_to {
                tracing::debug!(from = %stream.from, %error, "a TCP connection ends");
                self.close(event.data());
            }
        }
        Ok(())
    }

    /// Sends a train: bytes that are packets of `segment` bytes, but the last.
    pub(crate) fn send(&mut self, to: SocketAddr, bytes: &[u8], segment: usize) {
        let Some((number, stream)) = self.by_address.get(&to).and_then(|n| Some((*n, self.open.get_mut(n)?))) else {
            self.counters.trains_dropped += 1;
            return;
        };
        self.frames.clear();
        for packet in bytes.chunks(segment) {
            // A packet is no longer than a train, whose length fits.
            self.frames.extend((packet.len() as u16).to_be_bytes());
            self.frames.extend(packet);
        }
        match stream.send(&self.frames, &self.epoll, number) {
            Ok(true) => self.counters.bytes_out += self.frames.len() as u64,
            Ok(false) => self.counters.trains_dropped += 1,
            Err(error) => {
                tracing::debug!(%to, %error, "a TCP connection ends");
                self.counters.trains_dropped += 1;
                self.close(number);
            }
        }
    }

    /// Closes those whose address `is_known` denies.
    pub(crate) fn retain(&mut self, is_known: impl Fn(SocketAddr) -> bool) {
        self.open.retain(|_, stream| is_known(stream.from));
        self.by_address.retain(|_, number| self.open.contains_key(number));
    }

    fn close(&mut self, number: u64) {
        if let Some(stream) = self.open.remove(&number)
            && self.by_address.get(&stream.from) == Some(&number)
        {
            self.by_address.remove(&stream.from);
            self.closed.push(stream.from);
        }
    }

    /// The addresses of connections that are over.
    pub(crate) fn take_closed(&mut self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.closed)
    }
}

impl Stream {
    /// Whether the train leaves: not while the one before is still waiting, nor where the kernel takes nothing of it.
    fn send(&mut self, frames: &[u8], epoll: &Epoll, number: u64) -> io::Result<bool> {
        if !self.unsent.is_empty() {
            return Ok(false);
        }
        let sent = write(&mut self.socket, frames)?;
        if sent > 0 && sent < frames.len() {
            self.unsent.extend(&frames[sent..]);
            self.watch(epoll, number, EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT)?;
        }
        Ok(sent > 0)
    }

    fn send_rest(&mut self, epoll: &Epoll, number: u64) -> io::Result<()> {
        let sent = write(&mut self.socket, &self.unsent)?;
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
            self.watch(epoll, number, EpollFlags::EPOLLIN)?;
        }
        Ok(())
    }

    fn watch(&self, epoll: &Epoll, number: u64, flags: EpollFlags) -> io::Result<()> {
        Ok(epoll.modify(&self.socket, &mut EpollEvent::new(flags, number))?)
    }

    /// One read: what more there is, the next turn reads.
    fn receive(&mut self, buffer: &mut [u8], each: &mut impl FnMut(SocketAddr, &[u8])) -> io::Result<()> {
        let read = match self.socket.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return Ok(()),
            Err(e) => return Err(e),
        };
        self.partial.extend(&buffer[..read]);
        let mut rest = self.partial.as_slice();
        while let Some((header, after)) = rest.split_first_chunk::<HEADER>() {
            let length = usize::from(u16::from_be_bytes(*header));
            if length > MAX_FRAME {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let Some((datagram, after)) = after.split_at_checked(length) else { break };
            each(self.from, datagram);
            rest = after;
        }
        let read = self.partial.len() - rest.len();
        self.partial.drain(..read);
        Ok(())
    }
}

/// How many bytes the kernel takes now.
fn write(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match socket.write(bytes) {
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
        other => other,
    }
}
