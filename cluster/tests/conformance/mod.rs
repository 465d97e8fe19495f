//! What every [`Directory`] has to do, whatever stands behind it. A store proves itself by one test that calls
//! [`conforms`] with a fresh, empty directory for each [`Subject`] it is asked for.

use async_trait::async_trait;
use cluster::{Amendment, ConnectionRecord, Directory, Epoch, IceSession, Known, NODE_LEASE, Origin, Received};
use protocol::{
    CameraId, ConnectionId, NodeId, SessionId,
    camera::Camera,
    event::Event,
    grant::Audience,
    node::{NodeRecord, NodeState},
};
use std::{sync::Arc, time::Duration};

/// A fresh directory, and a way to let its leases run.
#[async_trait]
pub(crate) trait Subject: Send + Sync {
    /// The directory. Every call gives the same one.
    fn directory(&self) -> Arc<dyn Directory>;
    /// Lets this much time pass for leases.
    async fn pass(&self, time: Duration);
}

/// Proves a store by fresh subjects from `make`.
pub(crate) async fn conforms<S: Subject>(make: impl Fn() -> S) {
    nodes_live_by_heartbeats(&make()).await;
    a_newer_claim_supersedes(&make()).await;
    claims_end_with_their_node(&make()).await;
    descriptions_lapse(&make()).await;
    connections_lapse_and_are_removed_once(&make()).await;
    a_connection_is_amended_while_it_lives(&make()).await;
    events_reach_every_subscriber(&make()).await;
    a_slow_subscriber_learns_that_it_lagged(&make()).await;
}

fn node(name: &str, load: f64) -> NodeRecord {
    let url = format!("http://{name}:1");
    NodeRecord { id: NodeId(name.into()), url, state: NodeState::Serving, viewers: 0, publishers: 0, load }
}

fn camera(n: u8) -> CameraId {
    CameraId(SessionId::from_random([n; 16]).0)
}

async fn nodes_live_by_heartbeats(subject: &impl Subject) {
    let d = subject.directory();
    assert!(d.nodes().await.expect("answers").is_empty());
    d.register(node("b", 0.1)).await.expect("answers");
    d.register(node("a", 0.1)).await.expect("answers");
    assert_eq!(d.nodes().await.expect("answers"), [node("a", 0.1), node("b", 0.1)]);

    subject.pass(NODE_LEASE * 2 / 3).await;
    d.heartbeat(node("a", 0.7)).await.expect("answers");
    subject.pass(NODE_LEASE * 2 / 3).await;
    assert_eq!(d.nodes().await.expect("answers"), [node("a", 0.7)], "b fell silent");

    d.heartbeat(node("b", 0.2)).await.expect("answers");
    assert_eq!(d.nodes().await.expect("answers").len(), 2, "a heartbeat makes a node known again");
    d.leave(&NodeId("a".into())).await.expect("answers");
    assert_eq!(d.nodes().await.expect("answers"), [node("b", 0.2)]);
}

async fn a_newer_claim_supersedes(subject: &impl Subject) {
    let d = subject.directory();
    let (a, b) = (NodeId("a".into()), NodeId("b".into()));
    d.register(node("a", 0.0)).await.expect("answers");
    d.register(node("b", 0.0)).await.expect("answers");
    assert_eq!(d.origin(camera(1)).await.expect("answers"), None);

    let first = d.claim_origin(camera(1), &a).await.expect("answers");
    let second = d.claim_origin(camera(1), &b).await.expect("answers");
    assert!(second > first);
    let held = Some(Origin { node: b.clone(), epoch: second });
    assert_eq!(d.origin(camera(1)).await.expect("answers"), held);

    assert!(!d.release_origin(camera(1), &a, first).await.expect("answers"), "superseded");
    assert!(!d.release_origin(camera(1), &a, second).await.expect("answers"), "another node's");
    assert!(!d.release_origin(camera(1), &b, Epoch(second.0 + 1)).await.expect("answers"), "never given");
    assert_eq!(d.origin(camera(1)).await.expect("answers"), held);
    assert!(d.release_origin(camera(1), &b, second).await.expect("answers"));
    assert!(!d.release_origin(camera(1), &b, second).await.expect("answers"), "released already");
    assert_eq!(d.origin(camera(1)).await.expect("answers"), None);

    let third = d.claim_origin(camera(1), &b).await.expect("answers");
    assert!(third > second, "epochs grow over a release too");
}

async fn claims_end_with_their_node(subject: &impl Subject) {
    let d = subject.directory();
    let a = NodeId("a".into());
    d.register(node("a", 0.0)).await.expect("answers");
    d.claim_origin(camera(1), &a).await.expect("answers");

    subject.pass(NODE_LEASE + Duration::from_millis(100)).await;
    assert_eq!(d.origin(camera(1)).await.expect("answers"), None, "its node is silent");
    d.heartbeat(node("a", 0.0)).await.expect("answers");
    assert!(d.origin(camera(1)).await.expect("answers").is_some(), "the same life of the node goes on");

    d.register(node("a", 0.0)).await.expect("answers");
    assert_eq!(d.origin(camera(1)).await.expect("answers"), None, "a new life has no publishers");
    d.claim_origin(camera(1), &a).await.expect("answers");
    d.leave(&a).await.expect("answers");
    d.heartbeat(node("a", 0.0)).await.expect("answers");
    assert_eq!(d.origin(camera(1)).await.expect("answers"), None, "it left in good order");
}

