//! The one room that sees `prometheus`: a node's figures, read from its shards when they are asked for.

use crate::shard::{Figures, SharedFigures};
use prometheus::{Encoder, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};
use std::sync::PoisonError;

/// The figures of a node's shards, in a registry that the caller owns.
pub(crate) struct Metrics {
    registry: Registry,
    shards: Vec<SharedFigures>,
    counters: Vec<(IntCounterVec, Read)>,
    connections: IntGaugeVec,
}

/// Takes one figure out of all.
type Read = fn(&Figures) -> u64;
/// Name, help, and where the figure is.
type Reading = (&'static str, &'static str, Read);

const COUNTERS: [Reading; 20] = [
    ("sunroom_sfu_packets_received_total", "RTP packets from publishers.", |f| f.core.packets_in),
    ("sunroom_sfu_packets_sent_total", "RTP packets to viewers, without retransmissions.", |f| f.core.packets_out),
    ("sunroom_sfu_trains_sent_total", "Trains of packets sealed for viewers.", |f| f.core.trains_out),
    ("sunroom_sfu_trains_late_total", "Trains dropped because they had waited for a second.", |f| f.core.trains_late),
    ("sunroom_sfu_trains_dropped_total", "Trains dropped because the socket was full.", |f| f.socket.trains_dropped),
    ("sunroom_sfu_sent_bytes_total", "UDP payload sent.", |f| f.socket.bytes_out),
    ("sunroom_sfu_retransmissions_total", "RTP packets sent again.", |f| f.core.retransmissions),
    ("sunroom_sfu_nacks_received_total", "Packets that viewers asked for again.", |f| f.core.nacks_in),
    ("sunroom_sfu_nacks_unanswered_total", "Of those, packets not held or over the allowance.", |f| {
        f.core.nacks_unanswered
    }),
    ("sunroom_sfu_nacks_sent_total", "Packets that publishers were asked for again.", |f| f.core.nacks_out),
    ("sunroom_sfu_keyframe_requests_received_total", "Keyframe requests of viewers.", |f| f.core.keyframe_requests_in),
    ("sunroom_sfu_keyframe_requests_sent_total", "Keyframe requests to publishers.", |f| f.core.keyframe_requests_out),
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
    /// Figures of these shards.
    pub(crate) fn new(shards: Vec<SharedFigures>) -> prometheus::Result<Self> {
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
        Ok(Self { registry, shards, counters, connections })
    }

    /// In the Prometheus text format.
    pub(crate) fn text(&self) -> prometheus::Result<String> {
        for (number, shard) in self.shards.iter().enumerate() {
            let figures = *shard.lock().unwrap_or_else(PoisonError::into_inner);
            let label = number.to_string();
            for (counter, read) in &self.counters {
                let counter = counter.with_label_values(&[&label]);
                counter.inc_by(read(&figures).saturating_sub(counter.get()));
            }
            self.connections.with_label_values(&[&label]).set(figures.connections as i64);
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
