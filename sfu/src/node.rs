//! The node: answers offers, hands peers to shards.

use crate::config::Config;
use crate::mailbox::{Mail, Mailbox};
use crate::metrics::Metrics;
use crate::node_state::{Connection, Seat, State};
use crate::viewing::Viewing;
use cluster::Directory;
use protocol::node::{Answer, Change, NodeRecord, NodeState, Publish, Restarted, Show, View};
use protocol::session::{EndReason, Event};
use protocol::{ConnectionId, Problem};
use ring::rand::{SecureRandom, SystemRandom};
use sfu_core::dtls::Fingerprint;
use sfu_core::ice::Credentials;
use sfu_core::sdp::{Local, Offer, SdpError, ViewTerms, restart_fragment};
use sfu_core::{NewPeer, NewRole, PeerId, Rid, ShardId, Ssrc, Subscription, TransportAddress};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::Receiver;

/// A connection that a newer one of its session replaces is kept this long at most.
const REPLACED_AFTER: Duration = Duration::from_secs(10);
/// Longest time that a connection is given: a grant lasts 24 hours at most, and clocks differ.
const LONGEST: Duration = Duration::from_secs(25 * 3600);

/// A shard, as the node reaches it and peers do.
pub(crate) struct ShardEnd {
    pub(crate) mailbox: Mailbox,
    pub(crate) candidates: Vec<TransportAddress>,
}

/// A running media node.
pub struct Node {
    pub(crate) config: Config,
    pub(crate) url: String,
    fingerprint: Fingerprint,
    pub(crate) shards: Vec<ShardEnd>,
    state: Mutex<State>,
    random: SystemRandom,
    pub(crate) directory: Arc<dyn Directory>,
    metrics: Metrics,
}

impl Node {
    pub(crate) fn new(
        config: Config,
        url: String,
        fingerprint: Fingerprint,
        shards: Vec<ShardEnd>,
        directory: Arc<dyn Directory>,
        metrics: Metrics,
    ) -> Self {
        let (state, random) = (Mutex::default(), SystemRandom::new());
        Self { config, url, fingerprint, shards, state, random, directory, metrics }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
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
        let ice = Credentials::new(shard, &self.random());
        let (media, answer) = offer.publish(&self.local(&ice, shard), ask.audio).map_err(|e| problem(&e))?;
        let max = ask.max.rank();
        if let Some(rid) = media.encodings.iter().find(|rid| rid.rank() > max) {
            let detail = format!("the grant allows encodings up to '{}', the offer has '{}'", ask.max, rid.as_str());
            return Err(Problem::new(403, "encoding_not_granted", detail));
        }
        let camera = self.state().camera_key(ask.camera);
        let ssrc = Ssrc(u32::from_be_bytes(self.random()));
        let (fingerprint, tag) = (media.fingerprint, media.tag.clone());
        let role = NewRole::Publisher { camera, media, ssrc };
        let seat = Seat::Publisher(ask.camera);
        let connection = Connection { id: ask.connection, peer, shard, seat, tag, playing: false, ending: None };
        let new = NewPeer { id: peer, ice, fingerprint, until: Some(instant_of(ask.until)), role };
        self.begin(&connection, None, new);
        Ok(Answer { answer })
    }

    /// Agrees with a viewer.
    pub(crate) fn view(self: &Arc<Self>, ask: &View) -> Result<Answer, Problem> {
        let offer = Offer::parse(&ask.offer).map_err(|e| problem(&e))?;
        let (peer, shard) = self.admit()?;
        let ice = Credentials::new(shard, &self.random());
        let (ssrcs, estimation) = (u32::from_be_bytes(self.random()), self.config.media.estimation.into());
        let terms = ViewTerms { slots: ask.slots, ssrcs, estimation };
        let (media, answer) = offer.view(&self.local(&ice, shard), terms).map_err(|e| problem(&e))?;
        let mut viewing = Viewing::new(media.slots.len(), media.audio.is_some());
        let shows = viewing.begin(ask)?;
        let show = shows.into_iter().filter_map(|(id, wish)| Some((id, self.subscription(&wish)?))).collect();
        let (fingerprint, tag) = (media.fingerprint, media.tag.clone());
        let role = NewRole::Viewer { show, media, first_sequence: u16::from_be_bytes(self.random()) };
        let seat = Seat::Viewer(ask.session);
        let connection = Connection { id: ask.connection, peer, shard, seat, tag, playing: false, ending: None };
        let new = NewPeer { id: peer, ice, fingerprint, until: Some(instant_of(ask.until)), role };
        self.begin(&connection, Some(viewing), new);
        self.replace_later(&connection);
        Ok(Answer { answer })
    }

    /// Shows a viewer other things, or gives it another end.
    pub(crate) fn change(&self, id: ConnectionId, ask: &Change) -> Result<(), Problem> {
        let connection = self.connection(id)?;
        let changed = self.state().viewing(connection.peer).ok_or_else(no_such_connection)?.apply(ask)?;
        let slots =
            changed.into_iter().map(|(id, wish)| (id, wish.and_then(|wish| self.subscription(&wish)))).collect();
        let change = sfu_core::Change { peer: connection.peer, until: Some(instant_of(ask.until)), slots };
        self.mail(&connection, Mail::Change(change));
        Ok(())
    }

