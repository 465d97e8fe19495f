//! What a shard hears, and what it waits for: its sockets, its mailbox, its TCP connections.

use crate::mailbox::{Inbox, Mail};
use crate::socket::Incoming;
use crate::tcp::{Accepted, Streams};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use sfu_core::{Input, Shard, TransportAddress};
use std::net::UdpSocket;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Batches of datagrams that are received before something is sent.
const BATCHES_PER_TURN: usize = 4;
/// No further batch is received once those before took so long to see to: handshakes do.
const LONGEST_RECEIVING: Duration = Duration::from_millis(1);
/// What can wait is read before the thread sleeps; where it does not come to that, so often.
const DEFERRED_EVERY: Duration = Duration::from_millis(40);

/// Of one shard. Its functions break when the thread is to stop.
pub(super) struct Ears {
    inbox: Inbox,
    urgent: Incoming,
    /// For what can wait; none where that comes in with all else.
    deferred: Option<Incoming>,
    /// When that was read last.
    read: Instant,
    /// Whether there may have been more then.
    has_more: bool,
}

impl Ears {
    pub(super) fn new(inbox: Inbox, urgent: Incoming, deferred: Option<UdpSocket>) -> std::io::Result<Self> {
        let deferred = deferred.map(|socket| Incoming::new(Arc::new(socket))).transpose()?;
        Ok(Self { inbox, urgent, deferred, read: Instant::now(), has_more: false })
    }

    /// Waits for a datagram, for mail, or for the core's time; with nobody connected, long enough to renew the figures. A
    /// bell that rang is hushed, before the mail is read.
    pub(super) fn wait(&self, core: &Shard, streams: &Streams) -> std::io::Result<()> {
        let until =
            core.poll_latest().map_or(Duration::from_secs(1), |at| at.saturating_duration_since(Instant::now()));
        let deferred = self.deferred.as_ref().filter(|_| core.expects_checks()).unwrap_or(&self.urgent);
        let mut fds = [self.urgent.fd(), deferred.fd(), streams.fd(), self.inbox.bell()]
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match ppoll(&mut fds, Some(TimeSpec::from(until)), None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if fds[3].any() == Some(true) {
            self.inbox.hush();
        }
        Ok(())
    }

    /// Takes in what is urgent.
    pub(super) fn hear(&mut self, core: &mut Shard, streams: &mut Streams) -> ControlFlow<()> {
        take_in(core, &mut self.urgent, &self.inbox, streams).map_continue(|_| ())
    }

    /// Whether it is time for what can wait: there is nothing else to do, or somebody is to connect, or it was long ago. What
    /// was begun is read to its end, each turn its share: a node with too much to send needs nothing more than its reports.
    pub(super) fn are_deferred_due(&self, core: &Shard) -> bool {
        !core.has_backlog() || self.has_more || core.expects_checks() || self.read.elapsed() > DEFERRED_EVERY
    }

    /// Takes in what can wait.
    pub(super) fn hear_deferred(&mut self, core: &mut Shard, streams: &mut Streams) -> ControlFlow<()> {
        self.read = Instant::now();
        if let Some(deferred) = &mut self.deferred {
            self.has_more = take_in(core, deferred, &self.inbox, streams)?;
        }
        ControlFlow::Continue(())
    }

    /// Whether some of what can wait may not have been taken in yet.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }
}

/// Takes in what has come to a socket, as much as one turn may. True when there may be more.
fn take_in(core: &mut Shard, incoming: &mut Incoming, inbox: &Inbox, streams: &mut Streams) -> ControlFlow<(), bool> {
    let begun = Instant::now();
    for _ in 0..BATCHES_PER_TURN {
        let has_more = incoming.receive().unwrap_or_else(|error| {
            tracing::debug!(%error, "receiving failed");
            false
        });
        let now = Instant::now();
        // Mail after receiving, before the datagrams are looked at: a peer may send as soon as it has its answer, and by
        // then its mail is in the box.
        read_mail(core, inbox, streams, now)?;
        for datagram in incoming.datagrams() {
            core.handle(now, datagram);
        }
        if !has_more {
            return ControlFlow::Continue(false);
        }
        if begun.elapsed() > LONGEST_RECEIVING {
            break;
        }
    }
    ControlFlow::Continue(true)
}

fn read_mail(core: &mut Shard, inbox: &Inbox, streams: &mut Streams, now: Instant) -> ControlFlow<()> {
    while let Some(mail) = inbox.next() {
        let input = match mail {
            Mail::Connect(peer) => Input::Connect(peer),
            Mail::Change(change) => Input::Change(change),
            Mail::Restart { peer, ice } => Input::Restart { peer, ice },
            Mail::Disconnect(id) => Input::Disconnect(id),
            Mail::FromShard(message) => Input::FromShard(message),
            Mail::Accepted(accepted) => {
                adopt(core, streams, accepted, now);
                continue;
            }
            Mail::Stop => return ControlFlow::Break(()),
        };
        core.handle(now, input);
    }
    ControlFlow::Continue(())
}

/// Takes a connection in if its first datagram proves what its peer has to.
fn adopt(core: &mut Shard, streams: &mut Streams, accepted: Accepted, now: Instant) {
    let address = TransportAddress::tcp(accepted.from);
    core.handle(now, Input::Datagram { from: address, bytes: &accepted.first, waited: Duration::ZERO });
    if core.knows(address)
        && let Err(error) = streams.adopt(accepted)
    {
        tracing::warn!(%error, "a TCP connection cannot be kept");
    }
}
