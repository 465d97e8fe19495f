//! Trickle ICE and ICE restarts (RFC 9725, section 4.3), on each kind of connection.

mod support;

use cluster::Directory;
use protocol::{ConnectionId, Problem, grant::Audience};
use reqwest::{Method, Response};
use serde_json::Value;
use support::{Asked, PASSWORD, Stage, camera, header, problem};

const KIND: &str = "application/trickle-ice-sdpfrag";

fn fragment(ufrag: &str) -> String {
    format!(
        "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{PASSWORD}\r\n\
         a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r\na=end-of-candidates\r\n"
    )
}

async fn patch(stage: &Stage, path: &str, token: &str, if_match: Option<&str>, kind: &str, body: &str) -> Response {
    let mut request = stage.http.request(Method::PATCH, format!("{}{path}", stage.url)).bearer_auth(token);
    if let Some(tags) = if_match {
        request = request.header("if-match", tags);
    }
    request.header("content-type", kind).body(body.to_owned()).send().await.expect("answered")
}

async fn trickle(stage: &Stage, path: &str, if_match: &str, ufrag: &str) -> Response {
    patch(stage, path, &stage.view(), Some(if_match), KIND, &fragment(ufrag)).await
}

fn restarts(stage: &Stage) -> usize {
    stage.node.asked().iter().filter(|a| matches!(a, Asked::Restart(_))).count()
}

#[tokio::test]
async fn every_kind_of_connection_restarts_and_names_its_new_ice_session() {
    let stage = Stage::new().await;
    let publisher = stage.grant(Audience::Publish, |_| {});
    let whip = header(&stage.offer(&format!("/whip/{}", camera(1)), &publisher).await, "location");
    let whep = header(&stage.offer(&format!("/whep/{}", camera(1)), &stage.view()).await, "location");
    let session = stage.session(&stage.view()).await;
    for (n, (path, token)) in [(whip, &publisher), (whep, &stage.view()), (session, &stage.view())].iter().enumerate() {
        let restarted = patch(&stage, path, token, Some("*"), KIND, &fragment("new1")).await;
        assert_eq!(restarted.status(), 200, "{path}");
        assert_eq!(header(&restarted, "content-type"), KIND);
        assert_eq!(header(&restarted, "etag"), format!("\"ice{}\"", n + 1));
        let body = restarted.text().await.expect("a body");
        assert!(body.contains(&format!("a=ice-ufrag:ice{}\r\na=ice-pwd:", n + 1)), "{body}");
        let id: ConnectionId = path.rsplit('/').next().expect("an id").parse().expect("a UUID");
        assert!(matches!(stage.node.asked().pop(), Some(Asked::Restart(asked)) if asked == id));
    }
}

#[tokio::test]
async fn candidates_are_taken_for_the_present_ice_session_only() {
    let stage = Stage::new().await;
    let path = stage.session(&stage.view()).await;
    let taken = trickle(&stage, &path, r#""Ab/+""#, "peer").await;
    assert_eq!(taken.status(), 204);
    assert!(!taken.headers().contains_key("etag"), "RFC 9725, section 4.3.2");
    assert_eq!(trickle(&stage, &path, r#""other", "Ab/+""#, "peer").await.status(), 204);
    for stale in [r#""other""#, r#"W/"Ab/+""#, r#""""#] {
        problem(trickle(&stage, &path, stale, "peer").await, 412, "precondition_failed").await;
    }
    for nonsense in ["Ab/+", r#""Ab/+"#, r#""a" "b""#, "*, *"] {
        problem(trickle(&stage, &path, nonsense, "peer").await, 400, "malformed_if_match").await;
    }
    let unconditional = patch(&stage, &path, &stage.view(), None, KIND, &fragment("peer")).await;
    let told = problem(unconditional, 428, "precondition_required").await;
    assert_eq!(told.title, "Precondition Required");
    assert_eq!(restarts(&stage), 0);

    // As the standard's example writes it.
    assert_eq!(trickle(&stage, &path, r#""*""#, "new1").await.status(), 200);
    problem(trickle(&stage, &path, r#""Ab/+""#, "new1").await, 412, "precondition_failed").await;
    assert_eq!(trickle(&stage, &path, r#""ice1""#, "new1").await.status(), 204);
    assert_eq!(restarts(&stage), 1);
}

#[tokio::test]
async fn new_credentials_are_a_restart_whatever_the_condition() {
    let stage = Stage::new().await;
    let path = stage.session(&stage.view()).await;
    let restarted = trickle(&stage, &path, r#""Ab/+""#, "new1").await;
    assert_eq!((restarted.status().as_u16(), header(&restarted, "etag").as_str()), (200, r#""ice1""#));
    problem(trickle(&stage, &path, r#""Ab/+""#, "new2").await, 412, "precondition_failed").await;
}

#[tokio::test]
async fn a_restart_that_fails_leaves_the_ice_session_as_it_was() {
    let stage = Stage::new().await;
    let path = stage.session(&stage.view()).await;
    stage.node.refuse(Problem::new(503, "full", "no credentials left"));
    let refused = trickle(&stage, &path, "*", "new1").await;
    assert!(refused.headers().contains_key("retry-after"));
    problem(refused, 503, "full").await;
    assert_eq!(trickle(&stage, &path, r#""Ab/+""#, "peer").await.status(), 204, "the old tag holds");

    let id: ConnectionId = path.rsplit('/').next().expect("an id").parse().expect("a UUID");
    stage.node.refuse(Problem::new(404, "no_such_connection", "it has ended"));
    problem(trickle(&stage, &path, "*", "new1").await, 404, "no_such_session").await;
    assert_eq!(stage.directory.connection(id).await.expect("in process"), None);
}

#[tokio::test]
async fn what_is_no_fragment_is_refused() {
    let stage = Stage::new().await;
    let path = header(&stage.offer(&format!("/whep/{}", camera(1)), &stage.view()).await, "location");
    let post = async |kind: &str, body: &str| patch(&stage, &path, &stage.view(), Some("*"), kind, body).await;
    let unsupported = post("application/json", "{}").await;
    assert_eq!(header(&unsupported, "accept-patch"), KIND);
    problem(unsupported, 415, "not_sdpfrag").await;
    problem(post(KIND, "").await, 400, "malformed_sdpfrag").await;
    problem(post(KIND, "v=0\r\n").await, 400, "malformed_sdpfrag").await;
    problem(post(KIND, &"a=x\r\n".repeat(4000)).await, 413, "too_large").await;
    let stranger = stage.grant(Audience::View, |c| c.sub = "parent-2".into());
    let theirs = patch(&stage, &path, &stranger, Some("*"), KIND, &fragment("new1")).await;
    problem(theirs, 404, "no_such_connection").await;
    assert_eq!(restarts(&stage), 0);

    let session = stage.session(&stage.view()).await;
    let json = stage.json(Method::PATCH, &session, &stage.view(), &Value::Null).await;
    problem(json, 400, "malformed_json").await;
}
