//! A shard's UDP socket: receives many datagrams a call (GRO), sends many trains a call (`sendmmsg` with UDP GSO).
//!
//! Invariant: a full socket drops whole trains, and each is counted. Where the network card refuses GSO, the socket goes
//! on without it; a train that the kernel refuses for its own sake changes nothing for other trains.

pub(crate) mod deferred;
#[cfg(test)]
mod tests;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg, setsockopt, sockopt};
use quinn_udp::{RecvMeta, UdpSocketState};
use sfu_core::{Arena, Input, Train, TransportAddress};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Datagrams, or runs of them, that are received in one call.
const RECEIVE_BATCH: usize = 8;
/// Longest run of datagrams that the kernel hands over.
const RECEIVE_BUFFER: usize = 65_536;
/// No datagram is said to have waited for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Trains that are sent in one call.
const SEND_BATCH: usize = 16;
/// A socket buffer of which no warning is due, in bytes.
const ENOUGH_BUFFER: usize = 4 << 20;

/// What left by UDP, or by TCP, counted since the shard began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) trains_dropped: u64,
    pub(crate) bytes_out: u64,
}

/// The receiving side.
pub(crate) struct Incoming {
    socket: Arc<UdpSocket>,
    state: UdpSocketState,
    buffers: [Vec<u8>; RECEIVE_BATCH],
    metas: [RecvMeta; RECEIVE_BATCH],
    received: usize,
    /// When they were received, since the Unix epoch.
    read: Duration,
}

/// The sending side.
pub(crate) struct Outgoing {
    socket: Arc<UdpSocket>,
    plain: MultiHeaders<SockaddrStorage>,
    segmented: MultiHeaders<SockaddrStorage>,
    has_gso: bool,
    pub(crate) counters: Counters,
}

/// The address to bind to instead of this one: the same, but IPv4's where `::` is asked of a kernel without IPv6.
pub(crate) fn bindable(address: IpAddr) -> io::Result<IpAddr> {
    bindable_if(address, Socket::new(Domain::for_address((address, 0).into()), Type::DGRAM, Some(Protocol::UDP)).err())
}

fn bindable_if(address: IpAddr, refused: Option<io::Error>) -> io::Result<IpAddr> {
    match refused {
        None => Ok(address),
        Some(e)
            if e.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32)
                && address.is_ipv6()
                && address.is_unspecified() =>
        {
            tracing::warn!("this kernel has no IPv6; media is bound to 0.0.0.0 instead of ::");
            Ok(Ipv4Addr::UNSPECIFIED.into())
        }
        Some(e) => Err(e),
    }
}

/// Says which system limits are to be raised where the kernel granted smaller buffers than were asked for and than
/// bursts of keyframes need.
pub(crate) fn warn_of_small_buffers(socket: &UdpSocket, asked: usize) -> io::Result<()> {
    let socket = SockRef::from(socket);
    let buffers =
        [(socket.send_buffer_size()?, "net.core.wmem_max"), (socket.recv_buffer_size()?, "net.core.rmem_max")];
    for (size, sysctl) in buffers {
        // The kernel doubles what it grants, for its own bookkeeping (socket(7)).
        let granted = size / 2;
        if granted < asked.min(ENOUGH_BUFFER) {
            tracing::warn!(granted, asked, sysctl, "a small UDP buffer loses packets in bursts; raise this sysctl");
        }
    }
    Ok(())
}

/// Binds a UDP socket with large buffers.
pub(crate) fn bind(addr: SocketAddr, buffer: usize) -> io::Result<UdpSocket> {
    let socket = unbound(addr, buffer)?;
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

/// The same, not bound yet.
fn unbound(addr: SocketAddr, buffer: usize) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // The forced variants pass the system's limit but need a privilege; without it the limit decides.
    if setsockopt(&socket, sockopt::SndBufForce, &buffer).is_err() {
        socket.set_send_buffer_size(buffer)?;
    }
    if setsockopt(&socket, sockopt::RcvBufForce, &buffer).is_err() {
        socket.set_recv_buffer_size(buffer)?;
    }
    Ok(socket)
}

/// Both sides of a bound socket. To be called on the thread that uses them.
pub(crate) fn split(socket: UdpSocket) -> io::Result<(Incoming, Outgoing)> {
    let socket = Arc::new(socket);
    let incoming = Incoming::new(Arc::clone(&socket))?;
    let outgoing = Outgoing {
        has_gso: incoming.state.max_gso_segments() > 1,
        socket: Arc::clone(&socket),
        plain: MultiHeaders::preallocate(SEND_BATCH, None),
        segmented: MultiHeaders::preallocate(SEND_BATCH, Some(nix::cmsg_space!(u16))),
        counters: Counters::default(),
    };
    Ok((incoming, outgoing))
}

impl Incoming {
    /// Of a bound socket. To be called on the thread that uses it.
    pub(crate) fn new(socket: Arc<UdpSocket>) -> io::Result<Self> {
        let state = UdpSocketState::new((&*socket).into())?;
        let buffers = std::array::from_fn(|_| vec![0; RECEIVE_BUFFER]);
        Ok(Self {
            socket,
            state,
            buffers,
            metas: [RecvMeta::default(); RECEIVE_BATCH],
            received: 0,
            read: Duration::ZERO,
        })
    }

