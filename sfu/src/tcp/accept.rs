//! Takes connections in: the first frame of each says which shard it is for.
//!
//! Invariant: who has not said so is given little time and little memory, and one network cannot keep the others out.

use super::HEADER;
use crate::mailbox::{Mail, Mailbox};
use sfu_core::ice::{BindingRequest, MAX_MESSAGE};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that the kernel keeps until they are accepted.
const LISTEN_BACKLOG: i32 = 1024;
/// How long a connection may take to say whom it is for.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// Most connections that have not said so yet ...
const MAX_STRANGERS: usize = 1024;
/// ... and of one network: an IPv4 address, or an IPv6 /48.
const MAX_STRANGERS_OF_ONE: usize = 32;
/// How long nothing is accepted after the system refused: it is out of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection, and the first datagram that came in it.
pub(crate) struct Accepted {
    pub(crate) socket: TcpStream,
    pub(crate) from: SocketAddr,
    pub(crate) first: Vec<u8>,
    /// It is one of so many.
    pub(crate) place: OwnedSemaphorePermit,
}

/// Binds the node's port.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A node that is started again finds its port still held by connections that linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

/// Accepts for as long as it is polled, so many at a time, and hands each connection to its shard.
pub(crate) async fn accept(listener: TcpListener, shards: Vec<Mailbox>, most: usize) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "no TCP connections are taken"),
    };
    let (shards, strangers, places) = (Arc::new(shards), Strangers::default(), Arc::new(Semaphore::new(most)));
    loop {
        match listener.accept().await {
            Ok((socket, from)) => {
                let place = Arc::clone(&places).try_acquire_owned().ok();
                if let Some((place, stranger)) = place.zip(strangers.admit(from.ip())) {
                    tokio::spawn(introduce(socket, from, Arc::clone(&shards), place, stranger));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "accepting failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn introduce(
    socket: tokio::net::TcpStream,
    from: SocketAddr,
    shards: Arc<Vec<Mailbox>>,
    place: OwnedSemaphorePermit,
    _counted: Stranger,
) {
    let read = tokio::time::timeout(INTRODUCTION, first_frame(socket)).await;
    let Ok(Ok((socket, first))) = read else { return };
    let shard = BindingRequest::read(&first).and_then(|request| request.shard());
    match shard.and_then(|shard| shards.get(usize::from(shard.0))) {
        Some(mailbox) => mailbox.send(Mail::Accepted(Accepted { socket, from, first, place })),
        None => tracing::debug!(%from, "a TCP connection named no shard"),
    }
}

async fn first_frame(mut socket: tokio::net::TcpStream) -> io::Result<(TcpStream, Vec<u8>)> {
    let mut header = [0; HEADER];
    socket.read_exact(&mut header).await?;
    let length = usize::from(u16::from_be_bytes(header));
    if length > MAX_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut first = vec![0; length];
    socket.read_exact(&mut first).await?;
    Ok((socket.into_std()?, first))
}

/// Who has one IPv6 address has a /64, and often the /48 around it (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Connections that have not said yet whom they are for, by their networks.
#[derive(Clone, Default)]
pub(super) struct Strangers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One of them.
pub(super) struct Stranger {
    all: Strangers,
    from: IpAddr,
}

impl Strangers {
    /// Counts one more until it is dropped; `None` where there are too many.
    pub(super) fn admit(&self, from: IpAddr) -> Option<Stranger> {
        let from = network(from);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = all.get(&from).copied().unwrap_or_default();
        if of_one >= MAX_STRANGERS_OF_ONE || all.values().sum::<usize>() >= MAX_STRANGERS {
            return None;
        }
        all.insert(from, of_one + 1);
        Some(Stranger { all: self.clone(), from })
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.from);
            }
        }
    }
}
