//! Node selection, as a table, and what the hash promises.

use NodeState::{Draining, Serving, Starting};
use cluster::placement::{publisher, session, viewer};
use protocol::{
    CameraId, NodeId, SessionId,
    node::{NodeRecord, NodeState},
};

fn node(name: &str, state: NodeState, load: f64) -> NodeRecord {
    NodeRecord { id: NodeId(name.into()), url: String::new(), state, viewers: 0, publishers: 0, load }
}

fn camera(n: u16) -> CameraId {
    let mut bits = [7; 16];
    bits[..2].copy_from_slice(&n.to_be_bytes());
    CameraId(SessionId::from_random(bits).0)
}

/// Case, origin, nodes, who is chosen.
type Row = (&'static str, Option<&'static str>, Vec<NodeRecord>, Option<&'static str>);

#[test]
fn a_node_is_chosen_by_origin_state_and_headroom() {
    let (fit, full) = (|name| node(name, Serving, 0.2), |name| node(name, Serving, 1.0));
    let table: [Row; 9] = [
        ("nobody serves", None, vec![], None),
        ("nobody serves yet", None, vec![node("a", Starting, 0.0), node("b", Draining, 0.0)], None),
        ("the only one", None, vec![fit("a")], Some("a")),
        ("full nodes take no publishers", None, vec![full("a"), fit("b")], Some("b")),
        ("all are full", None, vec![full("a"), full("b")], None),
        ("the origin has the camera", Some("b"), vec![fit("a"), fit("b"), fit("c")], Some("b")),
        ("a full origin still is the only one with the camera", Some("b"), vec![fit("a"), full("b")], Some("b")),
        ("a draining origin takes nobody", Some("b"), vec![fit("a"), node("b", Draining, 0.0)], Some("a")),
        ("an origin that is gone", Some("z"), vec![fit("a")], Some("a")),
    ];
    for (case, origin, nodes, expected) in &table {
        let origin = origin.map(|o| NodeId(o.into()));
        let chosen = viewer(camera(1), origin.as_ref(), nodes).map(|n| n.id.0.as_str());
        assert_eq!(chosen, *expected, "{case}");
        if origin.is_none() {
            assert_eq!(publisher(camera(1), nodes).map(|n| n.id.0.as_str()), *expected, "{case}: publisher");
        }
    }
}

#[test]
fn publishers_and_waiting_viewers_meet_in_whatever_order_nodes_are_listed() {
    let mut nodes: Vec<_> = ["a", "b", "c", "d"].map(|n| node(n, Serving, 0.5)).into();
    for n in 0..200 {
        let chosen = publisher(camera(n), &nodes).expect("nodes serve").id.clone();
        nodes.rotate_left(1);
        assert_eq!(viewer(camera(n), None, &nodes).expect("nodes serve").id, chosen);
    }
}

#[test]
fn cameras_spread_evenly_and_few_move_when_a_node_comes() {
    let four: Vec<_> = ["a", "b", "c", "d"].map(|n| node(n, Serving, 0.5)).into();
    let five: Vec<_> = ["a", "b", "c", "d", "e"].map(|n| node(n, Serving, 0.5)).into();
    let cameras = 4_000;
    let mut moved = 0;
    let mut counts = [0; 4];
    for n in 0..cameras {
        let before = publisher(camera(n), &four).expect("nodes serve");
        let after = publisher(camera(n), &five).expect("nodes serve");
        counts[four.iter().position(|f| f.id == before.id).expect("one of them")] += 1;
        if before.id != after.id {
            assert_eq!(after.id.0, "e", "cameras move to the new node only");
            moved += 1;
        }
    }
    assert!(counts.iter().all(|c| (850..=1150).contains(c)), "{counts:?}");
    assert!((650..=950).contains(&moved), "{moved} of {cameras} moved; a fifth should");
}

#[test]
fn the_choice_is_the_same_in_every_release() {
    let nodes: Vec<_> = ["node-1", "node-2", "node-3"].map(|n| node(n, Serving, 0.5)).into();
    let chosen: Vec<_> = (0..6).map(|n| publisher(camera(n), &nodes).expect("nodes serve").id.0.as_str()).collect();
    assert_eq!(chosen, ["node-2", "node-3", "node-1", "node-1", "node-3", "node-1"]);
}

#[test]
fn a_session_goes_where_most_of_its_cameras_are() {
    let nodes: Vec<_> = ["a", "b", "c"].map(|n| node(n, Serving, 0.5)).into();
    let at = |n: u16, origin: &str| (camera(n), Some(NodeId(origin.into())));
    let chosen = |cameras: &[_]| session(cameras, &nodes).map(|n| n.id.0.clone());
    assert_eq!(chosen(&[at(1, "a"), at(2, "b"), at(3, "b")]).as_deref(), Some("b"));
    assert_eq!(chosen(&[at(1, "c"), at(2, "b"), at(3, "a")]).as_deref(), Some("c"), "the first counts among equals");
    assert_eq!(chosen(&[(camera(5), None)]), viewer(camera(5), None, &nodes).map(|n| n.id.0.clone()));
    assert_eq!(chosen(&[]), None);
    assert_eq!(session(&[at(1, "a")], &[]), None);
}
