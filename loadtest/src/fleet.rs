//! The virtual cameras and viewers of one machine: come at their rate, watch, switch, go and are replaced.
//!
//! Invariants: a join begins at its time in the schedule, however many are under way, and how late it began is measured;
//! whoever fails or is ended is replaced at the same rate.

mod director;

use crate::api::{Api, CallError, Session};
use crate::client::sdp::Answer;
use crate::client::{Client, Identity, sdp};
use crate::engine::{Gone, Handle, Network, PeerId, Role, unix_micros};
use crate::measure::Measures;
use crate::profile::{Film, FilmError};
use crate::publisher::SSRC;
use crate::scenario::Scenario;
use crate::viewer::Begun;
use director::Director;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Most cameras that a viewer's grant names.
const MAX_GRANTED: usize = 32;
/// How long cameras may take until all are published, beside their keyframes' distance.
const PUBLISH_PATIENCE: Duration = Duration::from_secs(30);
/// Calls under way at a time while a fleet is published, or ends; joins have no such bound.
const CALLS: usize = 32;

/// The part of a scenario that one machine plays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The whole.
    pub scenario: Scenario,
    /// Number of the first camera, and how many there are here.
    pub cameras: (u32, u32),
    /// Number of this machine, and how many there are: viewers' numbers, and so their cameras, are dealt in turn.
    pub machine: (u32, u32),
}

impl Share {
    /// Deals a scenario to so many machines.
    pub fn deal(scenario: &Scenario, machines: u32) -> Vec<Self> {
        let of = |number: u32| {
            let first = |n: u32| (u64::from(scenario.publishers) * u64::from(n) / u64::from(machines)) as u32;
            let cameras = (first(number), first(number + 1) - first(number));
            Self { scenario: scenario.clone(), cameras, machine: (number, machines) }
        };
        (0..machines).map(of).collect()
    }
}

/// How a fleet is, and what it measured since it was asked last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Viewers with a picture.
    pub viewers: u64,
    /// Viewers that are joining.
    pub joining: u64,
    /// What was measured.
    pub measures: Measures,
}

