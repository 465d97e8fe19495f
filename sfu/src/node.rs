//! The node: answers offers, hands peers to shards, and tells the directory what shards report.

use crate::config::Config;
use crate::mailbox::{Mail, Mailbox, mailbox};
use crate::metrics::Metrics;
use crate::node_state::{Connection, State};
use crate::shard::{SharedFigures, Thread};
use crate::{advertise, api, socket};
use cluster::{Directory, Epoch, listen::Listener};
use protocol::event::Event;
use protocol::node::{Answer, NodeRecord, NodeState, Publish, View};
use protocol::{CameraId, ConnectionId, Problem};
use ring::rand::{SecureRandom, SystemRandom};
use rtc_crypto::{RTCCryptoProvider, providers::RingProvider};
use rtc_dtls::crypto::Certificate;
use sfu_core::dtls::{Fingerprint, Identity};
use sfu_core::ice::Credentials;
use sfu_core::sdp::{Local, Offer, SdpError};
use sfu_core::{NewPeer, NewRole, Notice, PeerId, Rid, Shard, ShardId, Ssrc};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A connection that a newer one of its session replaces is kept this long at most.
const REPLACED_AFTER: Duration = Duration::from_secs(10);
/// How long a peer may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a peer may be silent (RFC 7675, section 5.1).
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Wanted encodings are said again every so many heartbeats.
const WANTED_EVERY: u32 = 10;

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener or a thread cannot be had.
    #[error("the node cannot start: {0}")]
    Io(#[from] std::io::Error),
    /// The internal listener's settings are wrong.
    #[error("internal listener: {0}")]
    Listen(#[from] cluster::listen::Error),
    /// The certificate cannot be made.
    #[error("{0}")]
    Identity(String),
    /// The directory does not answer.
    #[error(transparent)]
    Directory(#[from] cluster::Error),
}

struct ShardEnd {
    mailbox: Mailbox,
    candidates: Vec<SocketAddr>,
}

/// A running media node.
pub struct Node {
    config: Config,
    url: String,
    fingerprint: Fingerprint,
    shards: Vec<ShardEnd>,
    state: Mutex<State>,
    random: SystemRandom,
    directory: Arc<dyn Directory>,
    metrics: Metrics,
}

impl Node {
    /// Starts a node and serves it until `shutdown`; then its peers are told, and it leaves the directory.
    pub async fn run(
        config: Config,
        directory: Arc<dyn Directory>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), StartError> {
        let listener = Listener::internal(&config.internal)?;
        let (node, threads, notices) = Self::start(config, listener.url(), directory)?;
        node.directory.register(node.record(NodeState::Serving)).await?;
        tracing::info!(node = %node.config.id, shards = node.shards.len(), url = node.url, "media node serves");
        let router = api::router(Arc::clone(&node));
        let (ended, end) = tokio::sync::oneshot::channel();
        let serving = async {
            listener.serve(router, shutdown).await?;
            drop(ended);
            std::io::Result::Ok(())
        };
        let (served, ()) = tokio::join!(serving, node.attend(notices, end));
        node.stop(threads).await;
        Ok(served?)
    }

    #[allow(clippy::type_complexity)]
    fn start(
        config: Config,
        url: String,
        directory: Arc<dyn Directory>,
    ) -> Result<(Arc<Self>, Vec<JoinHandle<()>>, UnboundedReceiver<(ShardId, Notice)>), StartError> {
        let provider: Arc<dyn RTCCryptoProvider> = Arc::new(RingProvider::new());
        let certificate = Certificate::generate_self_signed(vec!["sunroom".to_owned()], provider.crypto());
        let certificate = certificate.map_err(|e| StartError::Identity(e.to_string()))?;
        let identity = Identity::new(&certificate, &provider).map_err(|e| StartError::Identity(e.to_string()))?;
        let count = match config.media.shards {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get() as u16),
            n => n,
        };
        let advertise = match config.media.advertise.as_slice() {
            [] => advertise::discover().map_err(std::io::Error::from)?,
            configured => configured.to_vec(),
        };
        let boxes = (0..count).map(|_| mailbox()).collect::<Result<Vec<_>, _>>().map_err(std::io::Error::from)?;
        let (mailboxes, inboxes): (Vec<_>, Vec<_>) = boxes.into_iter().unzip();
        let (notices, notices_out) = unbounded_channel();
        let (mut shards, mut threads, mut figures) = (Vec::new(), Vec::new(), Vec::new());
        for (number, inbox) in inboxes.into_iter().enumerate() {
            let id = ShardId(number as u16);
            let port = if config.media.port == 0 { 0 } else { config.media.port + id.0 };
            let socket = socket::bind((config.media.bind, port).into(), config.media.socket_buffer)?;
            let port = socket.local_addr()?.port();
            let candidates = candidates(&advertise, config.media.bind, port);
            let core = Shard::new(core_config(&config, id), identity.clone(), Arc::clone(&provider), Instant::now());
            let shared = SharedFigures::default();
            figures.push(Arc::clone(&shared));
            let notices = notices.clone();
            let thread = Thread { id, core, socket, inbox, shards: mailboxes.clone(), notices, figures: shared };
            threads.push(spawn(thread)?);
            shards.push(ShardEnd { mailbox: mailboxes[number].clone(), candidates });
        }
        let metrics = Metrics::new(figures).map_err(|e| StartError::Identity(e.to_string()))?;
        let fingerprint = identity.fingerprint;
        let (state, random) = (Mutex::default(), SystemRandom::new());
        let node = Self { config, url, fingerprint, shards, state, random, directory, metrics };
        Ok((Arc::new(node), threads, notices_out))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).expect("the system has randomness");
        bytes
    }

    /// Agrees with a publisher.
    pub(crate) fn publish(&self, ask: &Publish) -> Result<Answer, Problem> {
        let offer = Offer::parse(&ask.offer).map_err(|e| problem(&e))?;
        let (peer, shard) = self.admit()?;
        let ice = Credentials::from_random(&self.random());
        let (media, answer) = offer.publish(&self.local(&ice, shard)).map_err(|e| problem(&e))?;
        let camera = self.state().camera_key(ask.camera);
        let ssrc = Ssrc(u32::from_be_bytes(self.random()));
        let fingerprint = media.fingerprint;
        let role = NewRole::Publisher { camera, media, ssrc };
        self.begin(
            Connection {
                id: ask.connection,
                peer,
                shard,
                session: ask.session,
                camera: ask.camera,
                is_publisher: true,
            },
            NewPeer { id: peer, ice, fingerprint, until: None, role },
        );
        Ok(Answer { answer })
    }

    /// Agrees with a viewer.
    pub(crate) fn view(self: &Arc<Self>, ask: &View) -> Result<Answer, Problem> {
        let offer = Offer::parse(&ask.offer).map_err(|e| problem(&e))?;
        let max = Rid::new(ask.max.as_str().as_bytes())
            .ok_or_else(|| Problem::new(400, "rid", "the encoding's name is not 1 to 16 letters or digits"))?;
        let (peer, shard) = self.admit()?;
        let ice = Credentials::from_random(&self.random());
        let [a, b, c, d, e, f]: [u8; 6] = self.random();
        // Two numbers that differ in one bit: never equal, and neither is 0 for both.
        let ssrc = u32::from_be_bytes([a | 1, b, c, d]);
        let local = self.local(&ice, shard);
        let (media, answer) = offer.view(&local, Ssrc(ssrc), Ssrc(ssrc ^ 0x8000_0000)).map_err(|e| problem(&e))?;
        let camera = self.state().camera_key(ask.camera);
        let fingerprint = media.fingerprint;
        let role = NewRole::Viewer { camera, max, media, first_sequence: u16::from_be_bytes([e, f]) };
        let connection = Connection {
            id: ask.connection,
            peer,
            shard,
            session: ask.session,
            camera: ask.camera,
            is_publisher: false,
        };
        self.begin(connection, NewPeer { id: peer, ice, fingerprint, until: Some(instant_of(ask.until)), role });
        self.replace_later(connection);
        Ok(Answer { answer })
    }

    /// Ends a connection. It may be gone already.
    pub(crate) fn end(&self, id: ConnectionId) {
        let connection = self.state().by_id(id).copied();
        if let Some(connection) = connection {
            self.disconnect(&connection);
        }
    }

    pub(crate) fn metrics_text(&self) -> String {
        self.metrics.text().unwrap_or_default()
    }

    fn admit(&self) -> Result<(PeerId, ShardId), Problem> {
        let mut state = self.state();
        if state.connections().count() >= self.config.media.max_connections {
            return Err(Problem::new(
                503,
                "node_full",
                "this media node is full; try again, another one may have room",
            ));
        }
        Ok((state.next_peer(), state.emptiest_shard(self.shards.len())))
    }

    fn local<'a>(&'a self, ice: &'a Credentials, shard: ShardId) -> Local<'a> {
        let session = u64::from_be_bytes(self.random()) >> 1;
        Local { ice, fingerprint: self.fingerprint, candidates: &self.shards[usize::from(shard.0)].candidates, session }
    }

    fn begin(&self, connection: Connection, peer: NewPeer) {
        self.state().insert(connection);
        self.shards[usize::from(connection.shard.0)].mailbox.send(Mail::Connect(Box::new(peer)));
    }

    fn disconnect(&self, connection: &Connection) {
        self.shards[usize::from(connection.shard.0)].mailbox.send(Mail::Disconnect(connection.peer));
    }

    fn replace_older(&self, peer: PeerId) {
        let older = {
            let state = self.state();
            state.by_peer(peer).map(|newer| state.replaced_by(newer)).unwrap_or_default()
        };
        older.iter().for_each(|connection| self.disconnect(connection));
    }

    fn replace_later(self: &Arc<Self>, newer: Connection) {
        if self.state().replaced_by(&newer).is_empty() {
            return;
        }
        let node = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(REPLACED_AFTER).await;
            node.replace_older(newer.peer);
        });
    }

    fn record(&self, state: NodeState) -> NodeRecord {
        let known = self.state();
        let publishers = known.connections().filter(|c| c.is_publisher).count();
        let viewers = known.connections().count() - publishers;
        NodeRecord {
            id: self.config.id.clone(),
            url: self.url.clone(),
            state,
            viewers: viewers as u32,
            publishers: publishers as u32,
            load: (viewers + publishers) as f64 / self.config.media.max_connections.max(1) as f64,
        }
    }

    /// Follows the shards' notices and keeps the directory's lease, until `end`.
    async fn attend(
        &self,
        mut notices: UnboundedReceiver<(ShardId, Notice)>,
        mut end: tokio::sync::oneshot::Receiver<()>,
    ) {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        let mut epochs = HashMap::new();
        let mut beats = 0u32;
        loop {
            let done = tokio::select! {
                _ = &mut end => return,
                Some((_, notice)) = notices.recv() => self.heed(notice, &mut epochs).await,
                _ = heartbeat.tick() => {
                    beats = beats.wrapping_add(1);
                    self.beat(beats.is_multiple_of(WANTED_EVERY)).await
                }
            };
            if let Err(error) = done {
                tracing::warn!(%error, "the directory does not answer; media goes on");
            }
        }
    }

    async fn beat(&self, with_wanted: bool) -> Result<(), cluster::Error> {
        self.directory.heartbeat(self.record(NodeState::Serving)).await?;
        let wanted = if with_wanted { self.state().all_wanted() } else { Vec::new() };
        for (camera, encodings) in wanted {
            let node = self.config.id.clone();
            self.directory.publish(Event::Wanted { camera, node, encodings }).await?;
        }
        Ok(())
    }

    async fn heed(&self, notice: Notice, epochs: &mut HashMap<CameraId, Epoch>) -> Result<(), cluster::Error> {
        let node = self.config.id.clone();
        match notice {
            Notice::Connected(peer) => tracing::debug!(peer = peer.0, "connected"),
            Notice::Playing(peer) => self.replace_older(peer),
            Notice::Gone(peer, why) => {
                tracing::debug!(peer = peer.0, ?why, "gone");
                let gone = self.state().remove(peer);
                if let Some(connection) = gone {
                    self.directory.publish(Event::Ended { connection: connection.id }).await?;
                }
            }
            Notice::Published(peer, key) => {
                let Some(camera) = self.state().camera(key) else { return Ok(()) };
                self.state().published(camera);
                self.replace_older(peer);
                epochs.insert(camera, self.directory.claim_origin(camera, &node).await?);
                self.directory.publish(Event::Published { camera, node }).await?;
            }
            Notice::Unpublished(_, key) => {
                let Some(camera) = self.state().camera(key) else { return Ok(()) };
                self.state().unpublished(camera);
                if let Some(epoch) = epochs.remove(&camera) {
                    self.directory.release_origin(camera, &node, epoch).await?;
                }
                self.directory.publish(Event::Unpublished { camera, node }).await?;
            }
            Notice::Wanted(encoding, wanted) => {
                let all = self.state().want(encoding, wanted);
                if let Some((camera, encodings)) = all {
                    self.directory.publish(Event::Wanted { camera, node, encodings }).await?;
                }
            }
        }
        Ok(())
    }

    async fn stop(&self, threads: Vec<JoinHandle<()>>) {
        let all: Vec<Connection> = self.state().connections().copied().collect();
        all.iter().for_each(|connection| self.disconnect(connection));
        self.shards.iter().for_each(|shard| shard.mailbox.send(Mail::Stop));
        let joined = tokio::task::spawn_blocking(|| threads.into_iter().for_each(|t| drop(t.join())));
        if joined.await.is_err() || self.directory.leave(&self.config.id).await.is_err() {
            tracing::warn!("the node did not leave in good order");
        }
    }
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

fn spawn(thread: Thread) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(format!("shard-{}", thread.id.0)).spawn(move || {
        if let Err(error) = thread.run() {
            tracing::error!(%error, "a shard ended");
        }
    })
}

/// The addresses that peers are told of a socket: those it can receive at.
fn candidates(advertise: &[IpAddr], bind: IpAddr, port: u16) -> Vec<SocketAddr> {
    let reachable = |ip: &&IpAddr| bind.is_ipv6() && bind.is_unspecified() || ip.is_ipv4() == bind.is_ipv4();
    advertise.iter().filter(reachable).map(|ip| SocketAddr::new(*ip, port)).collect()
}

/// The instant of a Unix time, now if it is over.
fn instant_of(unix_seconds: u64) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::now() + Duration::from_secs(unix_seconds).saturating_sub(now)
}

fn problem(error: &SdpError) -> Problem {
    let (status, code) = match error {
        SdpError::Malformed(_) => (400, "sdp_malformed"),
        SdpError::NoCodec => (406, "no_codec"),
        SdpError::Unsupported(_) => (422, "sdp_unsupported"),
    };
    Problem::new(status, code, error.to_string())
}
