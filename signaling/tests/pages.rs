//! What pages and operators ask: cameras, time, health.

mod support;

use cluster::Directory;
use protocol::{
    Rid,
    camera::{Camera, Encoding, List},
    grant::{Audience, CameraGrant},
    node::NodeState,
};
use std::time::Duration;
use support::{Stage, camera, node_id, now, problem, record};

fn encoding(rid: Rid) -> Encoding {
    Encoding { rid, width: Some(640), height: Some(360) }
}

#[tokio::test]
async fn a_viewer_sees_the_cameras_of_its_grant_and_no_larger_encodings() {
    let stage = Stage::new().await;
    let encodings = vec![encoding(Rid::high()), encoding(Rid::low())];
    for n in [1, 2, 3] {
        let camera = Camera { id: camera(n), name: format!("camera {n}"), encodings: encodings.clone(), audio: None };
        stage.directory.announce(camera, Duration::from_secs(60)).await.expect("in process");
    }
    stage.directory.claim_origin(camera(2), &node_id()).await.expect("in process");
    let grant = |n, max| CameraGrant { id: camera(n), max, audio: false };
    let token = stage.grant(Audience::View, |c| {
        c.cameras = vec![grant(2, Rid::high()), grant(9, Rid::high()), grant(1, Rid::low())];
    });
    let response = stage.http.get(format!("{}/v1/cameras", stage.url)).bearer_auth(token).send().await;
    let list: List = response.expect("answered").json().await.expect("a list");
    let told: Vec<_> =
        list.cameras.iter().map(|c| (c.camera.name.as_str(), c.camera.encodings.len(), c.live)).collect();
    assert_eq!(told, [("camera 2", 2, true), ("", 0, false), ("camera 1", 1, false)]);
    assert_eq!(list.cameras[2].camera.encodings, [encoding(Rid::low())]);

    problem(stage.http.get(format!("{}/v1/cameras", stage.url)).send().await.expect("answered"), 401, "no_grant").await;
}

#[tokio::test]
async fn the_clock_is_told_to_everybody_and_never_cached() {
    let stage = Stage::new().await;
    let response = stage.http.get(format!("{}/v1/time", stage.url)).send().await.expect("answered");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let body: serde_json::Value = response.json().await.expect("JSON");
    let seconds = body["unix_us"].as_u64().expect("a number") / 1_000_000;
    assert!(seconds.abs_diff(now()) <= 2);
}

#[tokio::test]
async fn it_is_ready_while_a_node_serves() {
    let stage = Stage::new().await;
    let get = |path: &str| stage.http.get(format!("{}{path}", stage.internal)).send();
    assert_eq!(get("/readyz").await.expect("answered").status(), 200);
    let mut draining = record(String::new());
    draining.state = NodeState::Draining;
    stage.directory.heartbeat(draining).await.expect("in process");
    problem(get("/readyz").await.expect("answered"), 503, "no_node").await;
    assert_eq!(get("/healthz").await.expect("answered").status(), 200);

    stage.offer("/whep/nonsense", &stage.view()).await;
    let metrics = get("/metrics").await.expect("answered").text().await.expect("a body");
    let line = r#"sunroom_signaling_calls_total{route="/whep/{camera}",status="404"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
    assert_eq!(stage.http.get(format!("{}/metrics", stage.url)).send().await.expect("answered").status(), 404);
}