/// Why a fleet cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// What cameras are to send cannot be had.
    #[error(transparent)]
    Film(#[from] FilmError),
    /// The virtual peers' certificate cannot be made.
    #[error(transparent)]
    Identity(#[from] crate::client::IdentityError),
    /// The virtual peers' thread cannot be had.
    #[error("the virtual peers' thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The virtual peers' thread has ended.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// A camera is not published.
    #[error("camera {camera} cannot be published: {source}")]
    Publish {
        /// Its number.
        camera: u32,
        /// Why.
        source: CallError,
    },
    /// Cameras whose media does not flow.
    #[error("{missing} of {all} cameras do not flow: is the media node's UDP port reached from here?")]
    Silent {
        /// How many.
        missing: usize,
        /// Of how many.
        all: usize,
    },
}

/// A viewer that is there.
struct Watching {
    session: Session,
    /// Cameras that it may show, those shown first at the front.
    playlist: Vec<u32>,
    switches: usize,
    is_playing: bool,
}

#[derive(Default)]
struct State {
    viewers: HashMap<PeerId, Watching>,
    /// Viewers with a picture, oldest first; some may have gone.
    oldest: VecDeque<PeerId>,
    joining: usize,
    playing: usize,
    cameras: BTreeMap<PeerId, Session>,
    ready_cameras: usize,
    lost_cameras: usize,
    next_viewer: u32,
    measures: Measures,
}

/// What the director is told.
#[derive(Clone, Copy, Debug)]
struct Order {
    viewers: usize,
    rate: f64,
    is_over: bool,
}

struct Shared {
    api: Api,
    share: Share,
    identity: Identity,
    film: Arc<Film>,
    is_made: bool,
    via: Option<SocketAddr>,
    cameras: Handle,
    viewers: Handle,
    state: Mutex<State>,
}

/// See the module.
pub struct Fleet {
    shared: Arc<Shared>,
    orders: watch::Sender<Order>,
    director: JoinHandle<()>,
    ready: watch::Receiver<usize>,
}

impl Fleet {
    /// One that has not begun.
    pub fn new(api: Api, share: Share, network: Network) -> Result<Self, FleetError> {
        let film = Arc::new(share.scenario.profile.film()?);
        let (events, inbox) = mpsc::unbounded_channel();
        // Cameras stand where they stand: only viewers are elsewhere.
        let cameras = Handle::start("cameras", Network::default(), events.clone())?;
        let viewers = Handle::start("viewers", Network { gro: network.gro && share.scenario.gro, ..network }, events)?;
        let is_made = !share.scenario.profile.is_file();
        let identity = Identity::new()?;
        let state = Mutex::default();
        let shared =
            Arc::new(Shared { api, share, identity, film, is_made, via: network.via, cameras, viewers, state });
        let (orders, told) = watch::channel(Order { viewers: 0, rate: 1.0, is_over: false });
        let (ready, is_ready) = watch::channel(0);
        let director = tokio::spawn(Director::new(Arc::clone(&shared), told, ready).run(inbox));
        Ok(Self { shared, orders, director, ready: is_ready })
    }

    /// Publishes all cameras, and waits until each has sent a keyframe.
    pub async fn publish(&mut self) -> Result<(), FleetError> {
        let (first, count) = self.shared.share.cameras;
        let mut calls = tokio::task::JoinSet::new();
        for camera in first..first + count {
            while calls.len() >= CALLS {
                joined(calls.join_next().await)?;
            }
            calls.spawn(publish(Arc::clone(&self.shared), camera));
        }
        while !calls.is_empty() {
            joined(calls.join_next().await)?;
        }
        let longest = self.shared.film.encodings.iter().map(|e| e.frame_time * e.frames.len() as u32).max();
        let patience = PUBLISH_PATIENCE + longest.unwrap_or_default();
        let all = count as usize;
        let flowing = tokio::time::timeout(patience, self.ready.wait_for(|ready| *ready >= all)).await;
        if !matches!(flowing, Ok(Ok(_))) {
            return Err(FleetError::Silent { missing: all - self.shared.state().ready_cameras, all });
        }
        Ok(())
    }

    /// So many viewers are to be there; those that are missing join at this rate.
    pub fn watch(&self, viewers: usize, rate: f64) {
        self.orders.send_replace(Order { viewers, rate, is_over: false });
    }

    /// How it is, and what was measured since it was asked last.
    pub async fn take(&self) -> Result<Tally, FleetError> {
        let mut measures = self.shared.viewers.take().await?;
        measures.add(&self.shared.cameras.take().await?);
        let mut state = self.shared.state();
        measures.add(&std::mem::take(&mut state.measures));
        Ok(Tally { viewers: state.playing as u64, joining: state.joining as u64, measures })
    }

    /// Cameras pause, or go on.
    pub fn silence(&self, silent: bool) {
        self.shared.cameras.silence(silent);
    }

    /// The viewers' addresses.
    pub async fn addresses(&self) -> Result<Vec<SocketAddr>, FleetError> {
        Ok(self.shared.viewers.addresses().await?)
    }

    /// Everybody leaves.
    pub async fn end(self) {
        self.orders.send_modify(|order| order.is_over = true);
        // A director that panicked has said so.
        let _ = self.director.await;
        let sessions: Vec<Session> = {
            let mut state = self.shared.state();
            let viewers: Vec<(PeerId, Watching)> = state.viewers.drain().collect();
            viewers.iter().for_each(|(id, _)| self.shared.viewers.remove(*id));
            let cameras = std::mem::take(&mut state.cameras);
            viewers.into_iter().map(|(_, watching)| watching.session).chain(cameras.into_values()).collect()
        };
        let mut calls = tokio::task::JoinSet::new();
        for session in sessions {
            while calls.len() >= CALLS {
                calls.join_next().await;
            }
            let shared = Arc::clone(&self.shared);
            calls.spawn(async move {
                // A server that is gone has ended it.
                let _ = shared.api.leave(&session).await;
            });
        }
        while calls.join_next().await.is_some() {}
    }
}

fn joined(call: Option<Result<Result<(), FleetError>, tokio::task::JoinError>>) -> Result<(), FleetError> {
    match call {
        Some(Ok(result)) => result,
        // A task that panicked has said so, and its camera will not flow.
        Some(Err(_)) | None => Ok(()),
    }
}

async fn publish(shared: Arc<Shared>, camera: u32) -> Result<(), FleetError> {
    let rids: Vec<&str> = shared.film.encodings.iter().map(|encoding| encoding.rid).collect();
    let offer = sdp::offer_to_publish(shared.identity.fingerprint(), &rids, SSRC);
    let joined = shared.api.publish(camera, offer).await.map_err(|source| FleetError::Publish { camera, source })?;
    let id = PeerId(camera);
    shared.state().cameras.insert(id, joined.session);
    let client = Client::new(&shared.identity, joined.answer);
    shared.cameras.add(id, client, Role::Publisher { camera, film: Arc::clone(&shared.film) });
    Ok(())
}

/// Viewers' ids are above all cameras'.
const FIRST_VIEWER: u32 = 1 << 24;

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new viewer's number in its run, which is its id here, and the cameras that it may show.
    fn next_viewer(&self) -> (u32, Vec<u32>) {
        let (machine, machines) = self.share.machine;
        let mut state = self.state();
        let number = state.next_viewer * machines + machine;
        state.next_viewer += 1;
        let all = self.share.scenario.publishers;
        let shown = self.share.scenario.shown().max(1) as u32;
        let count = (all as usize).min(MAX_GRANTED.max(shown as usize)) as u32;
        let playlist = (0..count).map(|n| (number.wrapping_mul(shown).wrapping_add(n)) % all).collect();
        (number, playlist)
    }

    /// One join, which was to begin at `scheduled`.
    async fn join(self: Arc<Self>, scheduled: Instant) {
        let (number, playlist) = self.next_viewer();
        let scenario = &self.share.scenario;
        let shown: Vec<u32> = playlist.iter().copied().cycle().take(scenario.shown()).collect();
        let (called, unix) = (Instant::now(), unix_micros());
        {
            let mut state = self.state();
            state.measures.joins += 1;
            state.measures.late.record_time(called.saturating_duration_since(scheduled));
        }
        let offer = sdp::offer_to_view(self.identity.fingerprint(), scenario.layout);
        let joined = self.api.view(number, &shown, &playlist, &scenario.rid, offer).await;
        let answered = Instant::now();
        let mut state = self.state();
        match joined {
            Ok(joined) => {
                state.measures.http.record_time(answered.saturating_duration_since(called));
                let id = PeerId(FIRST_VIEWER + number);
                let watching = Watching { session: joined.session, playlist, switches: 0, is_playing: false };
                state.viewers.insert(id, watching);
                let begun = Begun { called, unix, answered };
                let role = Role::Viewer { cameras: shown, begun, is_made: self.is_made };
                let candidate = self.via.unwrap_or(joined.answer.candidate);
                let client = Client::new(&self.identity, Answer { candidate, ..joined.answer });
                self.viewers.add(id, client, role);
            }
            Err(error) => {
                tracing::debug!(%error, "a join failed");
                state.measures.fail(&error.reason());
                state.joining -= 1;
            }
        }
    }

    /// A viewer goes.
    async fn leave(self: Arc<Self>, session: Session) {
        if let Err(error) = self.api.leave(&session).await {
            self.state().measures.fail(&format!("leaving: {}", error.reason()));
        }
    }

    /// A viewer's next slot is to show its next camera.
    async fn switch(self: Arc<Self>, id: PeerId) {
        let shown = self.share.scenario.shown().max(1);
        let next = {
            let mut state = self.state();
            let Some(watching) = state.viewers.get_mut(&id).filter(|watching| watching.is_playing) else { return };
            let at = watching.switches;
            watching.switches += 1;
            let camera = watching.playlist[(shown + at) % watching.playlist.len()];
            (watching.session.clone(), at % shown, camera)
        };
        let (session, slot, camera) = next;
        if let Err(gone) = self.viewers.switch(id, slot, camera).await {
            tracing::warn!(%gone, "a slot is not switched");
            return;
        }
        if let Err(error) = self.api.switch(&session, slot, camera, &self.share.scenario.rid).await {
            self.state().measures.fail(&format!("switching: {}", error.reason()));
        }
    }
}
