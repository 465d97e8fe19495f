//! Capacity planning: how many nodes a number of viewers needs, from what a measured run cost.
//!
//! Pure: every figure is a documented formula over [`Assumptions`]. Loads are even: each camera has equally many viewers,
//! each node equally many of all viewers. Where a camera's viewers go is not known beforehand, so both ends are planned:
//! all together on as few nodes as hold them, and spread evenly over all.

mod arguments;
mod text;

pub use arguments::{PlanArguments, run};

use crate::outcome::Cost;

/// What goes over the wire for each packet beside its UDP payload, in bytes: UDP 8, IPv4 20, and Ethernet with its
/// checksum, preamble and gap 38.
pub const WIRE_OVERHEAD: f64 = 66.0;
/// Most of anything that is planned for.
const MOST: u64 = 1_000_000_000;

/// What a plan rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Assumptions {
    /// Viewers at the peak.
    pub viewers: u64,
    /// Cameras that are published.
    pub cameras: u64,
    /// Cameras that each viewer shows.
    pub cameras_per_viewer: u64,
    /// What was measured.
    pub cost: Cost,
    /// Cameras that each viewer of the measured run showed.
    pub measured_cameras_per_viewer: u64,
    /// Cores of a node, as fast as the measured ones.
    pub cores_per_node: u64,
    /// Share of them that is planned with; the rest is for bursts, for one node's failure and for kernel work on a NIC.
    pub usable_cores: f64,
    /// A node's link in bit/s, each way.
    pub node_link_bits: f64,
    /// Share of it that is planned with.
    pub usable_link: f64,
    /// A node's memory in bytes.
    pub node_memory_bytes: f64,
    /// Share of it that is planned with.
    pub usable_memory: f64,
    /// Joins a second at the peak.
    pub joins_per_second: f64,
    /// To how many nodes a node relays one camera; more are fed by those.
    pub relay_fan_out: u64,
    /// CPU of a relayed packet at each end of the link, in packets to a viewer.
    pub relay_packet_factor: f64,
    /// Cameras that share a site's uplink.
    pub cameras_per_site: u64,
}

/// What is wrong with an assumption.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct InvalidAssumption {
    key: &'static str,
    reason: &'static str,
}

/// What is needed.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What it rests on.
    pub assumptions: Assumptions,
    /// One camera shown to one viewer.
    pub stream: Stream,
    /// Streams to viewers: `viewers x cameras_per_viewer`.
    pub streams: f64,
    /// Cameras that somebody watches: all, or as many as there are streams.
    pub watched: f64,
    /// Viewers of each watched camera: `streams / watched`.
    pub viewers_per_camera: f64,
    /// Cores for media to viewers: `streams x stream.us_per_second / 10^6`.
    pub media_cores: f64,
    /// Cores for joins: `joins_per_second x join_us / 10^6`.
    pub join_cores: Option<f64>,
    /// To all viewers: `streams x stream.wire_bits`.
    pub viewer_bits: f64,
    /// One camera on the wire, all its encodings.
    pub camera_wire_bits: f64,
    /// From all watched cameras: `watched x camera_wire_bits`.
    pub camera_bits: f64,
    /// Of all viewers: `viewers x viewer_bytes x max(1, cameras_per_viewer / measured_cameras_per_viewer)`.
    pub memory_bytes: Option<f64>,
    /// `cameras / cameras_per_site`, rounded up.
    pub sites: u64,
    /// Uplink of a site all of whose cameras are watched: `min(cameras, cameras_per_site) x camera_wire_bits`.
    pub site_bits: f64,
    /// The best case: a camera's viewers are together.
    pub together: Fleet,
    /// The worst case: a camera's viewers are spread evenly over all nodes.
    pub spread: Fleet,
}

