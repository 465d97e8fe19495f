//! Floods of calls are refused, counted, and told when to come again.

mod support;

use protocol::{
    CameraId, SessionId,
    grant::{Audience, Claims},
};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use signaling::{Limits, Rate};
use std::num::NonZeroU32;
use support::{OFFER, Stage, camera, claims, header, problem};

/// `burst` at once, then one a second.
fn rate(burst: u32) -> Rate {
    Rate { burst: NonZeroU32::new(burst).expect("some"), per_second: NonZeroU32::MIN }
}

fn refusals(why: &str) -> String {
    format!("sunroom_signaling_refused_total{{why=\"{why}\"}}")
}

async fn refused(response: Response) {
    let wait: u64 = header(&response, "retry-after").parse().expect("seconds");
    assert!((1..=2).contains(&wait), "{wait}");
    let problem = problem(response, 429, "too_many_calls").await;
    assert_eq!(problem.title, "Too Many Requests");
}

async fn watch(stage: &Stage, token: &str) -> Response {
    stage.json(Method::POST, "/v1/sessions", token, &json!({"offer": OFFER})).await
}

#[tokio::test]
async fn a_subject_opens_so_many_connections_and_others_are_not_held_up() {
    let stage = Stage::limited(&Limits { subject: rate(3), ..Limits::default() }).await;
    let of = |sub: &str| stage.grant(Audience::View, |c| c.sub = sub.into());
    let (one, other) = (of("parent-1"), of("parent-2"));
    assert_eq!(watch(&stage, &one).await.status(), 201);
    assert_eq!(stage.offer(&format!("/whep/{}", camera(1)), &one).await.status(), 201);
    assert_eq!(watch(&stage, &one).await.status(), 201);
    refused(watch(&stage, &one).await).await;
    refused(stage.offer(&format!("/whep/{}", camera(1)), &one).await).await;
    assert_eq!(stage.metric(&refusals("subject")).await, 2.0);
    assert_eq!(stage.node.asked().len(), 3, "no node hears of what is refused");
    assert_eq!(watch(&stage, &other).await.status(), 201);
    let publisher = stage.grant(Audience::Publish, |c| c.sub = "parent-1".into());
    refused(stage.offer(&format!("/whip/{}", camera(1)), &publisher).await).await;
}

