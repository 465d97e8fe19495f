//! A shard's thread: feeds the core from socket, mailbox and clock, and does what the core says.

mod ears;

use crate::mailbox::{Inbox, Mail, Mailbox};
use crate::socket::{self, Outgoing};
use crate::tcp::Streams;
use ears::Ears;
use nix::time::{ClockId, clock_gettime};
use sfu_core::{Arena, Input, Notice, Output, Shard, ShardId, Train, Transport, TransportAddress};
use std::net::UdpSocket;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// Send buffer that the core seals into: small enough to stay in the second-level cache.
const ARENA: usize = 256 * 1024;
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
        let ears = Ears::new(self.inbox, incoming, self.deferred)?;
        let hands = Hands {
            id: self.id,
            outgoing,
            streams: Streams::new()?,
            arena: Arena::new(ARENA),
            trains: Vec::with_capacity(256),
            shards: self.shards,
            notices: self.notices,
        };
        turn_until_stopped(self.core, ears, hands, &self.figures)
    }
}

fn turn_until_stopped(
    mut core: Shard,
    mut ears: Ears,
    mut hands: Hands,
    figures: &SharedFigures,
) -> std::io::Result<()> {
    let mut renewed = Instant::now();
    while turn(&mut core, &mut ears, &mut hands)?.is_continue() {
        let now = Instant::now();
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
    hands.send(&mut core, Duration::MAX);
    Ok(())
}

/// Sees to what came and what is due. What can wait is taken in before the thread sleeps. Breaks when told to stop.
fn turn(core: &mut Shard, ears: &mut Ears, hands: &mut Hands) -> std::io::Result<ControlFlow<()>> {
    if ears.are_deferred_due(core) {
        if ears.hear_deferred(core, &mut hands.streams).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        hands.send(core, Duration::ZERO);
    }
    if !core.has_backlog() && !ears.has_more() {
        ears.wait(core, &hands.streams)?;
    }
    let begun = Instant::now();
    if ears.hear(core, &mut hands.streams).is_break() {
        return Ok(ControlFlow::Break(()));
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
    hands.send(core, begun.elapsed());
    Ok(ControlFlow::Continue(()))
}

fn thread_cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
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