/// One camera shown to one viewer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stream {
    /// `viewer_us_per_second / measured_cameras_per_viewer`.
    pub us_per_second: f64,
    /// `viewer_packets_per_second / measured_cameras_per_viewer`.
    pub packets_per_second: f64,
    /// `viewer_bits_per_second / measured_cameras_per_viewer + packets_per_second x WIRE_OVERHEAD x 8`.
    pub wire_bits: f64,
}

/// The nodes, for one way that viewers spread. The three needs depend on the relays and these on the number of nodes: it is
/// the least that suffices, found by starting at 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    /// `cores / (cores_per_node x usable_cores)`, rounded up.
    pub nodes_by_cpu: u64,
    /// `max(egress, ingress) / (node_link_bits x usable_link)`, rounded up.
    pub nodes_by_link: u64,
    /// `memory_bytes / (node_memory_bytes x usable_memory)`, rounded up.
    pub nodes_by_memory: Option<u64>,
    /// The largest of them.
    pub nodes: u64,
    /// Which it is.
    pub binds: Bound,
    /// One node more, so that one may fail or be upgraded.
    pub nodes_with_spare: u64,
    /// Nodes that show a camera, on average.
    pub nodes_per_camera: f64,
    /// Links that carry a camera from node to node, all together.
    pub relay_links: f64,
    /// What they carry: `relay_links x stream.wire_bits`.
    pub relay_bits: f64,
    /// Both ends: `2 x relay_links x packets_per_second x packet_us x relay_packet_factor / 10^6`.
    pub relay_cores: f64,
    /// Links one after another that a camera goes over at most: the least `d` with `f + f^2 + ... + f^d` at least the links
    /// of a camera, for a fan-out `f`.
    pub relay_hops: u32,
    /// `media_cores + join_cores + relay_cores`.
    pub cores: f64,
    /// Out of all nodes: `viewer_bits + relay_bits`.
    pub egress_bits: f64,
    /// Into all nodes: `camera_bits + relay_bits`.
    pub ingress_bits: f64,
}

/// What decides how many nodes are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Processors.
    Cpu,
    /// The network.
    Link,
    /// Memory.
    Memory,
}

#[derive(Clone, Copy)]
enum Placement {
    Together,
    Spread,
}

impl Assumptions {
    /// With the defaults for everything that is not named here: 1 camera a viewer, in the measured run too; 16 cores, of
    /// which 60 % are planned with; 10 Gbit/s, 70 %; 32 GiB, 80 %; everybody joins within 300 s; 10 cameras a site.
    pub fn new(viewers: u64, cameras: u64, cost: Cost) -> Self {
        Self {
            viewers,
            cameras,
            cameras_per_viewer: 1,
            cost,
            measured_cameras_per_viewer: 1,
            cores_per_node: 16,
            usable_cores: 0.6,
            node_link_bits: 10e9,
            usable_link: 0.7,
            node_memory_bytes: 32.0 * 1_073_741_824.0,
            usable_memory: 0.8,
            joins_per_second: viewers as f64 / 300.0,
            relay_fan_out: 4,
            relay_packet_factor: 1.0,
            cameras_per_site: 10,
        }
    }

