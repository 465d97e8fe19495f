//! The embedded directory: one process, no outside store. Invariant: an entry whose lease has ended is never returned,
//! though it may be swept later.

use crate::{
    Amendment, Clock, ConnectionRecord, Directory, Epoch, Error, Known, NODE_LEASE, Origin, Subscription,
    clock::SystemClock,
};
use async_trait::async_trait;
use protocol::{CameraId, ConnectionId, NodeId, camera::Camera, event::Event, node::NodeRecord};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::broadcast;

/// Events that a subscriber may be behind before it lags.
const BUS_CAPACITY: usize = 1024;
/// Pause between sweeps of ended leases.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A [`Directory`] within one process.
pub struct InProcess {
    state: Mutex<State>,
    bus: broadcast::Sender<Event>,
    clock: Arc<dyn Clock>,
}

struct Lease<T> {
    entry: T,
    ends: Duration,
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<NodeId, Lease<NodeRecord>>,
    origins: HashMap<CameraId, Origin>,
    descriptions: HashMap<CameraId, Lease<Camera>>,
    connections: HashMap<ConnectionId, Lease<ConnectionRecord>>,
    last_epoch: u64,
    next_sweep: Duration,
}

impl Default for InProcess {
    fn default() -> Self {
        Self::with_clock(Arc::new(SystemClock::default()))
    }
}

impl InProcess {
    /// An empty directory on the system's clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty directory whose leases end by `clock`.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let (bus, _) = broadcast::channel(BUS_CAPACITY);
        Self { state: Mutex::default(), bus, clock }
    }

    fn locked(&self) -> (MutexGuard<'_, State>, Duration) {
        let now = self.clock.elapsed();
        // No code panics between two writes of the state, so a poisoned lock still guards a whole one.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= state.next_sweep {
            state.sweep(now);
        }
        (state, now)
    }
}

impl State {
    fn sweep(&mut self, now: Duration) {
        self.nodes.retain(|_, l| l.ends > now);
        self.descriptions.retain(|_, l| l.ends > now);
        self.connections.retain(|_, l| l.ends > now);
        self.next_sweep = now + SWEEP_EVERY;
    }

    fn origin(&self, camera: CameraId, now: Duration) -> Option<Origin> {
        let origin = self.origins.get(&camera)?;
        live(&self.nodes, &origin.node, now).map(|_| origin.clone())
    }

    fn renew(&mut self, node: NodeRecord, now: Duration) {
        self.nodes.insert(node.id.clone(), Lease { entry: node, ends: now + NODE_LEASE });
    }

    fn forget_claims(&mut self, node: &NodeId) {
        self.origins.retain(|_, o| o.node != *node);
    }
}

fn live<'a>(nodes: &'a BTreeMap<NodeId, Lease<NodeRecord>>, id: &NodeId, now: Duration) -> Option<&'a NodeRecord> {
    nodes.get(id).filter(|l| l.ends > now).map(|l| &l.entry)
}

#[async_trait]
impl Directory for InProcess {
    async fn register(&self, node: NodeRecord) -> Result<(), Error> {
        let (mut state, now) = self.locked();
        state.forget_claims(&node.id);
        state.renew(node, now);
        Ok(())
    }

    async fn heartbeat(&self, node: NodeRecord) -> Result<(), Error> {
        let (mut state, now) = self.locked();
        state.renew(node, now);
        Ok(())
    }

    async fn leave(&self, node: &NodeId) -> Result<(), Error> {
        let (mut state, _) = self.locked();
        state.nodes.remove(node);
        state.forget_claims(node);
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<NodeRecord>, Error> {
        let (state, now) = self.locked();
        Ok(state.nodes.values().filter(|l| l.ends > now).map(|l| l.entry.clone()).collect())
    }

    async fn claim_origin(&self, camera: CameraId, node: &NodeId) -> Result<Epoch, Error> {
        let (mut state, _) = self.locked();
        state.last_epoch += 1;
        let epoch = Epoch(state.last_epoch);
        state.origins.insert(camera, Origin { node: node.clone(), epoch });
        Ok(epoch)
    }

    async fn release_origin(&self, camera: CameraId, node: &NodeId, epoch: Epoch) -> Result<bool, Error> {
        let (mut state, _) = self.locked();
        let held = state.origins.get(&camera).is_some_and(|o| o.node == *node && o.epoch == epoch);
        if held {
            state.origins.remove(&camera);
        }
        Ok(held)
    }

    async fn origin(&self, camera: CameraId) -> Result<Option<Origin>, Error> {
        let (state, now) = self.locked();
        Ok(state.origin(camera, now))
    }

    async fn announce(&self, camera: Camera, lease: Duration) -> Result<(), Error> {
        let (mut state, now) = self.locked();
        state.descriptions.insert(camera.id, Lease { entry: camera, ends: now + lease });
        Ok(())
    }

    async fn cameras(&self, ids: &[CameraId]) -> Result<Vec<Known>, Error> {
        let (state, now) = self.locked();
        let description = |id| state.descriptions.get(id).filter(|l| l.ends > now).map(|l| l.entry.clone());
        let known = |id| Known { description: description(id), origin: state.origin(*id, now) };
        Ok(ids.iter().map(known).collect())
    }

    async fn put_connection(&self, record: ConnectionRecord, lease: Duration) -> Result<(), Error> {
        let (mut state, now) = self.locked();
        state.connections.insert(record.connection, Lease { entry: record, ends: now + lease });
        Ok(())
    }

    async fn amend_connection(&self, id: ConnectionId, amendment: Amendment) -> Result<bool, Error> {
        let (mut state, now) = self.locked();
        let Some(held) = state.connections.get_mut(&id).filter(|l| l.ends > now) else { return Ok(false) };
        match amendment {
            Amendment::Grant { until, lease } => (held.entry.until, held.ends) = (until, now + lease),
            Amendment::Ice(ice) => held.entry.ice = Some(ice),
        }
        Ok(true)
    }

    async fn connection(&self, id: ConnectionId) -> Result<Option<ConnectionRecord>, Error> {
        let (state, now) = self.locked();
        Ok(state.connections.get(&id).filter(|l| l.ends > now).map(|l| l.entry.clone()))
    }

    async fn remove_connection(&self, id: ConnectionId) -> Result<bool, Error> {
        let (mut state, now) = self.locked();
        Ok(state.connections.remove(&id).is_some_and(|l| l.ends > now))
    }

    async fn publish(&self, event: Event) -> Result<(), Error> {
        // An error means that nobody listens.
        let _ = self.bus.send(event);
        Ok(())
    }

    fn subscribe(&self) -> Subscription {
        Subscription::new(self.bus.subscribe())
    }
}
