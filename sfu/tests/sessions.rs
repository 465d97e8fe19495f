//! A viewer over the node API: changed, restarted, followed to its end.

#[path = "node_api/stage.rs"]
mod stage;

use protocol::node::{Change, Restarted, Show, SlotChange};
use protocol::session::{EndReason, Event, SlotState};
use protocol::{ConnectionId, Problem, Rid};
use sfu::Media;
use stage::{Running, camera, granted, offer, start};
use std::time::Duration;

fn connection() -> ConnectionId {
    ConnectionId::from_random([1; 16])
}

/// A node with one viewer of two slots.
async fn viewing() -> Running {
    let node = start(Media { shards: 1, ..Media::default() }).await;
    let second = offer("recvonly", "H264").split_once("m=video").map(|(_, m)| format!("m=video{m}"));
    let offer = offer("recvonly", "H264") + &second.expect("an m-line").replace("mid:0", "mid:1");
    let answer = node.view_slots(connection(), &offer, 16).await;
    assert_eq!(answer.status(), 201);
    node
}

impl Running {
    async fn change(&self, slots: Vec<SlotChange>, until: u64) -> reqwest::Response {
        let ask = Change { granted: granted(), until, slots, listen: None };
        let url = format!("{}/v1/viewers/{}", self.base, connection());
        self.client.patch(url).json(&ask).send().await.expect("an answer")
    }

    async fn events(&self) -> Events {
        let url = format!("{}/v1/viewers/{}/events", self.base, connection());
        let response = self.client.get(url).send().await.expect("an answer");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { response, text: String::new() }
    }
}

struct Events {
    response: reqwest::Response,
    text: String,
}

impl Events {
    /// The next event; `None` at the stream's end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                self.text = rest.to_owned();
                if let Some(data) = data {
                    return Some(serde_json::from_str(&data).expect("an event"));
                }
                continue;
            }
            let chunk = tokio::time::timeout(Duration::from_secs(5), self.response.chunk());
            let chunk = chunk.await.expect("something within 5 s").expect("readable")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }
}

fn show(slot: usize) -> SlotChange {
    SlotChange { slot, show: Some(Show { camera: camera(), max: Rid::high(), priority: 0 }) }
}

#[tokio::test]
async fn slots_are_changed_and_every_change_is_told() {
    let node = viewing().await;
    let mut events = node.events().await;
    let empty = |slot| Event::Slot { slot, camera: None, state: SlotState::Empty };
    assert_eq!(events.next().await, Some(empty(0)));
    assert_eq!(events.next().await, Some(empty(1)));
    assert_eq!(node.change(vec![show(1)], 4_000_000_000).await.status(), 204);
    let state = |state| Event::Slot { slot: 1, camera: Some(camera()), state };
    assert_eq!(events.next().await, Some(state(SlotState::Waiting)));
    assert_eq!(events.next().await, Some(state(SlotState::NoSignal)), "nobody publishes it");
    assert_eq!(node.change(vec![SlotChange { slot: 1, show: None }], 4_000_000_000).await.status(), 204);
    assert_eq!(events.next().await, Some(empty(1)));
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_with_a_reason() {
    let node = viewing().await;
    let refused = node.change(vec![show(2)], 4_000_000_000).await;
    assert_eq!(refused.status(), 422);
    assert_eq!(refused.json::<Problem>().await.expect("a problem").code, "no_such_slot");
    let foreign = "01935f00-0000-7000-8000-000000000077".parse().expect("a uuid");
    let foreign = Show { camera: foreign, max: Rid::low(), priority: 0 };
    let refused = node.change(vec![SlotChange { slot: 0, show: Some(foreign) }], 4_000_000_000).await;
    assert_eq!(refused.json::<Problem>().await.expect("a problem").code, "camera_not_granted");
    node.delete(connection()).await;
    let mut refused = node.change(vec![show(0)], 4_000_000_000).await;
    while refused.status() != 404 {
        refused = node.change(vec![show(0)], 4_000_000_000).await;
    }
    assert_eq!(refused.json::<Problem>().await.expect("a problem").code, "no_such_connection");
}

#[tokio::test]
async fn the_end_and_its_reason_are_the_last_event() {
    let node = viewing().await;
    let mut events = node.events().await;
    assert_eq!(node.change(Vec::new(), 0).await.status(), 204, "a grant that is over");
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    assert_eq!(last, Some(Event::Ended { reason: EndReason::GrantOver }));
}

#[tokio::test]
async fn a_node_that_stops_says_so_and_is_not_held_up_by_those_who_listen() {
    let node = viewing().await;
    let mut events = node.events().await;
    drop(node.stop);
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    assert_eq!(last, Some(Event::Ended { reason: EndReason::NodeStopping }));
    let ended = tokio::time::timeout(Duration::from_secs(5), node.node).await.expect("within 5 s");
    ended.expect("no panic").expect("a good end");
}

#[tokio::test]
async fn a_restart_gives_new_credentials_each_time() {
    let node = viewing().await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let url = format!("{}/v1/connections/{}/restart", node.base, connection());
        let answer = node.client.post(url).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let fragment = answer.json::<Restarted>().await.expect("a fragment").fragment;
        assert!(fragment.contains("a=mid:0\r\n") && fragment.contains("a=candidate:"), "{fragment}");
        seen.push(fragment.lines().find(|l| l.starts_with("a=ice-ufrag:")).expect("credentials").to_owned());
    }
    assert_ne!(seen[0], seen[1]);
    let unknown = format!("{}/v1/connections/{}/restart", node.base, ConnectionId::from_random([9; 16]));
    assert_eq!(node.client.post(unknown).send().await.expect("an answer").status(), 404);
}