    /// Whether a plan can be made from it.
    pub fn check(&self) -> Result<(), InvalidAssumption> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        let share = |value: f64| value > 0.0 && value <= 1.0;
        let number = |value: u64| (1..=MOST).contains(&value);
        let cost = &self.cost;
        let measured = "the run measured nothing that could be planned with; it must be above 0";
        let checks = [
            (number(self.viewers), "viewers", "from 1 to 10^9"),
            (number(self.cameras), "cameras", "from 1 to 10^9"),
            (self.cameras_per_viewer > 0, "cameras_per_viewer", "at least 1"),
            (self.cameras_per_viewer <= self.cameras, "cameras_per_viewer", "no more than there are cameras"),
            (number(self.measured_cameras_per_viewer), "measured_cameras_per_viewer", "at least 1"),
            (positive(cost.packet_us), "cost.packet_us", measured),
            (positive(cost.viewer_us_per_second), "cost.viewer_us_per_second", measured),
            (positive(cost.viewer_packets_per_second), "cost.viewer_packets_per_second", measured),
            (positive(cost.viewer_bits_per_second), "cost.viewer_bits_per_second", measured),
            (positive(cost.camera_bits_per_second), "cost.camera_bits_per_second", measured),
            (cost.join_us.is_none_or(not_negative), "cost.join_us", "must not be below 0"),
            (cost.viewer_bytes.is_none_or(not_negative), "cost.viewer_bytes", "must not be below 0"),
            (number(self.cores_per_node), "cores_per_node", "at least 1"),
            (share(self.usable_cores), "usable_cores", "a share above 0, 1 at most"),
            (positive(self.node_link_bits), "node_link_bits", "must be above 0"),
            (share(self.usable_link), "usable_link", "a share above 0, 1 at most"),
            (positive(self.node_memory_bytes), "node_memory_bytes", "must be above 0"),
            (share(self.usable_memory), "usable_memory", "a share above 0, 1 at most"),
            (not_negative(self.joins_per_second), "joins_per_second", "must not be below 0"),
            (self.relay_fan_out >= 2, "relay_fan_out", "at least 2"),
            (not_negative(self.relay_packet_factor), "relay_packet_factor", "must not be below 0"),
            (number(self.cameras_per_site), "cameras_per_site", "at least 1"),
        ];
        let wrong = checks.into_iter().find(|(is_sound, _, _)| !is_sound);
        wrong.map_or(Ok(()), |(_, key, reason)| Err(InvalidAssumption { key, reason }))
    }
}

impl Stream {
    fn of(assumptions: &Assumptions) -> Self {
        let shown = assumptions.measured_cameras_per_viewer as f64;
        let packets_per_second = assumptions.cost.viewer_packets_per_second / shown;
        let payload = assumptions.cost.viewer_bits_per_second / shown;
        Self {
            us_per_second: assumptions.cost.viewer_us_per_second / shown,
            packets_per_second,
            wire_bits: payload + packets_per_second * WIRE_OVERHEAD * 8.0,
        }
    }
}

impl Plan {
    /// Makes a plan.
    pub fn new(assumptions: Assumptions) -> Result<Self, InvalidAssumption> {
        assumptions.check()?;
        let (a, cost) = (&assumptions, &assumptions.cost);
        let stream = Stream::of(a);
        let streams = a.viewers as f64 * a.cameras_per_viewer as f64;
        let watched = streams.min(a.cameras as f64);
        // A camera's packets are taken to be as long as those to viewers.
        let payload = stream.wire_bits - stream.packets_per_second * WIRE_OVERHEAD * 8.0;
        let camera_wire_bits = cost.camera_bits_per_second * stream.wire_bits / payload;
        let larger = (a.cameras_per_viewer as f64 / a.measured_cameras_per_viewer as f64).max(1.0);
        let load = Load {
            stream,
            watched,
            viewers_per_camera: streams / watched,
            media_cores: streams * stream.us_per_second / 1e6,
            join_cores: cost.join_us.map(|us| a.joins_per_second * us / 1e6),
            viewer_bits: streams * stream.wire_bits,
            camera_bits: watched * camera_wire_bits,
            memory_bytes: cost.viewer_bytes.map(|bytes| a.viewers as f64 * bytes * larger),
        };
        Ok(Self {
            stream,
            streams,
            watched,
            viewers_per_camera: load.viewers_per_camera,
            media_cores: load.media_cores,
            join_cores: load.join_cores,
            viewer_bits: load.viewer_bits,
            camera_wire_bits,
            camera_bits: load.camera_bits,
            memory_bytes: load.memory_bytes,
            sites: a.cameras.div_ceil(a.cameras_per_site),
            site_bits: a.cameras.min(a.cameras_per_site) as f64 * camera_wire_bits,
            together: load.fleet(a, Placement::Together),
            spread: load.fleet(a, Placement::Spread),
            assumptions,
        })
    }
}