async fn descriptions_lapse(subject: &impl Subject) {
    let d = subject.directory();
    let named = |name: &str| Camera { id: camera(1), name: name.into(), encodings: Vec::new(), audio: None };
    d.announce(named("gate"), Duration::from_secs(10)).await.expect("answers");
    d.announce(named("yard"), Duration::from_secs(2)).await.expect("answers");
    d.register(node("a", 0.0)).await.expect("answers");
    let epoch = d.claim_origin(camera(2), &NodeId("a".into())).await.expect("answers");

    let known = d.cameras(&[camera(2), camera(3), camera(1)]).await.expect("answers");
    let origin = Some(Origin { node: NodeId("a".into()), epoch });
    let yard = Known { description: Some(named("yard")), origin: None };
    assert_eq!(known, [Known { description: None, origin }, Known::default(), yard], "in the order asked");
    subject.pass(Duration::from_secs(3)).await;
    assert_eq!(d.cameras(&[camera(1)]).await.expect("answers"), [Known::default()], "the latest lease counts");
}

fn record(n: u8) -> ConnectionRecord {
    ConnectionRecord {
        connection: ConnectionId::from_random([n; 16]),
        session: SessionId::from_random([9; 16]),
        subject: "parent".into(),
        audience: Audience::View,
        node: NodeId("a".into()),
        until: 1,
        ice: None,
    }
}

async fn connections_lapse_and_are_removed_once(subject: &impl Subject) {
    let d = subject.directory();
    for n in [1, 2] {
        d.put_connection(record(n), Duration::from_secs(2)).await.expect("answers");
    }
    assert_eq!(d.connection(record(1).connection).await.expect("answers"), Some(record(1)));
    assert!(d.remove_connection(record(1).connection).await.expect("answers"));
    assert!(!d.remove_connection(record(1).connection).await.expect("answers"));
    assert_eq!(d.connection(record(1).connection).await.expect("answers"), None);

    subject.pass(Duration::from_secs(3)).await;
    assert_eq!(d.connection(record(2).connection).await.expect("answers"), None, "lapsed");
    assert!(!d.remove_connection(record(2).connection).await.expect("answers"));
}

async fn a_connection_is_amended_while_it_lives(subject: &impl Subject) {
    let d = subject.directory();
    let id = record(1).connection;
    let ice = IceSession { ours: "o".into(), theirs: Some("t".into()) };
    let renewed = Amendment::Grant { until: 9, lease: Duration::from_secs(10) };
    assert!(!d.amend_connection(id, renewed.clone()).await.expect("answers"), "it makes none");
    d.put_connection(record(1), Duration::from_secs(2)).await.expect("answers");
    assert!(d.amend_connection(id, Amendment::Ice(ice.clone())).await.expect("answers"));
    assert!(d.amend_connection(id, renewed.clone()).await.expect("answers"));
    subject.pass(Duration::from_secs(3)).await;
    let amended = ConnectionRecord { until: 9, ice: Some(ice.clone()), ..record(1) };
    assert_eq!(d.connection(id).await.expect("answers"), Some(amended), "both hold, and the longer lease");
    subject.pass(Duration::from_secs(8)).await;
    assert!(!d.amend_connection(id, Amendment::Ice(ice)).await.expect("answers"), "lapsed");
    assert!(!d.amend_connection(id, renewed).await.expect("answers"), "and not revived");
    assert_eq!(d.connection(id).await.expect("answers"), None);
}

async fn events_reach_every_subscriber(subject: &impl Subject) {
    let d = subject.directory();
    let ended = |n: u8| Event::Ended { connection: ConnectionId::from_random([n; 16]) };
    d.publish(ended(0)).await.expect("nobody listens, and that is no error");
    let mut readers = [d.subscribe(), d.subscribe()];
    d.publish(ended(1)).await.expect("answers");
    d.publish(ended(2)).await.expect("answers");
    for reader in &mut readers {
        for n in [1, 2] {
            assert_eq!(reader.next().await, Some(Received::Event(ended(n))));
        }
    }
}

async fn a_slow_subscriber_learns_that_it_lagged(subject: &impl Subject) {
    let d = subject.directory();
    let mut slow = d.subscribe();
    for n in 0..5_000_u32 {
        let mut bits = [0; 16];
        bits[..4].copy_from_slice(&n.to_be_bytes());
        d.publish(Event::Ended { connection: ConnectionId::from_random(bits) }).await.expect("never blocks");
    }
    let Some(Received::Lagged(lost)) = slow.next().await else { panic!("it was not told") };
    assert!(lost > 0);
    assert!(matches!(slow.next().await, Some(Received::Event(_))), "and then reads on");
}
