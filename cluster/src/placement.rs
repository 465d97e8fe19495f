//! Which node a new connection goes to: pure selection over the live nodes. Invariant: every process that sees the same
//! nodes chooses the same one, so that a camera's publisher and the viewers who wait for it meet.

use protocol::{
    CameraId, NodeId,
    node::{NodeRecord, NodeState},
};

/// The node for a camera's publisher: rendezvous hashing over the nodes that serve and have headroom.
pub fn publisher(camera: CameraId, nodes: &[NodeRecord]) -> Option<&NodeRecord> {
    nodes.iter().filter(|n| serves(n) && n.load < 1.0).max_by_key(|n| (weight(camera, &n.id), &n.id))
}

/// The node for a camera's viewer: its origin while that serves, full or not, since no other node has the camera; else
/// where its publisher will come.
pub fn viewer<'a>(camera: CameraId, origin: Option<&NodeId>, nodes: &'a [NodeRecord]) -> Option<&'a NodeRecord> {
    let serving_origin = nodes.iter().find(|n| Some(&n.id) == origin && serves(n));
    serving_origin.or_else(|| publisher(camera, nodes))
}

/// The node for a viewer of several cameras, each with its origin, most wanted first: the one that would be chosen for
/// the most of them, and of equals the one of the earlier camera.
pub fn session<'a>(cameras: &[(CameraId, Option<NodeId>)], nodes: &'a [NodeRecord]) -> Option<&'a NodeRecord> {
    let chosen: Vec<_> = cameras.iter().filter_map(|(id, origin)| viewer(*id, origin.as_ref(), nodes)).collect();
    let votes = |node: &NodeRecord| chosen.iter().filter(|c| c.id == node.id).count();
    // The last of equals is what max_by_key gives.
    chosen.iter().rev().max_by_key(|node| votes(node)).copied()
}

fn serves(node: &NodeRecord) -> bool {
    node.state == NodeState::Serving
}

/// FNV-1a over both names, then the finalizer of SplitMix64, because FNV's high bits mix poorly on short inputs.
/// Written out, because the result must be the same in every process and release.
fn weight(camera: CameraId, node: &NodeId) -> u64 {
    let bytes = camera.0.as_bytes().iter().chain(node.0.as_bytes());
    let fnv = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    let h = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}
