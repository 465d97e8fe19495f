//! The one room that sees `prometheus`: a node's figures, read from its shards and its process when they are asked for.
//!
//! Invariant: all of a shard's figures are of one moment, so that one divided by another says something.

use crate::shard::{Figures, SharedFigures};
use nix::time::{ClockId, clock_gettime};
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// The figures of a node, in a registry of its own.
pub(crate) struct Metrics {
    registry: Registry,
    shards: Vec<SharedFigures>,
    counters: Vec<(IntCounterVec, Read)>,
    connections: IntGaugeVec,
    tcp_connections: IntGaugeVec,
    process: Process,
    /// Held by who reads: two at once would both add what is new to the counters.
    reading: Mutex<()>,
}

/// What the node's process is doing.
struct Process {
    runtime: Handle,
    /// The process collector's own counts whole seconds.
    cpu: IntCounter,
    tasks: IntGauge,
    connections: IntGauge,
}

/// Takes one figure out of all.
type Read = fn(&Figures) -> u64;
/// Name, help, and where the figure is.
type Reading = (&'static str, &'static str, Read);

const COUNTERS: [Reading; 23] = [
    ("sunroom_sfu_packets_received_total", "RTP packets from publishers.", |f| f.core.packets_in),
    ("sunroom_sfu_packets_sent_total", "RTP packets to viewers, without retransmissions.", |f| f.core.packets_out),
    ("sunroom_sfu_trains_sent_total", "Trains of packets sealed for viewers.", |f| f.core.trains_out),
    ("sunroom_sfu_trains_late_total", "Trains dropped because they had waited for a second.", |f| f.core.trains_late),
    ("sunroom_sfu_trains_dropped_total", "Trains dropped because the socket was full.", |f| f.socket.trains_dropped),
    ("sunroom_sfu_sent_bytes_total", "UDP payload sent.", |f| f.socket.bytes_out),
    ("sunroom_sfu_tcp_trains_dropped_total", "Trains dropped because a TCP connection was full or gone.", |f| {
        f.tcp.trains_dropped
    }),
    ("sunroom_sfu_tcp_sent_bytes_total", "TCP payload sent.", |f| f.tcp.bytes_out),
    ("sunroom_sfu_retransmissions_total", "RTP packets sent again.", |f| f.core.retransmissions),
    ("sunroom_sfu_nacks_received_total", "Packets that viewers asked for again.", |f| f.core.nacks_in),
    ("sunroom_sfu_nacks_unanswered_total", "Of those, packets not held or over the allowance.", |f| {
        f.core.nacks_unanswered
    }),
    ("sunroom_sfu_nacks_sent_total", "Packets that publishers were asked for again.", |f| f.core.nacks_out),
    ("sunroom_sfu_keyframe_requests_received_total", "Keyframe requests of viewers.", |f| f.core.keyframe_requests_in),
    ("sunroom_sfu_keyframe_requests_sent_total", "Keyframe requests to publishers.", |f| f.core.keyframe_requests_out),
    ("sunroom_sfu_packets_thinned_total", "Packets of disposable frames that were left out for small networks.", |f| {
        f.core.packets_thinned
    }),
    ("sunroom_sfu_joins_cached_total", "Joins that began with a cached GOP.", |f| f.core.joins_cached),
    ("sunroom_sfu_joins_waiting_total", "Joins that had to wait for a keyframe.", |f| f.core.joins_waiting),
    ("sunroom_sfu_refused_stun_total", "STUN messages that proved nothing.", |f| f.core.refused_stun),
    ("sunroom_sfu_refused_dtls_total", "DTLS datagrams refused.", |f| f.core.refused_dtls),
    ("sunroom_sfu_refused_srtp_total", "SRTP packets that did not authenticate.", |f| f.core.refused_srtp),
    ("sunroom_sfu_refused_rtp_total", "RTP packets of nothing that was agreed.", |f| f.core.refused_rtp),
    ("sunroom_sfu_refused_strangers_total", "Datagrams of addresses that proved nothing.", |f| {
        f.core.refused_unknown_address
    }),
    ("sunroom_sfu_cpu_microseconds_total", "CPU time of the shard's thread.", |f| f.cpu.as_micros() as u64),
];

impl Metrics {
    /// Figures of these shards, and of this process with its runtime.
    pub(crate) fn new(shards: Vec<SharedFigures>, runtime: Handle) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let mut counters = Vec::with_capacity(COUNTERS.len());
        for (name, help, read) in COUNTERS {
            let counter = IntCounterVec::new(Opts::new(name, help), &["shard"])?;
            registry.register(Box::new(counter.clone()))?;
            counters.push((counter, read));
        }
        let connections =
            IntGaugeVec::new(Opts::new("sunroom_sfu_connections", "Peer connections, up or coming up."), &["shard"])?;
        registry.register(Box::new(connections.clone()))?;
        let help = "TCP connections of peers, in place of UDP or while they look for a way.";
        let tcp_connections = IntGaugeVec::new(Opts::new("sunroom_sfu_tcp_connections", help), &["shard"])?;
        registry.register(Box::new(tcp_connections.clone()))?;
        let process = Process::new(&registry, runtime)?;
        Ok(Self { registry, shards, counters, connections, tcp_connections, process, reading: Mutex::default() })
    }

    /// In the Prometheus text format, with so many connections as the node counts them.
    pub(crate) fn text(&self, node_connections: usize) -> prometheus::Result<String> {
        let _alone = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, shard) in self.shards.iter().enumerate() {
            let figures = *shard.lock().unwrap_or_else(PoisonError::into_inner);
            let label = number.to_string();
            for (counter, read) in &self.counters {
                raise(&counter.with_label_values(&[&label]), read(&figures));
            }
            self.connections.with_label_values(&[&label]).set(figures.connections as i64);
            self.tcp_connections.with_label_values(&[&label]).set(figures.tcp_connections as i64);
        }
        self.process.look(node_connections);
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Process {
    fn new(registry: &Registry, runtime: Handle) -> prometheus::Result<Self> {
        let process = Self {
            runtime,
            cpu: IntCounter::new("sunroom_sfu_process_cpu_microseconds_total", "CPU time of the whole process.")?,
            tasks: IntGauge::new("sunroom_sfu_tasks", "Tasks of the runtime that have not ended.")?,
            connections: IntGauge::new(
                "sunroom_sfu_node_connections",
                "Viewers and publishers that the node knows, up or coming up.",
            )?,
        };
        let all: [Box<dyn Collector>; 4] = [
            Box::new(ProcessCollector::for_self()),
            Box::new(process.cpu.clone()),
            Box::new(process.tasks.clone()),
            Box::new(process.connections.clone()),
        ];
        for collector in all {
            registry.register(collector)?;
        }
        Ok(process)
    }

    fn look(&self, node_connections: usize) {
        let cpu = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).unwrap_or_default();
        raise(&self.cpu, cpu.as_micros() as u64);
        self.tasks.set(self.runtime.metrics().num_alive_tasks() as i64);
        self.connections.set(node_connections as i64);
    }
}

/// Brings a counter up to what was counted elsewhere.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}
