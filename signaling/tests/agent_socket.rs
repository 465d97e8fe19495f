//! The agents' socket, as an agent meets it.

mod support;

use cluster::{Directory, Received};
use futures_util::{SinkExt, StreamExt};
use protocol::{
    CameraId, Rid,
    agent::{CameraHealth, Down, EncodingHealth, MAX_MESSAGE, SUBPROTOCOL, StreamState, Up, VERSION},
    camera::{Camera, Encoding},
    event::Event,
    grant::Audience,
};
use std::time::Duration;
use support::{Stage, camera, node_id, now};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::frame::coding::CloseCode},
};

struct Agent(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Agent {
    async fn connect(stage: &Stage, token: &str, subprotocol: Option<&str>) -> Result<Self, Error> {
        let url = format!("{}/v1/agent", stage.url.replace("http", "ws"));
        let mut request = url.into_client_request().expect("a URL");
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
        if let Some(name) = subprotocol {
            request.headers_mut().insert("sec-websocket-protocol", name.parse().expect("ASCII"));
        }
        Ok(Self(connect_async(request).await?.0))
    }

    /// Connected, and its hello sent.
    async fn greet(stage: &Stage, token: &str, version: u32, cameras: &[CameraId]) -> Self {
        let mut agent = Self::connect(stage, token, Some(SUBPROTOCOL)).await.expect("upgraded");
        let encodings = vec![Encoding { rid: Rid::low(), width: None, height: None }];
        let describe =
            |id: &CameraId| Camera { id: *id, name: "gate".into(), encodings: encodings.clone(), audio: None };
        let cameras = cameras.iter().map(describe).collect();
        agent.say(&Up::Hello { version, software: "test".into(), cameras }).await;
        agent
    }

    async fn welcomed(stage: &Stage, token: &str) -> Self {
        let mut agent = Self::greet(stage, token, VERSION, &[camera(1)]).await;
        let first = agent.next().await;
        assert!(matches!(first, Ok(Down::Welcome { version: VERSION })), "{first:?}");
        agent
    }

    async fn say(&mut self, up: &Up) {
        let text = serde_json::to_string(up).expect("plain data");
        self.0.send(Message::Text(text.into())).await.expect("the socket is open");
    }

    /// The next message, or how the socket was closed.
    async fn next(&mut self) -> Result<Down, (u16, String)> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("a message")),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Err((CloseCode::into(frame.code), frame.reason.to_string()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => return Err((0, format!("{other:?}"))),
            }
        }
    }

    async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Err(closed) = self.next().await {
                return closed;
            }
        }
    }

    /// Reads on until this set is wanted. The one before may come again (at least once is promised), another may not.
    async fn wants(&mut self, set: &[Rid], before: &[Rid]) {
        loop {
            match self.next().await {
                Ok(Down::Wanted { encodings, .. }) if encodings == set => return,
                Ok(Down::Wanted { encodings, .. }) if encodings == before => {}
                other => panic!("waiting for {set:?}, but: {other:?}"),
            }
        }
    }
}

fn health_of(id: CameraId, encoding: EncodingHealth) -> CameraHealth {
    CameraHealth { id, encodings: vec![encoding], published: false, audio: None, findings: Vec::new() }
}

fn publish_grant(stage: &Stage) -> String {
    stage.grant(Audience::Publish, |c| c.sub = "agent-1".into())
}

async fn want(stage: &Stage, node: &str, encodings: &[Rid]) {
    let node = protocol::NodeId(node.into());
    let event = Event::Wanted { camera: camera(1), node, encodings: encodings.into(), audio: false };
    stage.directory.publish(event).await.expect("in process");
}

