//! What a node answers arrives as the node said it.

use axum::{
    Json, Router,
    http::StatusCode,
    routing::{delete, post},
};
use cluster::{
    NodeClient, NodeError,
    listen::{Config, Listener},
};
use protocol::{
    CameraId, ConnectionId, NodeId, Problem, Rid, SessionId,
    grant::CameraGrant,
    node::{Answer, NodeRecord, NodeState, Publish, Show, View},
};
use std::net::SocketAddr;

fn node() -> NodeRecord {
    let publishers = |Json(p): Json<Publish>| async move { (StatusCode::CREATED, Json(Answer { answer: p.offer })) };
    let viewers = |Json(_): Json<View>| async {
        (StatusCode::NOT_ACCEPTABLE, Json(Problem::new(406, "no_codec", "offer H.264")))
    };
    let router = Router::new()
        .route("/v1/publishers", post(publishers))
        .route("/v1/viewers", post(viewers))
        .route("/v1/connections/{id}", delete(|| async { (StatusCode::IM_A_TEAPOT, "short and stout") }));
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::internal(&Config::plain(addr)).expect("loopback may be plain");
    let url = listener.url();
    tokio::spawn(listener.serve(router, std::future::pending()));
    NodeRecord { id: NodeId("n".into()), url, state: NodeState::Serving, viewers: 0, publishers: 0, load: 0.0 }
}

fn ids() -> (ConnectionId, SessionId, CameraId) {
    let session = SessionId::from_random([2; 16]);
    (ConnectionId::from_random([1; 16]), session, CameraId(session.0))
}

fn view(connection: ConnectionId, session: SessionId, camera: CameraId) -> View {
    let show = vec![Some(Show { camera, max: Rid::low() })];
    let granted = vec![CameraGrant { id: camera, max: Rid::low(), audio: false }];
    View { connection, session, granted, slots: 1, show, listen: None, until: 0, offer: "v=0".into() }
}

#[tokio::test]
async fn answers_problems_and_nonsense_are_told_apart() {
    let (connection, session, camera) = ids();
    let (client, node) = (NodeClient::new(None).expect("no files to read"), node());
    let publish = Publish { connection, session, camera, max: Rid::low(), audio: false, until: 0, offer: "v=0".into() };
    assert_eq!(client.publish(&node, &publish).await.expect("201").answer, "v=0");

    let view = view(connection, session, camera);
    let Err(NodeError::Refused(problem)) = client.view(&node, &view).await else { panic!("it refuses") };
    assert_eq!((problem.status, problem.code.as_str()), (406, "no_codec"));

    let nonsense = client.disconnect(&node, connection).await;
    assert!(matches!(nonsense, Err(NodeError::Malformed { status: 418, .. })), "{nonsense:?}");
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
