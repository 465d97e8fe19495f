//! WHEP, and what WHIP shares with it, as a client meets it.

mod support;

use axum::http::HeaderValue;
use cluster::Directory;
use protocol::{
    Problem, Rid, SessionId,
    event::Event,
    grant::{Audience, CameraGrant},
    node::{MAX_SDP, NodeState, Show},
};
use reqwest::{Method, Response, StatusCode};
use signaling::Cors;
use support::{Asked, OFFER, Stage, camera, header, node_id, now, problem, record, signer};

fn whep(n: u8) -> String {
    format!("/whep/{}", camera(n))
}

async fn send(stage: &Stage, method: Method, path: &str, token: Option<&str>) -> Response {
    let mut request = stage.http.request(method, format!("{}{path}", stage.url));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.expect("answered")
}

#[tokio::test]
async fn an_offer_is_answered_with_its_connection() {
    let stage = Stage::new().await;
    let response = stage.offer(&whep(1), &stage.view()).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(header(&response, "content-type"), "application/sdp");
    assert_eq!(header(&response, "etag"), r#""Ab/+""#);
    let location = header(&response, "location");
    let view = stage.node.last_view();
    assert_eq!(location, format!("/whep/connections/{}", view.connection));
    assert_eq!((view.slots, view.session), (1, SessionId::from_random([5; 16])));
    assert_eq!(view.show, [Some(Show { camera: camera(1), max: Rid::low(), priority: 0 })]);
    assert_eq!((view.granted.len(), view.listen), (1, None), "this grant has no sound");
    assert!(view.until > now() && view.offer == OFFER);
    assert!(response.text().await.expect("a body").starts_with("v=0"));

    let gone = send(&stage, Method::DELETE, &location, Some(&stage.view())).await;
    assert_eq!(gone.status(), StatusCode::OK);
    assert!(matches!(stage.node.asked().pop(), Some(Asked::Disconnect(id)) if id == view.connection));
    problem(send(&stage, Method::DELETE, &location, Some(&stage.view())).await, 404, "no_such_connection").await;
}

#[tokio::test]
async fn a_publisher_is_placed_by_a_publish_grant() {
    let stage = Stage::new().await;
    let path = format!("/whip/{}", camera(1));
    let token = stage.grant(Audience::Publish, |_| {});
    let response = stage.offer(&path, &token).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let location = header(&response, "location");
    assert!(location.starts_with("/whip/connections/"));
    let Some(Asked::Publish(asked)) = stage.node.asked().pop() else { panic!("not asked to publish") };
    assert_eq!((asked.camera, asked.max), (camera(1), Rid::low()), "what the grant says");
    assert!(asked.until > now());
    let as_viewer = location.replace("whip", "whep");
    problem(send(&stage, Method::DELETE, &as_viewer, Some(&stage.view())).await, 404, "no_such_connection").await;
    assert_eq!(send(&stage, Method::DELETE, &location, Some(&token)).await.status(), StatusCode::OK);
    problem(stage.offer(&path, &stage.view()).await, 403, "grant_audience").await;
}

#[tokio::test]
async fn grants_are_checked_on_every_call() {
    let stage = Stage::new().await;
    let nobody = send(&stage, Method::POST, &whep(1), None).await;
    assert_eq!(header(&nobody, "www-authenticate"), "Bearer");
    problem(nobody, 401, "no_grant").await;

    let expired = stage.grant(Audience::View, |c| (c.iat, c.exp) = (now() - 60, now() - 1));
    let refused = stage.offer(&whep(1), &expired).await;
    assert_eq!(header(&refused, "www-authenticate"), r#"Bearer error="invalid_token""#);
    problem(refused, 401, "grant_expired").await;

    problem(stage.offer(&whep(2), &stage.view()).await, 403, "camera_not_granted").await;
    let publish = stage.grant(Audience::Publish, |_| {});
    problem(stage.offer(&whep(1), &publish).await, 403, "grant_audience").await;
    let forged = signer().sign(&support::claims(Audience::View));
    problem(stage.offer(&whep(1), &forged).await, 401, "grant_invalid").await;
    let endless = stage.grant(Audience::View, |c| c.exp = now() + 3600);
    problem(stage.offer(&whep(1), &endless).await, 401, "grant_invalid").await;
    assert!(stage.node.asked().is_empty(), "no node ever heard of these");
}

#[tokio::test]
async fn a_wished_encoding_is_bounded_by_the_grant() {
    let stage = Stage::new().await;
    let grant = |max: &str| {
        let max: Rid = max.parse().expect("a rid");
        stage.grant(Audience::View, |c| c.cameras = vec![CameraGrant { id: camera(1), max, audio: false }])
    };
    for (max, wish, expected) in [("l", "?rid=h", "l"), ("h", "?rid=l", "l"), ("h", "?rid=m", "m"), ("h", "", "h")] {
        let response = stage.offer(&format!("{}{wish}", whep(1)), &grant(max)).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        let shown = stage.node.last_view().show.remove(0).expect("a camera");
        assert_eq!(shown.max.as_str(), expected, "grant {max}, wish '{wish}'");
    }
    problem(stage.offer(&format!("{}?rid=-", whep(1)), &grant("h")).await, 400, "malformed_query").await;
}

#[tokio::test]
async fn the_sound_of_the_camera_is_heard_where_the_grant_allows_it() {
    let stage = Stage::new().await;
    let cameras = [1, 2].map(|n| CameraGrant { id: camera(n), max: Rid::low(), audio: n == 2 });
    let token = stage.grant(Audience::View, |c| c.cameras = cameras.to_vec());
    for (n, expected) in [(1, None), (2, Some(camera(2)))] {
        assert_eq!(stage.offer(&whep(n), &token).await.status(), StatusCode::CREATED);
        let view = stage.node.last_view();
        assert_eq!(view.listen, expected);
        assert_eq!(view.granted, [cameras[usize::from(n) - 1].clone()], "no more than this camera");
    }
}

#[tokio::test]
async fn what_is_no_offer_is_refused() {
    let stage = Stage::new().await;
    let post = |kind: &'static str, body: Vec<u8>| {
        let request = stage.http.post(format!("{}{}", stage.url, whep(1))).bearer_auth(stage.view());
        async move { request.header("content-type", kind).body(body).send().await.expect("answered") }
    };
    problem(post("application/json", OFFER.into()).await, 415, "not_sdp").await;
    problem(post("application/sdp", Vec::new()).await, 400, "malformed_sdp").await;
    problem(post("application/sdp", b"hello".into()).await, 400, "malformed_sdp").await;
    problem(post("application/sdp", vec![0xff; 9]).await, 400, "malformed_sdp").await;
    problem(post("application/sdp", vec![b'v'; MAX_SDP + 1]).await, 413, "too_large").await;
    assert_eq!(post("Application/SDP; charset=utf-8", OFFER.into()).await.status(), StatusCode::CREATED);
    problem(stage.offer("/whep/gate", &stage.view()).await, 404, "no_such_camera").await;
    problem(send(&stage, Method::GET, "/nothing", None).await, 404, "not_found").await;
}

#[tokio::test]
async fn a_stranger_does_not_learn_that_a_connection_exists() {
    let stage = Stage::new().await;
    let location = header(&stage.offer(&whep(1), &stage.view()).await, "location");
    let strangers = [
        stage.grant(Audience::View, |c| c.sub = "parent-2".into()),
        stage.grant(Audience::View, |c| c.sid = SessionId::from_random([6; 16])),
    ];
    for stranger in strangers {
        problem(send(&stage, Method::DELETE, &location, Some(&stranger)).await, 404, "no_such_connection").await;
    }
    problem(send(&stage, Method::DELETE, &location, None).await, 401, "no_grant").await;
    problem(send(&stage, Method::DELETE, "/whep/connections/x", Some(&stage.view())).await, 404, "no_such_connection")
        .await;
    assert!(!stage.node.asked().iter().any(|a| matches!(a, Asked::Disconnect(_))));
    assert_eq!(send(&stage, Method::DELETE, &location, Some(&stage.view())).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn methods_of_no_use_here_are_answered_as_the_standards_say() {
    let stage = Stage::new().await;
    let session = "/whep/connections/00000000-0000-0000-0000-000000000000";
    for path in [whep(1).as_str(), session] {
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(send(&stage, method, path, None).await.status(), StatusCode::NO_CONTENT);
        }
        let put = send(&stage, Method::PUT, path, None).await;
        let allowed = header(&put, "allow");
        assert!(allowed.contains("GET"), "{allowed}");
        problem(put, 405, "method_not_allowed").await;
    }
    let options = send(&stage, Method::OPTIONS, session, None).await;
    assert_eq!(header(&options, "accept-patch"), "application/trickle-ice-sdpfrag");
    assert_eq!(header(&options, "allow"), "DELETE, GET, HEAD, OPTIONS, PATCH");
    let options = send(&stage, Method::OPTIONS, &whep(1), None).await;
    assert_eq!(options.status(), StatusCode::OK);
    assert_eq!(header(&options, "accept-post"), "application/sdp");
    assert_eq!(header(&options, "allow"), "GET, HEAD, OPTIONS, POST");
}

#[tokio::test]
async fn browsers_may_call_from_allowed_origins_and_read_the_headers() {
    let open = Stage::new().await;
    let preflight = |stage: &Stage, origin: &'static str| {
        let request = stage.http.request(Method::OPTIONS, format!("{}{}", stage.url, whep(1)));
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        request.header("access-control-request-headers", "authorization,content-type").send()
    };
    let allowed = preflight(&open, "https://any.example").await.expect("answered");
    assert_eq!(allowed.status(), StatusCode::OK);
    assert_eq!(header(&allowed, "access-control-allow-origin"), "*");
    assert!(header(&allowed, "access-control-allow-headers").contains("authorization"));
    assert!(header(&allowed, "access-control-allow-methods").contains("DELETE"));

    let request = open.http.post(format!("{}{}", open.url, whep(1))).header("origin", "https://any.example");
    let request = request.header("content-type", "application/sdp").bearer_auth(open.view()).body(OFFER);
    let exposed = header(&request.send().await.expect("answered"), "access-control-expose-headers");
    for name in ["location", "link", "etag"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    let refused = open.http.post(format!("{}{}", open.url, whep(1))).header("origin", "https://any.example").send();
    assert_eq!(header(&refused.await.expect("answered"), "access-control-allow-origin"), "*", "errors can be read");

    let origins = vec![HeaderValue::from_static("https://app.example")];
    let strict = Stage::with(Cors { origins }).await;
    let ours = preflight(&strict, "https://app.example").await.expect("answered");
    assert_eq!(header(&ours, "access-control-allow-origin"), "https://app.example");
    let theirs = preflight(&strict, "https://evil.example").await.expect("answered");
    assert!(theirs.headers().get("access-control-allow-origin").is_none());
}

#[tokio::test]
async fn what_a_node_refuses_is_passed_on() {
    let stage = Stage::new().await;
    for (status, code) in
        [(403, "encoding_not_granted"), (406, "no_codec"), (422, "unanswerable"), (400, "bad_sdp"), (503, "full")]
    {
        stage.node.refuse(Problem::new(status, code, "said by the node itself"));
        let response = stage.offer(&whep(1), &stage.view()).await;
        assert_eq!(response.headers().contains_key("retry-after"), status == 503);
        assert_eq!(problem(response, status, code).await.detail, "said by the node itself");
    }
    stage.node.refuse(Problem::new(500, "broken", "secret of the node"));
    let hidden = problem(stage.offer(&whep(1), &stage.view()).await, 502, "node_refuses").await;
    assert!(!hidden.detail.contains("secret"), "{hidden:?}");
    let id = stage.node.last_view().connection;
    assert_eq!(stage.directory.connection(id).await.expect("in process"), None, "no record of what never was");
}

#[tokio::test]
async fn without_a_node_the_client_is_told_when_to_try_again() {
    let stage = Stage::new().await;
    let away = record("http://127.0.0.1:9".into());
    stage.directory.heartbeat(away.clone()).await.expect("in process");
    let unreachable = stage.offer(&whep(1), &stage.view()).await;
    assert_eq!(header(&unreachable, "retry-after"), "3");
    problem(unreachable, 503, "node_unreachable").await;

    let mut draining = away;
    draining.state = NodeState::Draining;
    stage.directory.heartbeat(draining).await.expect("in process");
    let none = stage.offer(&whep(1), &stage.view()).await;
    assert_eq!(header(&none, "retry-after"), "3");
    problem(none, 503, "no_node").await;
}

#[tokio::test]
async fn a_connection_that_ended_on_its_node_is_forgotten() {
    let stage = Stage::new().await;
    stage.offer(&whep(1), &stage.view()).await;
    let connection = stage.node.last_view().connection;
    assert!(stage.directory.connection(connection).await.expect("in process").is_some());
    stage.directory.publish(Event::Ended { connection }).await.expect("in process");
    while stage.directory.connection(connection).await.expect("in process").is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_of_a_node_that_is_gone_can_still_be_closed() {
    let stage = Stage::new().await;
    let location = header(&stage.offer(&whep(1), &stage.view()).await, "location");
    stage.directory.leave(&node_id()).await.expect("in process");
    assert_eq!(send(&stage, Method::DELETE, &location, Some(&stage.view())).await.status(), StatusCode::OK);
}