#[tokio::test]
async fn calls_without_a_good_grant_cost_their_address() {
    let stage = Stage::limited(&Limits { address: rate(5), ..Limits::default() }).await;
    let guess = |path: &str| {
        let request = stage.http.get(format!("{}{path}", stage.url)).bearer_auth("guess");
        async move { request.send().await.expect("answered") }
    };
    for _ in 0..4 {
        problem(guess("/v1/cameras").await, 401, "grant_invalid").await;
    }
    assert_eq!(watch(&stage, &stage.view()).await.status(), 201);
    refused(guess("/v1/cameras").await).await;
    refused(guess("/v1/agent").await).await;
    refused(watch(&stage, &stage.view()).await).await;
    assert_eq!(stage.metric(&refusals("address")).await, 3.0);
    let list = stage.http.get(format!("{}/v1/cameras", stage.url)).bearer_auth(stage.view()).send().await;
    assert_eq!(list.expect("answered").status(), 200, "a good grant asks on");
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_counts_by_itself() {
    let limits = Limits { address: rate(2), ..Limits::default() };
    let trusted = Limits { trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")], ..limits.clone() };
    for (limits, believed) in [(limits, false), (trusted, true)] {
        let stage = Stage::limited(&limits).await;
        let from = |client: &str| {
            let request = stage.http.post(format!("{}/v1/sessions", stage.url)).bearer_auth(stage.view());
            let request = request.header("x-forwarded-for", format!("203.0.113.1, {client}"));
            request.json(&json!({"offer": OFFER})).send()
        };
        for _ in 0..2 {
            assert_eq!(from("198.51.100.1").await.expect("answered").status(), 201);
        }
        refused(from("198.51.100.1").await.expect("answered")).await;
        let other = from("198.51.100.2").await.expect("answered").status();
        assert_eq!(other, if believed { 201 } else { 429 });
    }
}

#[tokio::test]
async fn a_session_changes_so_often_and_then_waits() {
    let stage = Stage::limited(&Limits { session: rate(3), ..Limits::default() }).await;
    let (busy, quiet) = (stage.session(&stage.view()).await, stage.session(&stage.view()).await);
    let change = |session: &str| {
        let session = session.to_owned();
        let stage = &stage;
        async move { stage.json(Method::PATCH, &session, &stage.view(), &json!({})).await }
    };
    for _ in 0..3 {
        assert_eq!(change(&busy).await.status(), 204);
    }
    refused(change(&busy).await).await;
    refused(stage.json(Method::GET, &format!("{busy}/events"), &stage.view(), &Value::Null).await).await;
    assert_eq!(stage.metric(&refusals("session")).await, 2.0);
    assert_eq!(change(&quiet).await.status(), 204);
    let stranger = stage.grant(Audience::View, |c| c.sid = SessionId::from_random([6; 16]));
    let theirs = stage.json(Method::PATCH, &quiet, &stranger, &json!({})).await;
    problem(theirs, 404, "no_such_session").await;
    assert_eq!(change(&quiet).await.status(), 204, "a stranger uses up nothing of it");
    let left = stage.json(Method::DELETE, &busy, &stage.view(), &Value::Null).await;
    assert_eq!(left.status(), 200, "who leaves is never held up");
}

/// A load test's claims to view, for a subject of their own.
fn virtual_viewer(sub: &str) -> Claims {
    let mut claims = Claims { sub: sub.into(), ..claims(Audience::View) };
    claims.cameras[0].id = CameraId::loadtest(1, 1);
    claims
}

#[tokio::test]
async fn many_viewers_of_a_load_test_come_from_one_address() {
    let limits = Limits { address: rate(2), subject: rate(3), ..Limits::default() };
    let stage = Stage::of_a_test_cluster(&limits).await;
    let viewer = |sub: &str| stage.loadtest.sign(&virtual_viewer(sub));
    for number in 0..20 {
        assert_eq!(watch(&stage, &viewer(&format!("viewer-{number}"))).await.status(), 201);
    }
    for _ in 0..2 {
        assert_eq!(watch(&stage, &viewer("viewer-0")).await.status(), 201);
    }
    refused(watch(&stage, &viewer("viewer-0")).await).await;
    assert_eq!(stage.metric(&refusals("subject")).await, 1.0, "a subject is a subject");
    assert_eq!(stage.metric(&refusals("address")).await, 0.0);
    assert_eq!(watch(&stage, &stage.view()).await.status(), 201, "the address has its calls left");
    assert_eq!(watch(&stage, &stage.view()).await.status(), 201);
    refused(watch(&stage, &stage.view()).await).await;
}

#[tokio::test]
async fn bad_grants_in_a_load_tests_name_cost_their_address() {
    let stage = Stage::of_a_test_cluster(&Limits { address: rate(3), ..Limits::default() }).await;
    let good = stage.loadtest.sign(&virtual_viewer("viewer-1"));
    let forged = good.rsplit_once('.').map(|(start, _)| format!("{start}.AAAA")).expect("three parts");
    let of_a_real_camera = stage.loadtest.sign(&claims(Audience::View));
    let ended = stage.loadtest.sign(&Claims { exp: 1, ..virtual_viewer("viewer-1") });
    problem(watch(&stage, &forged).await, 401, "grant_invalid").await;
    problem(watch(&stage, &of_a_real_camera).await, 401, "grant_invalid").await;
    problem(watch(&stage, &ended).await, 401, "grant_expired").await;
    refused(watch(&stage, &forged).await).await;
    refused(watch(&stage, &stage.view()).await).await;
    assert_eq!(watch(&stage, &good).await.status(), 201, "a good one is held up by nobody's guesses");
}

#[tokio::test]
async fn a_load_tests_grants_are_good_where_that_is_configured_alone() {
    let stage = Stage::limited(&Limits::default()).await;
    let token = stage.loadtest.sign(&virtual_viewer("viewer-1"));
    problem(watch(&stage, &token).await, 401, "grant_invalid").await;
}
