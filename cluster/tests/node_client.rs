//! What a node answers arrives as the node said it.

use axum::{
    Json, Router,
    body::Body,
    http::StatusCode,
    response::IntoResponse,
    routing::{delete, get, patch, post},
};
use cluster::{
    Here, NodeClient, NodeError,
    listen::{Config, Listener},
};
use futures_util::{StreamExt, stream};
use protocol::{
    CameraId, ConnectionId, NodeId, Problem, Rid, SessionId,
    grant::CameraGrant,
    node::{Answer, Change, NodeRecord, NodeState, Publish, Restarted, Show, SlotChange, View},
};
use std::{convert::Infallible, net::SocketAddr, time::Duration};

fn api() -> Router {
    let publishers = |Json(p): Json<Publish>| async move { (StatusCode::CREATED, Json(Answer { answer: p.offer })) };
    let viewers = |Json(_): Json<View>| async {
        (StatusCode::NOT_ACCEPTABLE, Json(Problem::new(406, "no_codec", "offer H.264")))
    };
    let changed = |Json(change): Json<Change>| async move {
        match change.slots.first() {
            None => StatusCode::NO_CONTENT.into_response(),
            Some(_) => (StatusCode::UNPROCESSABLE_ENTITY, Json(Problem::new(422, "no_such_slot", "it has one")))
                .into_response(),
        }
    };
    let restarted = || async { Json(Restarted { fragment: "a=ice-ufrag:new\r\n".into() }) };
    // Two pieces, then silence.
    let events = || async {
        let spoken = stream::iter(["data: 1\n\n", "data: 2\n\n"].map(Ok::<_, Infallible>));
        Body::from_stream(spoken.chain(stream::pending()))
    };
    Router::new()
        .route("/v1/publishers", post(publishers))
        .route("/v1/viewers", post(viewers))
        .route("/v1/viewers/{id}", patch(changed))
        .route("/v1/viewers/{id}/events", get(events))
        .route("/v1/connections/{id}/restart", post(restarted))
        .route("/v1/connections/{id}", delete(|| async { (StatusCode::IM_A_TEAPOT, "short and stout") }))
}

fn record(url: String) -> NodeRecord {
    NodeRecord { id: NodeId("n".into()), url, state: NodeState::Serving, viewers: 0, publishers: 0, load: 0.0 }
}

fn node() -> NodeRecord {
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::internal(&Config::plain(addr)).expect("loopback may be plain");
    let url = listener.url();
    tokio::spawn(listener.serve(api(), std::future::pending()));
    record(url)
}

/// A client and a node that it reaches over the network; and the same in one process, where nothing listens at its URL.
fn both() -> [(NodeClient, NodeRecord, Option<Here>); 2] {
    let client = || NodeClient::new(None).expect("no files to read");
    let (near, beside) = (record("http://127.0.0.1:1".to_owned()), client());
    let here = beside.reach(&near.url, api());
    [(client(), node(), None), (beside, near, Some(here))]
}

fn ids() -> (ConnectionId, SessionId, CameraId) {
    let session = SessionId::from_random([2; 16]);
    (ConnectionId::from_random([1; 16]), session, CameraId(session.0))
}

fn view(connection: ConnectionId, session: SessionId, camera: CameraId) -> View {
    let show = vec![Some(Show { camera, max: Rid::low(), priority: 0 })];
    let granted = vec![CameraGrant { id: camera, max: Rid::low(), audio: false }];
    View { connection, session, granted, slots: 1, show, listen: None, until: 0, offer: "v=0".into() }
}

#[tokio::test]
async fn answers_problems_and_nonsense_are_told_apart() {
    let (connection, session, camera) = ids();
    for (client, node, _here) in both() {
        let publish =
            Publish { connection, session, camera, max: Rid::low(), audio: false, until: 0, offer: "v=0".into() };
        assert_eq!(client.publish(&node, &publish).await.expect("201").answer, "v=0");

        let view = view(connection, session, camera);
        let Err(NodeError::Refused(problem)) = client.view(&node, &view).await else { panic!("it refuses") };
        assert_eq!((problem.status, problem.code.as_str()), (406, "no_codec"));

        let nonsense = client.disconnect(&node, connection).await;
        assert!(matches!(nonsense, Err(NodeError::Malformed { status: 418, .. })), "{nonsense:?}");
    }
}

#[tokio::test]
async fn a_viewer_is_changed_and_a_connection_restarted() {
    let (connection, _, camera) = ids();
    for (client, node, _here) in both() {
        let renewal = Change { granted: Vec::new(), until: 9, slots: Vec::new(), listen: None };
        client.change(&node, connection, &renewal).await.expect("204");
        let slot = SlotChange { slot: 3, show: Some(Show { camera, max: Rid::low(), priority: 0 }) };
        let refused = client.change(&node, connection, &Change { slots: vec![slot], ..renewal }).await;
        assert!(matches!(refused, Err(NodeError::Refused(p)) if p.code == "no_such_slot"));
        assert_eq!(client.restart(&node, connection).await.expect("200").fragment, "a=ice-ufrag:new\r\n");
    }
}

#[tokio::test]
async fn events_flow_as_they_are_written_and_silence_ends_them() {
    let (connection, ..) = ids();
    for (client, node, _here) in both() {
        let silence = Duration::from_millis(200);
        let mut events = client.events(&node, connection, silence).await.expect("200");
        let mut heard = Vec::new();
        let error = loop {
            match events.next().await {
                Ok(Some(piece)) => heard.extend_from_slice(&piece),
                Ok(None) => panic!("the node does not end it"),
                Err(error) => break error,
            }
        };
        assert_eq!(heard, b"data: 1\n\ndata: 2\n\n");
        assert!(matches!(error, NodeError::Silent { time, .. } if time == silence), "{error}");
    }
}

#[tokio::test]
async fn a_node_that_is_away_is_named_without_its_address() {
    let (connection, ..) = ids();
    let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
    let node = NodeRecord { url: format!("http://{unused}"), ..node() };
    let error = NodeClient::new(None).expect("no files").disconnect(&node, connection).await.expect_err("away");
    assert!(matches!(error, NodeError::Unreachable { .. }));
    assert!(error.to_string().contains("node n") && !error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn a_node_of_this_process_that_has_ended_is_away() {
    let (connection, ..) = ids();
    let [_, (client, node, here)] = both();
    let renewal = Change { granted: Vec::new(), until: 9, slots: Vec::new(), listen: None };
    client.change(&node, connection, &renewal).await.expect("204");
    drop(here);
    let error = client.change(&node, connection, &renewal).await.expect_err("nothing listens there");
    assert!(matches!(error, NodeError::Unreachable { .. }), "{error}");
}
