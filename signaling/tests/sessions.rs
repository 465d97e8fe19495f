//! Viewers' sessions, as an app meets them.

mod support;

use cluster::Directory;
use protocol::{
    Problem, Rid, SessionId,
    grant::{Audience, CameraGrant},
    node::{MAX_SDP, MAX_SLOTS, Show, SlotChange},
    session::{EndReason, Event, SlotState},
};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::{future::Future, time::Duration};
use support::{Asked, OFFER, Stage, camera, header, node_id, now, problem};

/// A grant for camera 1 in both sizes and with sound, and camera 2 in its small one without.
fn grant(stage: &Stage) -> String {
    grant_until(stage, now() + 60)
}

fn grant_until(stage: &Stage, exp: u64) -> String {
    stage.grant(Audience::View, |c| {
        let small = CameraGrant { id: camera(2), max: Rid::low(), audio: false };
        c.cameras = vec![CameraGrant { id: camera(1), max: Rid::high(), audio: true }, small];
        c.exp = exp;
    })
}

async fn post(stage: &Stage, body: Value) -> Response {
    stage.json(Method::POST, "/v1/sessions", &grant(stage), &body).await
}

async fn patch(stage: &Stage, session: &str, body: Value) -> Response {
    stage.json(Method::PATCH, session, &grant(stage), &body).await
}

async fn within<T>(time: Duration, what: impl Future<Output = T>) -> T {
    tokio::time::timeout(time, what).await.expect("in time")
}

