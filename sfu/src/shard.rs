//! A shard's thread: feeds the core from socket, mailbox and clock, and does what the core says.

use crate::mailbox::{Inbox, Mail, Mailbox};
use crate::socket::{self, Incoming, Outgoing};
use crate::tcp::{Accepted, Streams};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use sfu_core::{Arena, Input, Notice, Output, Shard, ShardId, Train, Transport, TransportAddress};
use std::net::UdpSocket;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// Send buffer that the core seals into: small enough to stay in the second-level cache.
const ARENA: usize = 256 * 1024;
/// Batches of datagrams that are received before something is sent.
const BATCHES_PER_TURN: usize = 4;
/// No further batch is received once those before took so long to see to: handshakes do.
const LONGEST_RECEIVING: Duration = Duration::from_millis(1);
/// What can wait is read before the thread sleeps; where it does not come to that, so often.
const DEFERRED_EVERY: Duration = Duration::from_millis(40);
/// How often the figures are renewed.
const FIGURES_EVERY: Duration = Duration::from_millis(200);

/// What a shard did, for `/metrics`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) core: sfu_core::Counters,
    pub(crate) socket: socket::Counters,
    pub(crate) tcp: socket::Counters,
    pub(crate) tcp_connections: u64,
    pub(crate) connections: u64,
    /// CPU time of the thread.
    pub(crate) cpu: Duration,
}

/// The figures' place, shared with whoever reads them.
pub(crate) type SharedFigures = Arc<Mutex<Figures>>;

/// Everything a shard's thread needs.
pub(crate) struct Thread {
    pub(crate) id: ShardId,
    pub(crate) core: Shard,
    pub(crate) socket: UdpSocket,
    /// Where what can wait comes in, if not there, too.
    pub(crate) deferred: Option<UdpSocket>,
    pub(crate) inbox: Inbox,
    /// All shards' mailboxes, by number.
    pub(crate) shards: Vec<Mailbox>,
    pub(crate) notices: UnboundedSender<(ShardId, Notice)>,
    pub(crate) figures: SharedFigures,
}

impl Thread {
    /// Runs until told to stop.
    pub(crate) fn run(self) -> std::io::Result<()> {
        let (incoming, outgoing) = socket::split(self.socket)?;
        let deferred = self.deferred.map(|socket| Incoming::new(Arc::new(socket))).transpose()?;
        let deferred = Deferred { incoming: deferred, read: Instant::now() };
        let hands = Hands {
            id: self.id,
            outgoing,
            streams: Streams::new()?,
            arena: Arena::new(ARENA),
            trains: Vec::with_capacity(256),
            shards: self.shards,
            notices: self.notices,
        };
        turn_until_stopped(self.core, incoming, deferred, hands, &self.inbox, &self.figures)
    }
}

fn turn_until_stopped(
    mut core: Shard,
    mut incoming: Incoming,
    mut deferred: Deferred,
    mut hands: Hands,
    inbox: &Inbox,
    figures: &SharedFigures,
) -> std::io::Result<()> {
    let mut renewed = Instant::now();
    loop {
        let has_more = deferred.turn(&mut core, &mut hands);
        if !core.has_backlog() && !has_more {
            wait(&core, &incoming, &deferred, &hands.streams, inbox)?;
        }
        let begun = Instant::now();
        for _ in 0..BATCHES_PER_TURN {
            let has_more = receive(&mut incoming);
            let now = Instant::now();
            // Mail after receiving, before the datagrams are looked at: a peer may send as soon as it has its answer,
            // and by then its mail is in the box.
            if read_mail(&mut core, inbox, &mut hands.streams, now).is_break() {
                hands.send(&mut core, Duration::MAX);
                return Ok(());
            }
            for datagram in incoming.datagrams() {
                core.handle(now, datagram);
            }
            if !has_more || begun.elapsed() > LONGEST_RECEIVING {
                break;
            }
        }
        let now = Instant::now();
        let turned = hands.streams.turn(|from, bytes| {
            core.handle(now, Input::Datagram { from: TransportAddress::tcp(from), bytes, waited: Duration::ZERO });
        });
        if let Err(error) = turned {
            tracing::debug!(%error, "TCP connections were not seen to");
        }
        for from in hands.streams.take_closed() {
            core.handle(now, Input::Closed(TransportAddress::tcp(from)));
        }
        if core.has_backlog() || core.poll_timeout().is_some_and(|at| at <= now) {
            core.handle(now, Input::Timeout);
        }
        hands.send(&mut core, begun.elapsed());
        if now >= renewed + FIGURES_EVERY {
            renewed = now;
            hands.streams.retain(|from| core.knows(TransportAddress::tcp(from)));
            *figures.lock().unwrap_or_else(PoisonError::into_inner) = Figures {
                core: *core.counters(),
                socket: hands.outgoing.counters,
                tcp: hands.streams.counters,
                tcp_connections: hands.streams.len() as u64,
                connections: core.peer_count() as u64,
                cpu: thread_cpu_time(),
            };
        }
    }
}

