//! The node API as signaling meets it: a real node, over HTTP.

#[path = "node_api/stage.rs"]
mod stage;

use cluster::{InProcess, Received, listen};
use protocol::event::Event;
use protocol::node::{Answer, Publish};
use protocol::{ConnectionId, Problem, Rid, SessionId};
use sfu::{Config, Media, Node};
use stage::{camera, offer, start};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

fn publish(max: Rid, until: u64) -> Publish {
    Publish {
        connection: ConnectionId::from_random([3; 16]),
        session: SessionId::from_random([4; 16]),
        camera: camera(),
        max,
        audio: true,
        until,
        offer: offer("sendonly", "H264"),
    }
}

#[tokio::test]
async fn an_offer_that_cannot_be_answered_is_refused_with_a_reason() {
    let node = start(Media { shards: 1, ..Media::default() }).await;
    for (text, status, code) in [
        ("hello".to_owned(), 400, "sdp_malformed"),
        (offer("recvonly", "VP8"), 406, "no_codec"),
        (offer("sendonly", "H264"), 422, "sdp_unsupported"),
        (offer("recvonly", "H264").replace("a=rtcp-mux\r\n", ""), 422, "sdp_unsupported"),
    ] {
        let answer = node.view(&text).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["content-type"], Problem::MEDIA_TYPE);
        let problem: Problem = answer.json().await.expect("a problem");
        assert_eq!((problem.status, problem.code.as_str()), (status, code), "{}", problem.detail);
    }
    let garbage = node.client.post(format!("{}/v1/viewers", node.base)).body("{").send().await.expect("an answer");
    assert!(garbage.status().is_client_error());
    let huge = node.view(&"a".repeat(1 << 20)).await;
    assert_eq!(huge.status(), 413);
}

#[tokio::test]
async fn an_answer_names_the_advertised_addresses_and_one_shards_port() {
    let advertise: Vec<IpAddr> = vec![Ipv4Addr::new(192, 0, 2, 7).into(), Ipv6Addr::LOCALHOST.into()];
    let node = start(Media { shards: 2, advertise, ..Media::default() }).await;
    let answer: Answer = node.view(&offer("recvonly", "H264")).await.json().await.expect("an answer");
    let candidates: Vec<Vec<&str>> =
        answer.answer.lines().filter(|l| l.starts_with("a=candidate")).map(|l| l.split(' ').collect()).collect();
    let addresses: Vec<_> = candidates.iter().map(|c| (c[2], c[4])).collect();
    assert_eq!(addresses, [("udp", "192.0.2.7"), ("udp", "::1"), ("tcp", "192.0.2.7"), ("tcp", "::1")]);
    assert_eq!(candidates[0][5], candidates[1][5], "one port");
    assert_eq!(candidates[2][5], candidates[3][5], "one port");
    assert!(answer.answer.contains("a=ice-lite\r\n"));
}

#[tokio::test]
async fn a_connection_ends_when_it_is_deleted_and_everybody_hears_of_it() {
    let node = start(Media { shards: 1, ..Media::default() }).await;
    let mut events = node.directory.subscribe();
    assert_eq!(node.view(&offer("recvonly", "H264")).await.status(), 201);
    let connection = ConnectionId::from_random([1; 16]);
    let url = format!("{}/v1/connections/{connection}", node.base);
    for _ in 0..2 {
        assert_eq!(node.client.delete(&url).send().await.expect("an answer").status(), 204);
    }
    let heard = tokio::time::timeout(Duration::from_secs(5), async {
        while events.next().await != Some(Received::Event(Event::Ended { connection })) {}
    });
    heard.await.expect("the end is told on the bus");
}