#[tokio::test]
async fn a_session_opens_with_what_its_slots_show() {
    let stage = Stage::new().await;
    let first = json!({"camera": camera(2), "rid": "h", "priority": 255});
    let slots = json!([{"camera": camera(1), "rid": "l"}, null, first, {"camera": camera(1)}]);
    let opened = post(&stage, json!({"offer": OFFER, "slots": slots, "audio": camera(1)})).await;
    assert_eq!(opened.status(), 201);
    assert_eq!(header(&opened, "etag"), r#""Ab/+""#);
    let location = header(&opened, "location");
    let answer: Value = opened.json().await.expect("JSON");
    assert!(answer["answer"].as_str().expect("a text").starts_with("v=0"));

    let view = stage.node.last_view();
    assert_eq!(location, format!("/v1/sessions/{}", view.connection));
    let show = |n, max, priority| Some(Show { camera: camera(n), max, priority });
    let expected = [show(1, Rid::low(), 0), None, show(2, Rid::low(), 255), show(1, Rid::high(), 0)];
    assert_eq!(view.show, expected, "wishes are bounded by the grant");
    assert_eq!((view.slots, view.listen, view.granted.len()), (MAX_SLOTS, Some(camera(1)), 2));
    assert_eq!((view.offer.as_str(), view.session), (OFFER, SessionId::from_random([5; 16])));

    let token = grant(&stage);
    let left = stage.json(Method::DELETE, &location, &token, &Value::Null).await;
    assert_eq!(left.status(), 200);
    assert!(matches!(stage.node.asked().pop(), Some(Asked::Disconnect(id)) if id == view.connection));
    problem(patch(&stage, &location, json!({})).await, 404, "no_such_session").await;
}

#[tokio::test]
async fn slots_and_sound_change_and_the_grant_is_renewed_by_the_same_call() {
    let stage = Stage::new().await;
    let session = stage.session(&grant(&stage)).await;
    let id = stage.node.last_view().connection;
    let later = now() + 200;
    let slots = json!([{"slot": 3, "camera": camera(2), "rid": "h", "priority": 1}, {"slot": 0, "camera": null}]);
    let body = json!({"slots": slots, "audio": {"camera": null}});
    let changed = stage.json(Method::PATCH, &session, &grant_until(&stage, later), &body).await;
    assert_eq!(changed.status(), 204);
    assert!(!changed.headers().contains_key("etag"));

    let change = stage.node.last_change();
    let shown = SlotChange { slot: 3, show: Some(Show { camera: camera(2), max: Rid::low(), priority: 1 }) };
    assert_eq!(change.slots, [shown, SlotChange { slot: 0, show: None }]);
    assert_eq!(change.listen.expect("sound is changed").camera, None);
    assert_eq!((change.until, change.granted.len()), (later, 2));
    let record = stage.directory.connection(id).await.expect("in process").expect("lives");
    assert_eq!(record.until, later, "and its lease with it");

    assert_eq!(patch(&stage, &session, json!({})).await.status(), 204);
    let renewal = stage.node.last_change();
    assert!(renewal.slots.is_empty() && renewal.listen.is_none(), "the rest stays as it is");
}

#[tokio::test]
async fn a_renewed_session_outlives_the_grant_that_opened_it() {
    let stage = Stage::new().await;
    let session = stage.session(&grant_until(&stage, now() + 2)).await;
    let end = now() + 2;
    assert_eq!(patch(&stage, &session, json!({})).await.status(), 204);
    while now() <= end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(patch(&stage, &session, json!({})).await.status(), 204);
}

#[tokio::test]
async fn a_call_that_names_a_camera_beyond_the_grant_changes_nothing() {
    let stage = Stage::new().await;
    for body in [json!({"offer": OFFER, "slots": [{"camera": camera(9)}]}), json!({"offer": OFFER, "audio": camera(9)})]
    {
        problem(post(&stage, body).await, 403, "camera_not_granted").await;
    }
    let nothing = stage.grant(Audience::View, |c| c.cameras.clear());
    let empty = stage.json(Method::POST, "/v1/sessions", &nothing, &json!({"offer": OFFER})).await;
    problem(empty, 403, "camera_not_granted").await;
    assert!(stage.node.asked().is_empty());

    let session = stage.session(&grant(&stage)).await;
    let slots = json!([{"slot": 0, "camera": camera(1)}, {"slot": 1, "camera": camera(9)}]);
    for body in [json!({"slots": slots}), json!({"audio": {"camera": camera(9)}})] {
        problem(patch(&stage, &session, body).await, 403, "camera_not_granted").await;
    }
    assert!(matches!(stage.node.asked().as_slice(), [Asked::View(_)]), "the node heard of none of it");
}

#[tokio::test]
async fn a_session_is_not_there_for_a_stranger() {
    let stage = Stage::new().await;
    let session = stage.session(&grant(&stage)).await;
    let strangers = [
        stage.grant(Audience::View, |c| c.sub = "parent-2".into()),
        stage.grant(Audience::View, |c| c.sid = SessionId::from_random([6; 16])),
    ];
    for stranger in strangers {
        for method in [Method::PATCH, Method::DELETE] {
            problem(stage.json(method, &session, &stranger, &json!({})).await, 404, "no_such_session").await;
        }
        let events = stage.json(Method::GET, &format!("{session}/events"), &stranger, &Value::Null).await;
        problem(events, 404, "no_such_session").await;
    }
    let publisher = stage.grant(Audience::Publish, |_| {});
    problem(stage.json(Method::PATCH, &session, &publisher, &json!({})).await, 403, "grant_audience").await;
    assert_eq!(stage.node.asked().len(), 1);
}

#[tokio::test]
async fn what_is_not_understood_is_refused_and_said() {
    let stage = Stage::new().await;
    let session = stage.session(&grant(&stage)).await;
    let cases = [
        (json!({}), 400, "malformed_json", "offer"),
        (json!({"offer": OFFER, "slot": []}), 400, "malformed_json", "unknown field `slot`"),
        (json!({"offer": OFFER, "slots": [{"camera": "gate"}]}), 400, "malformed_json", "slots[0]"),
        (json!({"offer": OFFER, "slots": [{"camera": camera(1), "rid": "?"}]}), 400, "malformed_json", "encoding id"),
        (
            json!({"offer": OFFER, "slots": [{"camera": camera(1), "priority": 256}]}),
            400,
            "malformed_json",
            "slots[0].priority",
        ),
        (json!({"offer": "hello"}), 400, "malformed_sdp", "v=0"),
        (json!({"offer": format!("v=0{}", "x".repeat(MAX_SDP))}), 413, "too_large", "65536"),
        (json!({"offer": OFFER, "slots": vec![Value::Null; 17]}), 422, "too_many_slots", "16"),
    ];
    for (body, status, code, said) in cases {
        let refused = problem(post(&stage, body).await, status, code).await;
        assert!(refused.detail.contains(said), "{refused:?}");
    }
    let cases = [
        (json!({"slots": [{"slot": 16, "camera": null}]}), 422, "no_such_slot"),
        (json!({"slots": [{"slot": -1, "camera": null}]}), 400, "malformed_json"),
        (json!({"slots": [{"slot": 0, "camera": camera(1), "priority": -1}]}), 400, "malformed_json"),
        (json!({"slots": [{"slot": 0}]}), 400, "malformed_json"),
        (json!({"audio": {}}), 400, "malformed_json"),
        (json!({"slots": vec![json!({"slot": 0, "camera": null}); 17]}), 422, "too_many_slots"),
    ];
    for (body, status, code) in cases {
        problem(patch(&stage, &session, body).await, status, code).await;
    }
    let raw = |kind: &'static str, body: String| {
        let request = stage.http.post(format!("{}/v1/sessions", stage.url)).bearer_auth(grant(&stage));
        async move { request.header("content-type", kind).body(body).send().await.expect("answered") }
    };
    problem(raw("application/json", "{".into()).await, 400, "malformed_json").await;
    problem(raw("application/json", "[".repeat(100_000)).await, 400, "malformed_json").await;
    problem(raw("application/json", " ".repeat(128 * 1024 + 1)).await, 413, "too_large").await;
    problem(raw("application/sdp", OFFER.into()).await, 415, "not_json").await;
    assert_eq!(stage.node.asked().len(), 1, "no node ever heard of these");
}