#[tokio::test]
async fn what_the_origin_wants_flows_down_and_is_known_to_the_next_socket() {
    let stage = Stage::new().await;
    let token = publish_grant(&stage);
    let mut agent = Agent::welcomed(&stage, &token).await;
    stage.directory.claim_origin(camera(1), &node_id()).await.expect("in process");
    let (low, both) = ([Rid::low()], [Rid::low(), Rid::high()]);
    want(&stage, "node-9", &[Rid::high()]).await;
    want(&stage, "node-1", &low).await;
    agent.wants(&low, &low).await;
    want(&stage, "node-1", &[]).await;
    agent.wants(&[], &low).await;
    want(&stage, "node-1", &both).await;
    agent.wants(&both, &[]).await;

    let mut second = Agent::welcomed(&stage, &token).await;
    second.wants(&both, &both).await;
    let (code, reason) = agent.closed().await;
    assert_eq!(code, 1008);
    assert!(reason.contains("replaced"), "{reason}");
    want(&stage, "node-1", &low).await;
    second.wants(&low, &both).await;

    stage.directory.claim_origin(camera(1), &node_id()).await.expect("in process");
    let mut third = Agent::welcomed(&stage, &token).await;
    want(&stage, "node-1", &[]).await;
    third.wants(&[], &[]).await;
}

#[tokio::test]
async fn descriptions_are_announced_and_learn_their_sizes() {
    let stage = Stage::new().await;
    let mut agent = Agent::welcomed(&stage, &publish_grant(&stage)).await;
    let known = || async {
        let known = stage.directory.cameras(&[camera(1)]).await.expect("in process").remove(0);
        known.description
    };
    while known().await.is_none() {
        tokio::task::yield_now().await;
    }
    let health = EncodingHealth {
        rid: Rid::low(),
        state: StreamState::Online,
        detail: None,
        width: Some(640),
        height: Some(360),
        sending: false,
        sent_bytes: 0,
    };
    let foreign = health_of(camera(2), health.clone());
    let ours = health_of(camera(1), health);
    agent.say(&Up::Health { cameras: vec![foreign, ours] }).await;
    let sized = Encoding { rid: Rid::low(), width: Some(640), height: Some(360) };
    while known().await.expect("announced").encodings != [sized.clone()] {
        tokio::task::yield_now().await;
    }
    let other = stage.directory.cameras(&[camera(2)]).await.expect("in process").remove(0);
    assert_eq!(other.description, None, "health announces nothing");
}