#[tokio::test]
async fn one_grant_holds_two_connections_at_most() {
    let node = start(Media { shards: 2, ..Media::default() }).await;
    let mut events = node.directory.subscribe();
    let ids: BTreeSet<ConnectionId> = (0..50).map(|n| ConnectionId::from_random([n; 16])).collect();
    for connection in &ids {
        assert_eq!(node.view_as(*connection, &offer("recvonly", "H264")).await.status(), 201);
    }
    let mut left = ids;
    let ended = async {
        while left.len() > 2 {
            if let Some(Received::Event(Event::Ended { connection })) = events.next().await {
                left.remove(&connection);
            }
        }
    };
    // Sooner than the 15 s after which a shard gives up whoever does not connect.
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("at most two are left");
    assert!(left.contains(&ConnectionId::from_random([49; 16])), "the newest stays: {left:?}");
}

#[tokio::test]
async fn a_publisher_sends_what_its_grant_allows_and_no_longer_than_it_lasts() {
    let node = start(Media { shards: 1, ..Media::default() }).await;
    let mut events = node.directory.subscribe();
    // Without simulcast there is one encoding, the large one.
    let refused = node.post("/v1/publishers", &publish(Rid::low(), 4_000_000_000)).await;
    assert_eq!(refused.status(), 403);
    let problem = refused.json::<Problem>().await.expect("a problem");
    assert_eq!(problem.code, "encoding_not_granted");
    assert!(problem.detail.contains("'l'") && problem.detail.contains("'h'"), "{}", problem.detail);
    // A time that no clock reaches is no error.
    assert_eq!(node.post("/v1/publishers", &publish(Rid::high(), u64::MAX)).await.status(), 201);
    let over = Publish { connection: ConnectionId::from_random([9; 16]), ..publish(Rid::high(), 0) };
    assert_eq!(node.post("/v1/publishers", &over).await.status(), 201);
    let ended = Event::Ended { connection: over.connection };
    let heard = tokio::time::timeout(Duration::from_secs(5), async {
        while events.next().await != Some(Received::Event(ended.clone())) {}
    });
    heard.await.expect("a grant that is over ends its connection");
}

#[tokio::test]
async fn a_full_node_says_so() {
    let node = start(Media { shards: 1, max_connections: 1, ..Media::default() }).await;
    assert_eq!(node.view(&offer("recvonly", "H264")).await.status(), 201);
    let refused = node.post("/v1/publishers", &publish(Rid::high(), 4_000_000_000)).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.json::<Problem>().await.expect("a problem").code, "node_full");
}

#[tokio::test]
async fn health_and_figures_are_served_and_the_node_leaves_the_directory_at_its_end() {
    let node = start(Media { shards: 2, ..Media::default() }).await;
    for path in ["/healthz", "/readyz"] {
        let answer = node.client.get(format!("{}{path}", node.base)).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(node.view(&offer("recvonly", "H264")).await.status(), 201);
    let read = || async {
        let answer = node.client.get(format!("{}/metrics", node.base)).send().await.expect("an answer");
        answer.text().await.expect("text")
    };
    let (first, text) = (read().await, read().await);
    let figure = |text: &str, name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse::<u64>().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    };
    assert_eq!(figure(&text, "sunroom_sfu_packets_sent_total{shard=\"1\"}"), 0);
    assert_eq!(figure(&text, "sunroom_sfu_node_connections"), 1);
    let cpu = "sunroom_sfu_process_cpu_microseconds_total";
    assert!(figure(&first, cpu) > 0 && figure(&first, cpu) <= figure(&text, cpu));
    let some = ["process_resident_memory_bytes", "process_open_fds", "process_threads", "sunroom_sfu_tasks"];
    assert!(some.iter().all(|name| figure(&text, name) > 0), "{text}");
    figure(&text, "process_cpu_seconds_total");
    drop(node.stop);
    node.node.await.expect("no panic").expect("a good end");
    assert!(node.directory.nodes().await.expect("the directory answers").is_empty());
}

#[tokio::test]
async fn an_internal_listener_off_loopback_needs_mutual_tls() {
    let internal = listen::Config::plain((Ipv4Addr::UNSPECIFIED, 0).into());
    let config = Config { internal, ..Config::default() };
    let refused = Node::run(config, Arc::new(InProcess::new()), None, std::future::ready(())).await;
    assert!(matches!(refused, Err(sfu::StartError::Listen(_))));
}