/// What does not depend on the number of nodes.
struct Load {
    stream: Stream,
    watched: f64,
    viewers_per_camera: f64,
    media_cores: f64,
    join_cores: Option<f64>,
    viewer_bits: f64,
    camera_bits: f64,
    memory_bytes: Option<f64>,
}

impl Load {
    /// The least nodes that suffice. It ends: more nodes need more relays, but a stream needs one at most.
    fn fleet(&self, a: &Assumptions, placement: Placement) -> Fleet {
        let mut nodes = 1;
        loop {
            let fleet = self.with(a, placement, nodes);
            if fleet.nodes <= nodes {
                return fleet;
            }
            nodes = fleet.nodes;
        }
    }

    /// What is needed if there are so many nodes.
    fn with(&self, a: &Assumptions, placement: Placement, nodes: u64) -> Fleet {
        let (nodes_per_camera, links) = self.relays(placement, nodes as f64);
        let relay_links = links * self.watched;
        let relay_bits = relay_links * self.stream.wire_bits;
        let relay_packets = relay_links * self.stream.packets_per_second;
        let relay_cores = 2.0 * relay_packets * a.cost.packet_us * a.relay_packet_factor / 1e6;
        let cores = self.media_cores + self.join_cores.unwrap_or(0.0) + relay_cores;
        let egress_bits = self.viewer_bits + relay_bits;
        let ingress_bits = self.camera_bits + relay_bits;
        let nodes_by_cpu = whole(cores / (a.cores_per_node as f64 * a.usable_cores));
        let nodes_by_link = whole(egress_bits.max(ingress_bits) / (a.node_link_bits * a.usable_link));
        let nodes_by_memory = self.memory_bytes.map(|bytes| whole(bytes / (a.node_memory_bytes * a.usable_memory)));
        let needs =
            [(nodes_by_memory.unwrap_or(1), Bound::Memory), (nodes_by_link, Bound::Link), (nodes_by_cpu, Bound::Cpu)];
        // The last of equals.
        let (needed, binds) = needs.into_iter().max_by_key(|(nodes, _)| *nodes).unwrap_or((1, Bound::Cpu));
        Fleet {
            nodes_by_cpu,
            nodes_by_link,
            nodes_by_memory,
            nodes: needed,
            binds,
            nodes_with_spare: needed.saturating_add(1),
            nodes_per_camera,
            relay_links,
            relay_bits,
            relay_cores,
            relay_hops: hops(links, a.relay_fan_out as f64),
            cores,
            egress_bits,
            ingress_bits,
        }
    }

    /// For a camera: on how many of `n` nodes it is shown, and how many links bring it there.
    ///
    /// Together, its viewers fill `max(1, n / watched)` nodes, its origin being one of them. Spread, each of its `v` viewers
    /// is on any node with the same chance: `n (1 - (1 - 1/n)^v)` nodes, all of them but a share of `1/n` not its origin.
    fn relays(&self, placement: Placement, n: f64) -> (f64, f64) {
        match placement {
            Placement::Together => {
                let shown = (n / self.watched).max(1.0);
                (shown, shown - 1.0)
            }
            Placement::Spread => {
                let shown = n * (1.0 - (1.0 - 1.0 / n).powf(self.viewers_per_camera));
                (shown, shown * (1.0 - 1.0 / n))
            }
        }
    }
}

/// Rounded up, at least 1; an error of computing is not worth a node.
fn whole(nodes: f64) -> u64 {
    ((nodes - 1e-9).ceil() as u64).max(1)
}

fn hops(links: f64, fan_out: f64) -> u32 {
    let (mut hops, mut level, mut reached) = (0, 1.0, 0.0);
    while reached < links - 1e-9 {
        level *= fan_out;
        reached += level;
        hops += 1;
    }
    hops
}