/// Receives a batch. True when there may be more.
fn receive(incoming: &mut Incoming) -> bool {
    incoming.receive().unwrap_or_else(|error| {
        tracing::debug!(%error, "receiving failed");
        false
    })
}

/// Breaks when the thread is to stop.
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

/// Waits for a datagram, for mail, or for the core's time; with nobody connected, long enough to renew the figures. A bell
/// that rang is hushed, before the mail is read.
fn wait(core: &Shard, socket: &Incoming, deferred: &Deferred, streams: &Streams, inbox: &Inbox) -> std::io::Result<()> {
    let until = core.poll_latest().map_or(Duration::from_secs(1), |at| at.saturating_duration_since(Instant::now()));
    let deferred = deferred.incoming.as_ref().filter(|_| core.expects_checks()).map_or(socket.fd(), Incoming::fd);
    let mut fds = [socket.fd(), deferred, streams.fd(), inbox.bell()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    match ppoll(&mut fds, Some(TimeSpec::from(until)), None) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    if fds[3].any() == Some(true) {
        inbox.hush();
    }
    Ok(())
}

fn thread_cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

/// What can wait: it is read once there is nothing else to do, with whatever else the thread woke up for; at once while
/// somebody is to connect.
struct Deferred {
    /// None where it comes in with all else.
    incoming: Option<Incoming>,
    /// When it was read last.
    read: Instant,
}

impl Deferred {
    /// Reads what has come, if it is time, and answers. True when there may be more.
    fn turn(&mut self, core: &mut Shard, hands: &mut Hands) -> bool {
        let Some(incoming) = &mut self.incoming else { return false };
        let begun = Instant::now();
        if core.has_backlog() && !core.expects_checks() && begun < self.read + DEFERRED_EVERY {
            return false;
        }
        self.read = begun;
        let mut has_more = true;
        while has_more && begun.elapsed() < LONGEST_RECEIVING {
            has_more = receive(incoming);
            let now = Instant::now();
            for datagram in incoming.datagrams() {
                core.handle(now, datagram);
            }
        }
        hands.send(core, Duration::ZERO);
        has_more
    }
}

/// What the core's outputs are done with.
struct Hands {
    id: ShardId,
    outgoing: Outgoing,
    streams: Streams,
    arena: Arena,
    trains: Vec<Train>,
    shards: Vec<Mailbox>,
    notices: UnboundedSender<(ShardId, Notice)>,
}

impl Hands {
    /// Sends what the core has to send: all of it, or for at least so long. A large fan-out takes longer than peers may
    /// wait for answers, so it is left in favour of what comes in, whose fair share of time is as much as sending has.
    fn send(&mut self, core: &mut Shard, at_least: Duration) {
        let begun = Instant::now();
        while let Some(output) = core.poll_output(&mut self.arena) {
            match output {
                Output::Train(train) => match train.to.transport {
                    Transport::Udp => self.trains.push(train),
                    Transport::Tcp => self.streams.send(train.to.socket, self.arena.bytes(&train), train.segment),
                },
                Output::Full => {
                    self.flush();
                    if begun.elapsed() >= at_least {
                        return;
                    }
                }
                other => pass_on(self.id, &self.shards, &self.notices, other),
            }
        }
        self.flush();
    }

    fn flush(&mut self) {
        self.outgoing.send(&self.arena, &self.trains);
        self.trains.clear();
        self.arena.clear();
    }
}

fn pass_on(id: ShardId, shards: &[Mailbox], notices: &UnboundedSender<(ShardId, Notice)>, output: Output) {
    match output {
        Output::ToShard(to, message) => {
            if let Some(mailbox) = shards.get(usize::from(to.0)) {
                mailbox.send(Mail::FromShard(message));
            }
        }
        Output::ToAllShards(message) => {
            for (other, mailbox) in shards.iter().enumerate().filter(|(n, _)| *n != usize::from(id.0)) {
                tracing::trace!(from = id.0, to = other, "message to all shards");
                mailbox.send(Mail::FromShard(message.clone()));
            }
        }
        Output::Notice(notice) => {
            // The receiver is gone only when the node is shutting down.
            let _ = notices.send((id, notice));
        }
        Output::Train(_) | Output::Full => unreachable!("trains are kept by the caller"),
    }
}