#[tokio::test]
async fn what_the_node_says_of_a_session_is_passed_on() {
    let stage = Stage::new().await;
    let session = stage.session(&grant(&stage)).await;
    let id = stage.node.last_view().connection;
    stage.node.refuse(Problem::new(422, "no_such_slot", "the offer has 2 slots"));
    let refused = problem(patch(&stage, &session, json!({})).await, 422, "no_such_slot").await;
    assert_eq!(refused.detail, "the offer has 2 slots");

    stage.node.refuse(Problem::new(404, "no_such_connection", "it has ended here"));
    problem(patch(&stage, &session, json!({})).await, 404, "no_such_session").await;
    assert_eq!(stage.directory.connection(id).await.expect("in process"), None, "so it is forgotten here too");
}

#[tokio::test]
async fn a_session_goes_to_the_node_that_has_its_camera() {
    let stage = Stage::new().await;
    stage.directory.claim_origin(camera(2), &node_id()).await.expect("in process");
    let opened = post(&stage, json!({"offer": OFFER, "slots": [{"camera": camera(2)}]})).await;
    assert_eq!(opened.status(), 201);
    stage.directory.leave(&node_id()).await.expect("in process");
    problem(post(&stage, json!({"offer": OFFER})).await, 503, "no_node").await;
}

/// A reader of a session's events.
struct Reader(Response);

impl Reader {
    async fn open(stage: &Stage, session: &str) -> Self {
        let response = stage.json(Method::GET, &format!("{session}/events"), &grant(stage), &Value::Null).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "content-type"), "text/event-stream");
        assert_eq!(header(&response, "cache-control"), "no-store");
        Self(response)
    }

    /// Reads on until this is said.
    async fn hears(&mut self, text: &str) {
        let mut heard = String::new();
        while !heard.contains(text) {
            let piece = within(Duration::from_secs(5), self.0.chunk()).await.expect("a stream");
            heard.push_str(std::str::from_utf8(&piece.expect("it goes on")).expect("text"));
        }
    }

    /// Reads on until the stream ends.
    async fn ends(&mut self, time: Duration) {
        within(time, async { while let Ok(Some(_)) = self.0.chunk().await {} }).await;
    }
}

#[tokio::test]
async fn events_come_as_the_node_says_them_until_it_ends_them() {
    let stage = Stage::new().await;
    let session = stage.session(&grant(&stage)).await;
    let mut reader = Reader::open(&stage, &session).await;
    reader.hears(": hello").await;
    stage.node.tell(&Event::Slot { slot: 0, camera: Some(camera(1)), state: SlotState::Live });
    reader.hears(&format!(r#"{{"type":"slot","slot":0,"camera":"{}","state":"live"}}"#, camera(1))).await;
    assert_eq!(stage.metric("sunroom_signaling_event_streams").await, 1.0);
    stage.node.tell(&Event::Ended { reason: EndReason::Replaced });
    stage.node.end_streams();
    reader.hears(r#"{"type":"ended","reason":"replaced"}"#).await;
    reader.ends(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_reader_that_goes_away_is_let_go_at_the_node_too() {
    let stage = Stage::new().await;
    let session = stage.session(&grant(&stage)).await;
    let mut reader = Reader::open(&stage, &session).await;
    reader.hears(": hello").await;
    assert_eq!(stage.node.streams(), 1);
    drop(reader);
    within(Duration::from_secs(5), async {
        while stage.node.streams() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_third_stream_of_a_session_takes_the_place_of_the_first() {
    let stage = Stage::new().await;
    let session = stage.session(&grant(&stage)).await;
    let mut first = Reader::open(&stage, &session).await;
    let mut second = Reader::open(&stage, &session).await;
    let mut third = Reader::open(&stage, &session).await;
    first.ends(Duration::from_secs(2)).await;
    for reader in [&mut second, &mut third] {
        reader.hears(": hello").await;
    }
    stage.node.tell(&Event::Audio { camera: None, state: SlotState::Empty });
    for reader in [&mut second, &mut third] {
        reader.hears(r#""type":"audio""#).await;
    }
}

#[tokio::test]
async fn a_service_that_stops_does_not_wait_for_its_streams() {
    let mut stage = Stage::new().await;
    let session = stage.session(&grant(&stage)).await;
    let mut reader = Reader::open(&stage, &session).await;
    reader.hears(": hello").await;
    let serving = stage.stop();
    // Requests under way are waited for 5 s.
    within(Duration::from_secs(3), serving).await.expect("no panic").expect("it ends well");
    reader.ends(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn events_end_with_the_record_of_their_session() {
    let stage = Stage::new().await;
    let session = stage.session(&grant(&stage)).await;
    let id = stage.node.last_view().connection;
    let mut reader = Reader::open(&stage, &session).await;
    assert!(stage.directory.remove_connection(id).await.expect("in process"));
    reader.ends(Duration::from_secs(15)).await;
}
