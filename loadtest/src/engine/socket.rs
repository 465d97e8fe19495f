//! A virtual peer's UDP socket: receive times by the kernel, so that a busy harness measures no delay of its own.

use super::Network;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{setsockopt, sockopt};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

/// Receive buffer that is asked for, in bytes: a burst of a cached GOP while the thread looks elsewhere.
const BUFFER: usize = 1 << 20;
/// Datagrams, or runs of them, that are received in one call.
pub(super) const BATCH: usize = 4;
/// Longest run that the kernel hands over, in bytes.
const LONGEST_RUN: usize = 65_536;
/// Packets of a train: where sending gets no cheaper.
const MAX_TRAIN: usize = 16;

/// See the module.
pub struct RawSocket {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// Where datagrams are received to; one for all sockets.
pub(super) struct Buffers {
    bytes: [Vec<u8>; BATCH],
    metas: [RecvMeta; BATCH],
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self { bytes: std::array::from_fn(|_| vec![0; LONGEST_RUN]), metas: [RecvMeta::default(); BATCH] }
    }
}

impl RawSocket {
    /// A socket on the address that leads to `server`, or another one of this machine, on a free port. It is not
    /// connected: like a browser's, it takes what comes and leaves it to SRTP to tell.
    pub fn towards(server: SocketAddr, network: Network) -> io::Result<Self> {
        let from = network.from.map_or_else(|| address_towards(server), Ok)?;
        let socket = UdpSocket::bind((from, 0))?;
        let state = UdpSocketState::new((&socket).into())?;
        // Smaller is no failure: the system's limit decides.
        let _ = setsockopt(&socket, sockopt::RcvBuf, &BUFFER);
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        if !network.gro {
            setsockopt(&socket, sockopt::UdpGroSegment, &false)?;
        }
        Ok(Self { socket, state })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Where it receives.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) fn send(&self, to: SocketAddr, datagram: &[u8]) {
        // What does not leave is lost, as on the way; the protocols repeat what matters.
        let _ = self.socket.send_to(datagram, to);
    }

    /// Sends packets in trains: runs of equal length, the last of each may be shorter.
    pub(super) fn send_trains(&self, to: SocketAddr, packets: &[Vec<u8>], train: &mut Vec<u8>) {
        let mut rest = packets;
        while let Some(first) = rest.first() {
            let segment = first.len();
            let full = rest.iter().take(MAX_TRAIN).take_while(|packet| packet.len() == segment).count();
            let has_shorter = full < MAX_TRAIN && rest.get(full).is_some_and(|packet| packet.len() < segment);
            let (run, after) = rest.split_at(full + usize::from(has_shorter));
            train.clear();
            run.iter().for_each(|packet| train.extend_from_slice(packet));
            let segment_size = (run.len() > 1).then_some(segment);
            let transmit = Transmit { destination: to, ecn: None, contents: train, segment_size, src_ip: None };
            let _ = self.state.try_send((&self.socket).into(), &transmit);
            rest = after;
        }
    }

    /// Hands over what is there, at most one batch, with the Unix microseconds when the kernel got it.
    pub(super) fn receive(&self, buffers: &mut Buffers, mut take: impl FnMut(&[u8], Option<u64>)) {
        let mut slices = buffers.bytes.each_mut().map(|buffer| IoSliceMut::new(buffer));
        let Ok(count) = self.state.recv((&self.socket).into(), &mut slices, &mut buffers.metas) else { return };
        for (meta, bytes) in buffers.metas[..count].iter().zip(&buffers.bytes) {
            let unix = meta.timestamp.map(|at| at.as_micros() as u64);
            for datagram in bytes[..meta.len].chunks(meta.stride.max(1)) {
                take(datagram, unix);
            }
        }
    }
}

fn address_towards(server: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let probe = UdpSocket::bind((any, 0))?;
    probe.connect(server)?;
    Ok(probe.local_addr()?.ip())
}

/// Lets this process have as many sockets as the system allows; returns how many.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}
