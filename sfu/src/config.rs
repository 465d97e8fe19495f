//! Settings of a media node.

use cluster::listen;
use protocol::NodeId;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Settings of a media node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The node's name, unique in its cluster.
    pub id: NodeId,
    /// Where the node API, `/metrics` and health are served: loopback, elsewhere with mutual TLS.
    pub internal: listen::Config,
    /// The data plane.
    pub media: Media,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            id: NodeId("node-1".into()),
            internal: listen::Config::plain((Ipv4Addr::LOCALHOST, 7400).into()),
            media: Media::default(),
        }
    }
}

/// The data plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Media {
    /// Address that the shards' UDP sockets bind to; `::` takes IPv4 too, and stands for
    /// `0.0.0.0` where the kernel has no IPv6.
    pub bind: IpAddr,
    /// UDP port of the first shard, the others follow; 0 takes free ones.
    pub port: u16,
    /// TCP port of the node, for peers whose network lets no UDP through (RFC 6544); 0 takes a free one.
    pub tcp_port: u16,
    /// Threads, with a port each; 0 is one a core.
    pub shards: u16,
    /// Addresses that viewers and publishers are told, IPv4 and IPv6; empty: those of the machine's interfaces.
    pub advertise: Vec<IpAddr>,
    /// Socket buffer for sending and for receiving, in bytes each.
    pub socket_buffer: usize,
    /// Most bytes of payload that an encoding keeps for joins and retransmissions.
    pub ring_bytes: usize,
    /// How long an encoding stays wanted after its last viewer, in seconds.
    pub linger_seconds: u64,
    /// Most connections at a time.
    pub max_connections: usize,
    /// How it is estimated what viewers' networks carry.
    pub estimation: Estimation,
}

/// How it is estimated what a viewer's network carries.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Estimation {
    /// By the viewer, which tells the node.
    #[default]
    Remb,
    /// By the node, which viewers tell when packets came; by REMB where they do not.
    Twcc,
}

impl From<Estimation> for sfu_core::bandwidth::Estimation {
    fn from(estimation: Estimation) -> Self {
        match estimation {
            Estimation::Remb => Self::Remb,
            Estimation::Twcc => Self::Twcc,
        }
    }
}

/// Longest that an encoding may stay wanted without a viewer, in seconds: a day.
const MAX_LINGER: u64 = 24 * 3600;

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct InvalidConfig {
    key: &'static str,
    reason: &'static str,
}

impl Config {
    /// Whether it can be acted on.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        let media = &self.media;
        let last_port = u32::from(media.port) + u32::from(media.shards.max(1)) - 1;
        let checks = [
            (!self.id.0.trim().is_empty(), "id", "the node needs a name"),
            (last_port <= 65_535, "media.port", "there is no port for each shard below 65536"),
            (media.linger_seconds <= MAX_LINGER, "media.linger_seconds", "86400 at most"),
            (media.ring_bytes > 0, "media.ring_bytes", "must be above 0"),
            (media.max_connections > 0, "media.max_connections", "must be above 0"),
            (
                !media.advertise.iter().any(IpAddr::is_unspecified),
                "media.advertise",
                "nobody can send to 0.0.0.0 or ::",
            ),
        ];
        let wrong = checks.into_iter().find(|(is_sound, _, _)| !is_sound);
        wrong.map_or(Ok(()), |(_, key, reason)| Err(InvalidConfig { key, reason }))
    }
}

impl Default for Media {
    fn default() -> Self {
        Self {
            bind: Ipv6Addr::UNSPECIFIED.into(),
            port: 0,
            tcp_port: 0,
            shards: 0,
            advertise: Vec::new(),
            socket_buffer: 8 << 20,
            ring_bytes: 8 << 20,
            linger_seconds: 30,
            max_connections: 20_000,
            estimation: Estimation::default(),
        }
    }
}