#[tokio::test]
async fn a_wrong_version_a_foreign_camera_and_bad_manners_are_refused_with_a_reason() {
    let stage = Stage::new().await;
    let token = publish_grant(&stage);
    let (code, reason) = Agent::greet(&stage, &token, VERSION + 1, &[]).await.closed().await;
    assert_eq!((code, reason.contains("version 2")), (1002, true), "{reason}");
    let (code, reason) = Agent::greet(&stage, &token, VERSION, &[camera(1), camera(2)]).await.closed().await;
    assert_eq!((code, reason.contains(&camera(2).to_string())), (1008, true), "{reason}");
    assert_eq!(Agent::greet(&stage, &token, VERSION, &[camera(1), camera(1)]).await.closed().await.0, 1002);

    let mut rude = Agent::connect(&stage, &token, Some(SUBPROTOCOL)).await.expect("upgraded");
    rude.say(&Up::Health { cameras: Vec::new() }).await;
    assert_eq!(rude.closed().await.0, 1002, "the hello comes first");
    let mut mumbling = Agent::welcomed(&stage, &token).await;
    mumbling.0.send(Message::Text("{".into())).await.expect("open");
    assert_eq!(mumbling.closed().await.0, 1002);
    let mut talkative = Agent::welcomed(&stage, &token).await;
    for _ in 0..200 {
        if talkative.0.send(Message::Text(r#"{"type":"later"}"#.into())).await.is_err() {
            break;
        }
    }
    assert_eq!(talkative.closed().await.0, 1008);
    let mut endless = Agent::welcomed(&stage, &token).await;
    let _ = endless.0.send(Message::Text("x".repeat(MAX_MESSAGE + 1).into())).await;
    let (code, _) = endless.closed().await;
    assert_eq!(code, 0, "cut off");
}

#[tokio::test]
async fn the_handshake_asks_for_a_publish_grant_and_the_subprotocol() {
    let stage = Stage::new().await;
    let status = |result: Result<Agent, Error>| match result {
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => 101,
    };
    assert_eq!(status(Agent::connect(&stage, "nonsense", Some(SUBPROTOCOL)).await), 401);
    assert_eq!(status(Agent::connect(&stage, &stage.view(), Some(SUBPROTOCOL)).await), 403);
    assert_eq!(status(Agent::connect(&stage, &publish_grant(&stage), None).await), 400);
    assert_eq!(status(Agent::connect(&stage, &publish_grant(&stage), Some("other")).await), 400);
    let plain = stage.http.get(format!("{}/v1/agent", stage.url)).bearer_auth(publish_grant(&stage)).send().await;
    support::problem(plain.expect("answered"), 400, "not_a_websocket").await;
}

#[tokio::test]
async fn an_expiring_grant_is_renewed_over_the_bus() {
    let stage = Stage::new().await;
    let mut bus = stage.directory.subscribe();
    let token = stage.grant(Audience::Publish, |c| {
        (c.sub, c.iat, c.exp) = ("agent-1".into(), now() - 100, now() + 3);
    });
    let mut agent = Agent::welcomed(&stage, &token).await;
    let asked = Event::GrantExpiring { subject: "agent-1".into(), token };
    assert_eq!(bus.next().await, Some(Received::Event(asked)));

    let renew = |subject: &str, token: String| {
        let event = Event::GrantRenewed { subject: subject.into(), token };
        let directory = std::sync::Arc::clone(&stage.directory);
        async move { directory.publish(event).await.expect("in process") }
    };
    renew("agent-1", support::signer().sign(&support::claims(Audience::Publish))).await;
    renew("agent-1", stage.grant(Audience::Publish, |c| c.sub = "agent-2".into())).await;
    renew("agent-2", publish_grant(&stage)).await;
    let good = stage.grant(Audience::Publish, |c| {
        (c.sub, c.iat, c.exp) = ("agent-1".into(), now() - 1, now() + 5);
    });
    renew("agent-1", good.clone()).await;
    assert!(matches!(agent.next().await, Ok(Down::Grant { token }) if token == good), "only the good one");

    let end = now() + 5;
    let (code, reason) = agent.closed().await;
    assert_eq!((code, reason.as_str()), (1008, "the grant has expired"));
    assert!(now() + 1 >= end, "the renewed grant counted");
}

#[tokio::test]
async fn a_grant_renewed_without_an_announced_camera_ends_the_socket() {
    let stage = Stage::new().await;
    let mut agent = Agent::welcomed(&stage, &publish_grant(&stage)).await;
    let token = stage.grant(Audience::Publish, |c| {
        c.sub = "agent-1".into();
        c.cameras.clear();
    });
    let event = Event::GrantRenewed { subject: "agent-1".into(), token };
    stage.directory.publish(event).await.expect("in process");
    let (code, reason) = agent.closed().await;
    assert_eq!((code, reason.contains(&camera(1).to_string())), (1008, true), "{reason}");
}

#[tokio::test]
async fn an_agent_that_says_no_hello_or_falls_silent_is_closed() {
    let stage = Stage::new().await;
    let token = publish_grant(&stage);
    let began = std::time::Instant::now();
    let mut mute = Agent::connect(&stage, &token, Some(SUBPROTOCOL)).await.expect("upgraded");
    assert_eq!(mute.closed().await.0, 1008);
    assert!(began.elapsed() >= Duration::from_secs(5));

    let mut frozen = Agent::welcomed(&stage, &token).await;
    // Not read meanwhile, so its pings stay unanswered.
    let gauge = || async {
        let metrics = stage.http.get(format!("{}/metrics", stage.internal)).send().await.expect("answered");
        metrics.text().await.expect("a body").contains("sunroom_signaling_agents 1")
    };
    assert!(gauge().await);
    let began = std::time::Instant::now();
    while gauge().await {
        assert!(began.elapsed() < Duration::from_secs(30), "still there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (code, reason) = frozen.closed().await;
    assert_eq!((code, reason.as_str()), (1008, "nothing heard for 15 s"));
}
