//! A plan as plain text: every assumption, every formula with its result.

use super::{Assumptions, Bound, Fleet, Plan, WIRE_OVERHEAD};
use crate::units::{count, memory, number, percent, rate, time};
use std::fmt::Write;

/// Width of the names, and of the values before what they come from.
const NAME: usize = 30;
const VALUE: usize = 16;

impl Plan {
    /// The plan for a terminal.
    pub fn text(&self) -> String {
        let a = &self.assumptions;
        let mut text = String::new();
        let (least, most) = (self.together.nodes_with_spare, self.spread.nodes_with_spare);
        let nodes = if least == most { count(most) } else { format!("{} to {}", count(least), count(most)) };
        let _ = writeln!(
            text,
            "{nodes} nodes of {} cores for {} viewers of {} cameras ({}), one spare node included",
            a.cores_per_node,
            count(a.viewers),
            count(a.cameras),
            a.cost.profile
        );
        table(&mut text, "Assumed", &assumed(a));
        table(&mut text, "Load", &self.load());
        table(&mut text, "Best case: a camera's viewers are together", &self.fleet(&self.together));
        table(&mut text, "Worst case: a camera's viewers are spread evenly over all nodes", &self.fleet(&self.spread));
        text.push_str(NOTES);
        text
    }

    fn load(&self) -> Vec<Row> {
        let a = &self.assumptions;
        let mut rows = vec![
            row("streams to viewers", number(self.streams), "viewers x cameras per viewer"),
            row("cameras watched", number(self.watched), "min(cameras, streams)"),
            row("viewers of each", number(self.viewers_per_camera), "streams / cameras watched"),
            row(
                "a stream on the wire",
                rate(self.stream.wire_bits),
                format!("payload + packets x {WIRE_OVERHEAD} bytes (UDP, IPv4, Ethernet)"),
            ),
            row("media", cores(self.media_cores), "streams x CPU per stream and second"),
        ];
        if let Some(join_cores) = self.join_cores {
            rows.push(row("joins", cores(join_cores), "joins/s x CPU per join"));
        }
        if let Some(bytes) = self.memory_bytes {
            rows.push(row("memory", memory(bytes), "viewers x memory per viewer, more where they show more"));
        }
        rows.extend([
            row("to viewers", rate(self.viewer_bits), "streams x a stream on the wire"),
            row("a camera on the wire", rate(self.camera_wire_bits), "all its encodings"),
            row("from cameras", rate(self.camera_bits), "cameras watched x a camera on the wire"),
            row("sites", count(self.sites), "cameras / cameras per site, rounded up"),
            row(
                "uplink of a site",
                rate(self.site_bits),
                format!("all its {} cameras watched; leave a third free", a.cameras.min(a.cameras_per_site)),
            ),
        ]);
        rows
    }

    fn fleet(&self, fleet: &Fleet) -> Vec<Row> {
        let a = &self.assumptions;
        let n = fleet.nodes as f64;
        let binds = match fleet.binds {
            Bound::Cpu => "CPU binds",
            Bound::Link => "the link binds",
            Bound::Memory => "memory binds",
        };
        let memory_nodes = fleet.nodes_by_memory.map_or_else(|| "not measured".to_owned(), count);
        let used = |nodes: f64| percent(100.0 * fleet.cores / (nodes * a.cores_per_node as f64));
        vec![
            row("nodes by CPU", count(fleet.nodes_by_cpu), "cores / (cores per node x usable), rounded up"),
            row("nodes by link", count(fleet.nodes_by_link), "larger of out and in / (link x usable), rounded up"),
            row("nodes by memory", memory_nodes, "memory / (memory per node x usable), rounded up"),
            row("nodes", count(fleet.nodes), format!("the largest; {binds}")),
            row("with one spare (N+1)", count(fleet.nodes_with_spare), format!("cores in use then: {}", used(n + 1.0))),
            row("cores in use with one lost", used(n), "cores / (nodes x cores per node)"),
            row("cores", cores(fleet.cores), "media + joins + relays"),
            row("nodes that show a camera", number(fleet.nodes_per_camera), "on average; n(1-(1-1/n)^v) if spread"),
            row("relay links", number(fleet.relay_links), "one for each such node but the camera's origin"),
            row("relays carry", rate(fleet.relay_bits), "links x a stream on the wire"),
            row("relays' CPU", cores(fleet.relay_cores), "both ends of each link"),
            row("relay hops", count(fleet.relay_hops.into()), format!("at a fan-out of {}", a.relay_fan_out)),
            row("out of all nodes", rate(fleet.egress_bits), "to viewers + relays"),
            row("into all nodes", rate(fleet.ingress_bits), "from cameras + relays"),
            row("out of each node", rate(fleet.egress_bits / n), "with no spare node"),
            row("into each node", rate(fleet.ingress_bits / n), "with no spare node"),
        ]
    }
}

fn assumed(a: &Assumptions) -> Vec<Row> {
    let cost = &a.cost;
    let shown = a.measured_cameras_per_viewer as f64;
    let unknown = |value: Option<String>| value.unwrap_or_else(|| "not measured".to_owned());
    vec![
        row("cameras per viewer", count(a.cameras_per_viewer), ""),
        row("joins a second at the peak", number(a.joins_per_second), ""),
        row(
            "measured viewers",
            count(cost.viewers),
            format!("each with {} of {}", count(a.measured_cameras_per_viewer), cost.profile),
        ),
        row("CPU per stream and second", time(cost.viewer_us_per_second / shown), "measured: shards, everything"),
        row("CPU per packet", time(cost.packet_us), "measured"),
        row("CPU per join", unknown(cost.join_us.map(time)), "measured: the whole process"),
        row("memory per viewer", unknown(cost.viewer_bytes.map(memory)), "measured"),
        row("packets per stream", format!("{}/s", number(cost.viewer_packets_per_second / shown)), "measured"),
        row("payload per stream", rate(cost.viewer_bits_per_second / shown), "measured, UDP"),
        row("payload of a camera", rate(cost.camera_bits_per_second), "measured, UDP, all encodings"),
        row("a node's cores", count(a.cores_per_node), usable(a.usable_cores)),
        row("a node's link", rate(a.node_link_bits), usable(a.usable_link)),
        row("a node's memory", memory(a.node_memory_bytes), usable(a.usable_memory)),
        row("relay fan-out", count(a.relay_fan_out), "nodes that a node sends one camera to"),
        row("CPU of a relayed packet", number(a.relay_packet_factor), "packets to a viewer, at each end; assumed"),
        row("cameras per site", count(a.cameras_per_site), ""),
    ]
}

fn usable(share: f64) -> String {
    format!("{} planned with", percent(100.0 * share))
}

fn cores(value: f64) -> String {
    format!("{} cores", number(value))
}

/// Name, value, and what it comes from.
type Row = (&'static str, String, String);

fn row(name: &'static str, value: String, from: impl Into<String>) -> Row {
    (name, value, from.into())
}

fn table(text: &mut String, title: &str, rows: &[Row]) {
    let _ = writeln!(text, "\n{title}");
    for (name, value, from) in rows {
        let line = format!("  {name:<NAME$}{value:>VALUE$}   {from}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

const NOTES: &str = "
Not in it: viewers' feedback, retransmissions, and the bursts that joins begin with; the
shares that are left free are for these. Cores are as fast as the measured ones. Loads are even over cameras and nodes.
";
