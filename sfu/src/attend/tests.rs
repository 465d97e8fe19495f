//! What the directory hears when publishers follow each other, and when it does not answer.

use crate::config::Config;
use crate::mailbox::mailbox;
use crate::metrics::Metrics;
use crate::node::{Node, ShardEnd};
use async_trait::async_trait;
use cluster::{Amendment, ConnectionRecord, Directory, Epoch, Error, InProcess, Known, Origin, Received, Subscription};
use protocol::camera::Camera;
use protocol::event::Event;
use protocol::node::{NodeRecord, NodeState};
use protocol::{CameraId, ConnectionId, NodeId};
use sfu_core::dtls::Fingerprint;
use sfu_core::{CameraKey, EncodingId, Notice, PeerId, Rid, ShardId, Track};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);
const OLD: (PeerId, ShardId) = (PeerId(1), ShardId(0));
const NEW: (PeerId, ShardId) = (PeerId(2), ShardId(1));

/// A directory that refuses so many claims and releases first.
#[derive(Default)]
struct Flaky {
    inner: InProcess,
    refusals: AtomicU32,
}

impl Flaky {
    fn answers(&self) -> Result<(), Error> {
        let refuses = self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if refuses { Err(Error::Unavailable("refused by the test".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Directory for Flaky {
    async fn register(&self, node: NodeRecord) -> Result<(), Error> {
        self.inner.register(node).await
    }
    async fn heartbeat(&self, node: NodeRecord) -> Result<(), Error> {
        self.inner.heartbeat(node).await
    }
    async fn leave(&self, node: &NodeId) -> Result<(), Error> {
        self.inner.leave(node).await
    }
    async fn nodes(&self) -> Result<Vec<NodeRecord>, Error> {
        self.inner.nodes().await
    }
    async fn claim_origin(&self, camera: CameraId, node: &NodeId) -> Result<Epoch, Error> {
        self.answers()?;
        self.inner.claim_origin(camera, node).await
    }
    async fn release_origin(&self, camera: CameraId, node: &NodeId, epoch: Epoch) -> Result<bool, Error> {
        self.answers()?;
        self.inner.release_origin(camera, node, epoch).await
    }
    async fn origin(&self, camera: CameraId) -> Result<Option<Origin>, Error> {
        self.inner.origin(camera).await
    }
    async fn announce(&self, camera: Camera, lease: Duration) -> Result<(), Error> {
        self.inner.announce(camera, lease).await
    }
    async fn cameras(&self, ids: &[CameraId]) -> Result<Vec<Known>, Error> {
        self.inner.cameras(ids).await
    }
    async fn put_connection(&self, record: ConnectionRecord, lease: Duration) -> Result<(), Error> {
        self.inner.put_connection(record, lease).await
    }
    async fn amend_connection(&self, id: ConnectionId, amendment: Amendment) -> Result<bool, Error> {
        self.inner.amend_connection(id, amendment).await
    }
    async fn connection(&self, id: ConnectionId) -> Result<Option<ConnectionRecord>, Error> {
        self.inner.connection(id).await
    }
    async fn remove_connection(&self, id: ConnectionId) -> Result<bool, Error> {
        self.inner.remove_connection(id).await
    }
    async fn publish(&self, event: Event) -> Result<(), Error> {
        self.inner.publish(event).await
    }
    fn subscribe(&self) -> Subscription {
        self.inner.subscribe()
    }
}

/// A node whose shards are the test.
struct Stage {
    directory: Arc<Flaky>,
    events: Subscription,
    notices: UnboundedSender<(ShardId, Notice)>,
    key: CameraKey,
    _end: oneshot::Sender<()>,
}

fn camera() -> CameraId {
    "01935f00-0000-7000-8000-000000000001".parse().expect("a uuid")
}

impl Stage {
    async fn new(refusals: u32) -> Self {
        let directory = Arc::new(Flaky { refusals: refusals.into(), ..Flaky::default() });
        let end = || ShardEnd { mailbox: mailbox().expect("an event file").0, candidates: Vec::new() };
        let metrics = Metrics::new(Vec::new(), Handle::current()).expect("they differ");
        let fingerprint = Fingerprint([0; 32]);
        let shared = Arc::clone(&directory) as Arc<dyn Directory>;
        let node = Node::new(Config::default(), String::new(), fingerprint, vec![end(), end()], shared, metrics);
        directory.register(node.record(NodeState::Serving)).await.expect("in process");
        let key = node.state().camera_key(camera());
        let (notices, receiver) = unbounded_channel();
        let (end, ended) = oneshot::channel();
        let events = directory.subscribe();
        tokio::spawn(async move { node.attend(receiver, ended).await });
        Self { directory, events, notices, key, _end: end }
    }

    fn notice(&self, shard: ShardId, notice: Notice) {
        self.notices.send((shard, notice)).expect("the node attends");
    }

    fn published(&self, (peer, shard): (PeerId, ShardId)) {
        self.notice(shard, Notice::Published(peer, self.key));
    }

    fn unpublished(&self, (peer, shard): (PeerId, ShardId)) {
        self.notice(shard, Notice::Unpublished(peer, self.key));
    }

    fn wanted(&self, (_, shard): (PeerId, ShardId), wanted: bool) {
        self.notice(shard, Notice::Wanted(EncodingId { camera: self.key, track: Track::Video(Rid::SINGLE) }, wanted));
    }

    async fn next(&mut self) -> Event {
        match timeout(PATIENCE, self.events.next()).await.expect("in time") {
            Some(Received::Event(event)) => event,
            other => panic!("{other:?}"),
        }
    }

    async fn is_origin(&self) -> bool {
        self.directory.origin(camera()).await.expect("in process").is_some()
    }
}

#[tokio::test]
async fn a_dying_older_publisher_takes_nothing_from_the_newer_one() {
    let mut stage = Stage::new(0).await;
    stage.published(OLD);
    assert!(matches!(stage.next().await, Event::Published { .. }));
    stage.published(NEW);
    assert!(matches!(stage.next().await, Event::Published { .. }));
    stage.wanted(NEW, true);
    assert!(matches!(stage.next().await, Event::Wanted { encodings, .. } if encodings.len() == 1));
    stage.wanted(OLD, false);
    stage.unpublished(OLD);
    stage.wanted(NEW, true);
    assert!(matches!(stage.next().await, Event::Wanted { encodings, .. } if encodings.len() == 1), "nothing between");
    assert!(stage.is_origin().await);
    stage.unpublished(NEW);
    assert!(matches!(stage.next().await, Event::Unpublished { .. }));
    assert!(!stage.is_origin().await);
}

#[tokio::test]
async fn a_claim_and_a_release_that_fail_are_tried_again() {
    let mut stage = Stage::new(2).await;
    stage.published(NEW);
    assert!(matches!(stage.next().await, Event::Published { .. }));
    assert!(stage.is_origin().await);
    stage.directory.refusals.store(2, Ordering::SeqCst);
    stage.unpublished(NEW);
    assert!(matches!(stage.next().await, Event::Unpublished { .. }));
    assert!(!stage.is_origin().await);
}

#[tokio::test]
async fn a_camera_that_is_gone_before_its_claim_succeeds_is_never_claimed() {
    let mut stage = Stage::new(1).await;
    stage.published(NEW);
    stage.unpublished(NEW);
    assert!(matches!(stage.next().await, Event::Unpublished { .. }));
    assert!(!stage.is_origin().await);
}
