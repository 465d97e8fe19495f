//! A node's life: its shards' threads begin, it serves, they end.
//!
//! Invariant: a node has all of its shards or none: when one ends by itself, the node ends with an error, so that the
//! process is started again.

#[cfg(test)]
mod tests;

use crate::config::Config;
use crate::mailbox::{Mail, Mailbox, mailbox};
use crate::metrics::Metrics;
use crate::node::{Node, ShardEnd};
use crate::shard::{SharedFigures, Thread};
use crate::{advertise, api, socket, tcp};
use cluster::{Directory, NodeClient, listen::Listener};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use protocol::node::NodeState;
use rtc_crypto::{RTCCryptoProvider, providers::RingProvider};
use rtc_dtls::crypto::Certificate;
use sfu_core::dtls::Identity;
use sfu_core::{Notice, Shard, ShardId, TransportAddress};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

/// How long a peer may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a peer may be silent: consent ends after 30 s at the latest (RFC 7675, section 5.1), the turn of the wheel
/// that finds it out included.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(25);

/// No node keeps more TCP connections.
const MOST_TCP: usize = 65_536;

/// Why a node cannot start, or not go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener or a thread cannot be had.
    #[error("the node cannot start or go on: {0}")]
    Io(#[from] std::io::Error),
    /// The settings contradict themselves.
    #[error(transparent)]
    Config(#[from] crate::config::InvalidConfig),
    /// The internal listener's settings are wrong.
    #[error("internal listener: {0}")]
    Listen(#[from] cluster::listen::Error),
    /// The certificate cannot be made.
    #[error("the node's certificate: {0}")]
    Certificate(String),
    /// The metrics contradict each other.
    #[error("metrics: {0}")]
    Metrics(String),
    /// The directory does not answer.
    #[error(transparent)]
    Directory(#[from] cluster::Error),
    /// A shard's thread ended before it was told to.
    #[error("shard {0} ended by itself; the log says why")]
    Shard(u16),
}

impl From<nix::Error> for StartError {
    fn from(errno: nix::Error) -> Self {
        Self::Io(errno.into())
    }
}

/// The shards' side of a node.
struct Shards {
    ends: Vec<ShardEnd>,
    figures: Vec<SharedFigures>,
    threads: Vec<JoinHandle<()>>,
    /// Where peers without UDP connect.
    listener: TcpListener,
    notices: UnboundedReceiver<(ShardId, Notice)>,
    ended: UnboundedReceiver<ShardId>,
}

impl Node {
    /// Starts a node and serves it until `shutdown`; then its peers are told, and it leaves the directory. `callers` are
    /// of the same process, and reach it without the network.
    pub async fn run(
        config: Config,
        directory: Arc<dyn Directory>,
        callers: Option<&NodeClient>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), StartError> {
        config.check()?;
        let listener = Listener::internal(&config.internal)?;
        let provider: Arc<dyn RTCCryptoProvider> = Arc::new(RingProvider::new());
        let identity = identity(&provider)?;
        let Shards { ends, figures, threads, listener: media_listener, notices, ended: mut shard_ended } =
            start_shards(&config, &identity, &provider)?;
        let metrics = Metrics::new(figures, Handle::current()).map_err(|e| StartError::Metrics(e.to_string()))?;
        let node = Arc::new(Self::new(config, listener.url(), identity.fingerprint, ends, directory, metrics));
        node.directory.register(node.record(NodeState::Serving)).await?;
        tracing::info!(node = %node.config.id, shards = node.shards.len(), url = node.url, "media node serves");
        let router = api::router(Arc::clone(&node));
        let _here = callers.map(|client| client.reach(&node.url, router.clone()));
        let mailboxes = node.shards.iter().map(|shard| shard.mailbox.clone()).collect();
        // Ends with this call, however that ends.
        let mut accepting = JoinSet::new();
        accepting.spawn(tcp::accept(media_listener, mailboxes, tcp_places()?));
        let (ended, end) = tokio::sync::oneshot::channel();
        let mut lost = None;
        let shutdown = async {
            lost = first_lost(shutdown, &mut shard_ended).await;
            // Before the listener waits for its calls: with its viewers' ends, the streams of their events end too.
            node.disconnect_all();
        };
        let serving = async {
            listener.serve(router, shutdown).await?;
            drop(ended);
            std::io::Result::Ok(())
        };
        let (served, ()) = tokio::join!(serving, node.attend(notices, end));
        accepting.shutdown().await;
        node.stop(threads).await;
        served?;
        lost.map_or(Ok(()), |shard| Err(StartError::Shard(shard.0)))
    }

    async fn stop(&self, threads: Vec<JoinHandle<()>>) {
        self.disconnect_all();
        self.shards.iter().for_each(|shard| shard.mailbox.send(Mail::Stop));
        let joined = tokio::task::spawn_blocking(|| threads.into_iter().for_each(|t| drop(t.join())));
        if joined.await.is_err() || self.directory.leave(&self.config.id).await.is_err() {
            tracing::warn!("the node did not leave in good order");
        }
    }
}

/// How many TCP connections of peers are kept: half of the descriptors that the process may have, which are as many as
/// the system lets it; the rest are for those who call its API.
fn tcp_places() -> std::io::Result<usize> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(usize::try_from(most / 2).unwrap_or(usize::MAX).min(MOST_TCP))
}

/// The shard whose thread ends before `shutdown`; `None` when none does.
async fn first_lost(shutdown: impl Future<Output = ()>, ended: &mut UnboundedReceiver<ShardId>) -> Option<ShardId> {
    tokio::select! {
        () = shutdown => None,
        Some(shard) = ended.recv() => {
            tracing::error!(shard = shard.0, "a shard ended by itself; the node ends");
            Some(shard)
        }
    }
}

fn identity(provider: &Arc<dyn RTCCryptoProvider>) -> Result<Identity, StartError> {
    let certificate = Certificate::generate_self_signed(vec!["sunroom".to_owned()], provider.crypto());
    let certificate = certificate.map_err(|e| StartError::Certificate(e.to_string()))?;
    Identity::new(&certificate, provider).map_err(|e| StartError::Certificate(e.to_string()))
}

fn start_shards(
    config: &Config,
    identity: &Identity,
    provider: &Arc<dyn RTCCryptoProvider>,
) -> Result<Shards, StartError> {
    let count = match config.media.shards {
        0 => std::thread::available_parallelism().map_or(1, |n| n.get() as u16),
        n => n,
    };
    let advertise = match config.media.advertise.as_slice() {
        [] => advertise::discover()?,
        configured => configured.to_vec(),
    };
    let boxes = (0..count).map(|_| mailbox()).collect::<Result<Vec<_>, _>>()?;
    let (mailboxes, inboxes): (Vec<Mailbox>, Vec<_>) = boxes.into_iter().unzip();
    let (sender, notices): (UnboundedSender<_>, _) = unbounded_channel();
    let (last_words, ended) = unbounded_channel();
    let bind = socket::bindable(config.media.bind)?;
    let listener = tcp::bind((bind, config.media.tcp_port).into())?;
    let by_tcp = candidates(&advertise, bind, listener.local_addr()?.port());
    let mut shards = Shards { ends: Vec::new(), figures: Vec::new(), threads: Vec::new(), listener, notices, ended };
    for (number, inbox) in inboxes.into_iter().enumerate() {
        let id = ShardId(number as u16);
        let port = if config.media.port == 0 { Some(0) } else { config.media.port.checked_add(id.0) };
        let port = port.ok_or(std::io::ErrorKind::AddrNotAvailable).map_err(std::io::Error::from)?;
        let socket = socket::bind((bind, port).into(), config.media.socket_buffer)?;
        if number == 0 {
            socket::warn_of_small_buffers(&socket, config.media.socket_buffer)?;
        }
        let deferred = socket::deferred::beside(&socket, config.media.socket_buffer).inspect_err(|error| {
            tracing::warn!(%error, "what can wait comes in with all else, which costs CPU time where viewers are few");
        });
        let port = socket.local_addr()?.port();
        let figures = SharedFigures::default();
        let thread = Thread {
            id,
            core: Shard::new(core_config(config, id), identity.clone(), Arc::clone(provider), Instant::now()),
            socket,
            deferred: deferred.ok(),
            inbox,
            shards: mailboxes.clone(),
            notices: sender.clone(),
            figures: Arc::clone(&figures),
        };
        shards.threads.push(spawn(id, last_words.clone(), || thread.run())?);
        shards.figures.push(figures);
        let by_udp = candidates(&advertise, bind, port).map(TransportAddress::udp);
        let candidates = by_udp.chain(by_tcp.clone().map(TransportAddress::tcp)).collect();
        shards.ends.push(ShardEnd { mailbox: mailboxes[number].clone(), candidates });
    }
    Ok(shards)
}

fn core_config(config: &Config, shard: ShardId) -> sfu_core::Config {
    sfu_core::Config {
        shard,
        ring_bytes: config.media.ring_bytes,
        linger: Duration::from_secs(config.media.linger_seconds),
        connect_timeout: CONNECT_TIMEOUT,
        silence_timeout: SILENCE_TIMEOUT,
    }
}

/// A shard's thread, whose end is told to `ended` even if it panics.
fn spawn(
    id: ShardId,
    ended: UnboundedSender<ShardId>,
    run: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let last_words = LastWords { id, ended };
    std::thread::Builder::new().name(format!("shard-{}", id.0)).spawn(move || {
        let _last_words = last_words;
        if let Err(error) = run() {
            tracing::error!(%error, "a shard ended");
        }
    })
}

/// Tells of a thread's end when it is dropped.
struct LastWords {
    id: ShardId,
    ended: UnboundedSender<ShardId>,
}

impl Drop for LastWords {
    fn drop(&mut self) {
        // Nobody listens once the node itself ends.
        let _ = self.ended.send(self.id);
    }
}

/// The addresses that peers are told of a socket: those it can receive at.
fn candidates(advertise: &[IpAddr], bind: IpAddr, port: u16) -> impl Iterator<Item = SocketAddr> + Clone {
    let reachable = move |ip: &&IpAddr| bind.is_ipv6() && bind.is_unspecified() || ip.is_ipv4() == bind.is_ipv4();
    advertise.iter().filter(reachable).map(move |ip| SocketAddr::new(*ip, port))
}