    /// Gives a connection new ICE credentials.
    pub(crate) fn restart(&self, id: ConnectionId) -> Result<Restarted, Problem> {
        let connection = self.connection(id)?;
        let ice = Credentials::new(connection.shard, &self.random());
        let candidates = &self.shards[usize::from(connection.shard.0)].candidates;
        let fragment = restart_fragment(&ice, candidates, &connection.tag);
        self.mail(&connection, Mail::Restart { peer: connection.peer, ice });
        Ok(Restarted { fragment })
    }

    /// What happens to a viewer, from its present state on.
    pub(crate) fn events(&self, id: ConnectionId) -> Result<(Vec<Event>, Receiver<Event>), Problem> {
        let connection = self.connection(id)?;
        Ok(self.state().viewing(connection.peer).ok_or_else(no_such_connection)?.read())
    }

    fn connection(&self, id: ConnectionId) -> Result<Connection, Problem> {
        self.state().by_id(id).cloned().ok_or_else(no_such_connection)
    }

    fn subscription(&self, show: &Show) -> Option<Subscription> {
        // Both kinds of rid are 1 to 16 letters or digits.
        let max = Rid::new(show.max.as_str().as_bytes())?;
        Some(Subscription { camera: self.state().camera_key(show.camera), max, priority: show.priority })
    }

    /// Ends a connection. It may be gone already.
    pub(crate) fn end(&self, id: ConnectionId) {
        if let Ok(connection) = self.connection(id) {
            self.disconnect(&connection, EndReason::Left);
        }
    }

    /// Ends all connections: the node stops.
    pub(crate) fn disconnect_all(&self) {
        let all: Vec<Connection> = self.state().connections().cloned().collect();
        all.iter().for_each(|connection| self.disconnect(connection, EndReason::NodeStopping));
    }

    pub(crate) fn metrics_text(&self) -> String {
        let connections = {
            let known = self.state();
            known.viewer_count() + known.publisher_count()
        };
        self.metrics.text(connections).unwrap_or_default()
    }

    fn admit(&self) -> Result<(PeerId, ShardId), Problem> {
        let mut state = self.state();
        if state.viewer_count() + state.publisher_count() >= self.config.media.max_connections {
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

    fn begin(&self, connection: &Connection, viewing: Option<Viewing>, peer: NewPeer) {
        let superseded = {
            let mut state = self.state();
            state.insert(connection.clone(), viewing);
            state.superseded_by(connection)
        };
        // One grant holds two connections at most: this one, and one that plays until this one does.
        superseded.iter().for_each(|older| self.disconnect(older, EndReason::Replaced));
        self.mail(connection, Mail::Connect(Box::new(peer)));
    }

    fn mail(&self, connection: &Connection, mail: Mail) {
        self.shards[usize::from(connection.shard.0)].mailbox.send(mail);
    }

    fn disconnect(&self, connection: &Connection, why: EndReason) {
        self.state().ending(connection.peer, why);
        self.mail(connection, Mail::Disconnect(connection.peer));
    }

    /// A connection plays: those that it replaces are to go.
    pub(crate) fn playing(&self, peer: PeerId) {
        self.state().playing(peer);
        self.replace_older(peer);
    }

    /// The older connections of this one's session, or publishers of its camera, are to go.
    fn replace_older(&self, peer: PeerId) {
        let older = {
            let state = self.state();
            state.by_peer(peer).map(|newer| state.replaced_by(newer)).unwrap_or_default()
        };
        older.iter().for_each(|connection| self.disconnect(connection, EndReason::Replaced));
    }

    fn replace_later(self: &Arc<Self>, newer: &Connection) {
        if self.state().replaced_by(newer).is_empty() {
            return;
        }
        let (node, newer) = (Arc::clone(self), newer.peer);
        tokio::spawn(async move {
            tokio::time::sleep(REPLACED_AFTER).await;
            node.replace_older(newer);
        });
    }

    /// What the directory is told of this node.
    pub(crate) fn record(&self, state: NodeState) -> NodeRecord {
        let known = self.state();
        let (viewers, publishers) = (known.viewer_count(), known.publisher_count());
        NodeRecord {
            id: self.config.id.clone(),
            url: self.url.clone(),
            state,
            viewers: viewers as u32,
            publishers: publishers as u32,
            load: (viewers + publishers) as f64 / self.config.media.max_connections.max(1) as f64,
        }
    }
}

/// The instant of a Unix time: now if it is over, [`LONGEST`] ahead if it is later than that.
fn instant_of(unix_seconds: u64) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::now() + Duration::from_secs(unix_seconds).saturating_sub(now).min(LONGEST)
}

fn no_such_connection() -> Problem {
    Problem::new(404, "no_such_connection", "there is no such connection here; it may have ended")
}

fn problem(error: &SdpError) -> Problem {
    let (status, code) = match error {
        SdpError::Malformed(_) => (400, "sdp_malformed"),
        SdpError::NoCodec => (406, "no_codec"),
        SdpError::Unsupported(_) => (422, "sdp_unsupported"),
    };
    Problem::new(status, code, error.to_string())
}