    /// What to wait on.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Receives what is there, at most one batch. True when there may be more.
    pub(crate) fn receive(&mut self) -> io::Result<bool> {
        let mut slices = self.buffers.each_mut().map(|buffer| IoSliceMut::new(buffer));
        self.received = 0;
        match self.state.recv((&*self.socket).into(), &mut slices, &mut self.metas) {
            Ok(received) => self.received = received,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        self.read = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(self.received == RECEIVE_BATCH)
    }

    /// The datagrams of the last batch. Those from port 0 are left out: nothing can be sent there.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = Input<'_>> {
        let read = self.read;
        let batch = self.metas.iter().zip(&self.buffers).take(self.received);
        batch.filter(|(meta, _)| meta.addr.port() != 0).flat_map(move |(meta, buffer)| {
            // The system's clock can be set meanwhile.
            let waited = meta.timestamp.map_or(Duration::ZERO, |came| read.saturating_sub(came).min(LONGEST_WAIT));
            let from = TransportAddress::udp(meta.addr);
            buffer[..meta.len].chunks(meta.stride.max(1)).map(move |bytes| Input::Datagram { from, bytes, waited })
        })
    }
}

impl Outgoing {
    /// Sends all trains. Trains of the same kind that follow each other share a system call.
    pub(crate) fn send(&mut self, arena: &Arena, trains: &[Train]) {
        let mut rest = trains;
        while let Some(first) = rest.first() {
            let segment = self.segment_of(first);
            let same = rest.iter().take(SEND_BATCH).take_while(|t| self.segment_of(t) == segment).count();
            let (group, after) = rest.split_at(same);
            self.send_group(arena, group, segment);
            rest = after;
        }
    }

    /// The segment length to ask of the kernel, for trains of more than one packet.
    fn segment_of(&self, train: &Train) -> Option<u16> {
        (self.has_gso && train.bytes.len() > train.segment).then_some(train.segment as u16)
    }

    fn send_group(&mut self, arena: &Arena, group: &[Train], segment: Option<u16>) {
        if segment.is_none() && group.iter().any(|t| t.bytes.len() > t.segment) {
            return self.send_apart(arena, group);
        }
        let mut rest = group;
        while !rest.is_empty() {
            match self.send_some(arena, rest, segment) {
                Ok(sent) => {
                    self.counters.bytes_out += rest[..sent].iter().map(|t| t.bytes.len() as u64).sum::<u64>();
                    rest = &rest[sent..];
                }
                Err(Errno::EINTR) => {}
                // udp(7): the card cannot compute the checksums that segmentation needs.
                Err(Errno::EIO) if segment.is_some() => {
                    tracing::warn!("the network refuses UDP segmentation offload; sending without it");
                    self.has_gso = false;
                    return self.send_apart(arena, rest);
                }
                // Of the first train alone: its destination, or its path's MTU.
                Err(Errno::EINVAL | Errno::EMSGSIZE) if segment.is_some() => {
                    self.send_apart(arena, &rest[..1]);
                    rest = &rest[1..];
                }
                Err(_) => {
                    self.counters.trains_dropped += 1;
                    rest = &rest[1..];
                }
            }
        }
    }

    /// Sends every packet as a datagram of its own.
    fn send_apart(&mut self, arena: &Arena, group: &[Train]) {
        for train in group {
            let ends = train.bytes.clone().step_by(train.segment).skip(1).chain([train.bytes.end]);
            let starts = train.bytes.clone().step_by(train.segment);
            let packets: Vec<Train> = starts
                .zip(ends)
                .map(|(start, end)| Train { to: train.to, bytes: start..end, segment: end - start })
                .collect();
            for chunk in packets.chunks(SEND_BATCH) {
                self.send_group(arena, chunk, None);
            }
        }
    }

    /// One system call; returns how many trains left, at least one.
    fn send_some(&mut self, arena: &Arena, trains: &[Train], segment: Option<u16>) -> nix::Result<usize> {
        let slices: [[IoSlice<'_>; 1]; SEND_BATCH] =
            std::array::from_fn(|n| [IoSlice::new(trains.get(n).map_or(&[], |train| arena.bytes(train)))]);
        let addresses: [Option<SockaddrStorage>; SEND_BATCH] =
            std::array::from_fn(|n| trains.get(n).map(|train| train.to.socket.into()));
        let (slices, addresses) = (&slices[..trains.len()], &addresses[..trains.len()]);
        let fd = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let sent = match &segment {
            None => sendmmsg(fd, &mut self.plain, slices, addresses, [], flags)?.count(),
            Some(size) => {
                let control = [ControlMessage::UdpGsoSegments(size)];
                sendmmsg(fd, &mut self.segmented, slices, addresses, control, flags)?.count()
            }
        };
        Ok(sent.max(1))
    }
}
