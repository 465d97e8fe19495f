//! What the server uses, by its nodes' `/metrics` (Prometheus text format).

use crate::outcome::ServerSecond;
use reqwest::Client;
use std::time::{Duration, Instant};
use url::Url;

/// How long a node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Longest answer that is looked at, in bytes.
const MAX_TEXT: usize = 4 << 20;

/// What all nodes together have used since they began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When it was asked for.
    pub at: Instant,
    /// CPU time of the processes, in us.
    pub process_us: f64,
    /// Of that, CPU time of the shards' threads, in us. Taken with the packets: the two fit each other.
    pub shard_us: f64,
    /// Media packets received from publishers.
    pub packets_in: f64,
    /// Media packets sent to viewers, retransmissions left out.
    pub packets_out: f64,
    /// Trains that were dropped.
    pub dropped: f64,
    /// Resident memory, in bytes.
    pub memory: f64,
    /// Open descriptors.
    pub descriptors: f64,
    /// Tasks that have not ended.
    pub tasks: f64,
    /// Peer connections.
    pub connections: f64,
}

/// Why nodes cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It does not answer, or not with metrics.
    #[error("{url}: {source}")]
    Unreachable {
        /// Which.
        url: Url,
        /// Why.
        source: reqwest::Error,
    },
    /// It is no media node, or one of a version that does not say this.
    #[error("{url} has no {name}: is it a media node's /metrics?")]
    Missing {
        /// Which.
        url: Url,
        /// The metric.
        name: &'static str,
    },
}

/// Nodes whose metrics are read.
#[derive(Clone)]
pub struct Server {
    client: Client,
    nodes: Vec<Url>,
}

impl Server {
    /// Of these `/metrics`.
    pub fn new(client: Client, nodes: Vec<Url>) -> Self {
        Self { client, nodes }
    }

    /// What they have used; `None` where there are none to ask.
    pub async fn sample(&self) -> Result<Option<Sample>, ServerError> {
        let mut all: Option<Sample> = None;
        for url in &self.nodes {
            let one = self.node(url).await?;
            all = Some(all.map_or(one, |before| before.plus(&one)));
        }
        Ok(all)
    }

    /// A metric, summed over its labels and the nodes.
    pub async fn total(&self, name: &'static str) -> Result<f64, ServerError> {
        let mut total = 0.0;
        for url in &self.nodes {
            total += value(url, &self.text(url).await?, name)?;
        }
        Ok(total)
    }

    /// What a node's `/metrics` says.
    async fn text(&self, url: &Url) -> Result<String, ServerError> {
        let unreachable = |source| ServerError::Unreachable { url: url.clone(), source };
        let response = self.client.get(url.clone()).timeout(TIMEOUT).send().await.map_err(unreachable)?;
        let mut text = response.error_for_status().map_err(unreachable)?.text().await.map_err(unreachable)?;
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        Ok(text)
    }

    async fn node(&self, url: &Url) -> Result<Sample, ServerError> {
        let text = self.text(url).await?;
        let value = |name| value(url, &text, name);
        Ok(Sample {
            at: Instant::now(),
            process_us: value("sunroom_sfu_process_cpu_microseconds_total")?,
            shard_us: value("sunroom_sfu_cpu_microseconds_total")?,
            packets_in: value("sunroom_sfu_packets_received_total")?,
            packets_out: value("sunroom_sfu_packets_sent_total")?,
            dropped: value("sunroom_sfu_trains_dropped_total")?,
            memory: value("process_resident_memory_bytes")?,
            descriptors: value("process_open_fds")?,
            tasks: value("sunroom_sfu_tasks")?,
            connections: value("sunroom_sfu_connections")?,
        })
    }
}

/// A metric of this node, summed over its labels.
fn value(url: &Url, text: &str, name: &'static str) -> Result<f64, ServerError> {
    sum(text, name).ok_or_else(|| ServerError::Missing { url: url.clone(), name })
}

/// The sum of a metric over its labels.
fn sum(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

impl Sample {
    fn plus(&self, other: &Self) -> Self {
        Self {
            at: self.at.max(other.at),
            process_us: self.process_us + other.process_us,
            shard_us: self.shard_us + other.shard_us,
            packets_in: self.packets_in + other.packets_in,
            packets_out: self.packets_out + other.packets_out,
            dropped: self.dropped + other.dropped,
            memory: self.memory + other.memory,
            descriptors: self.descriptors + other.descriptors,
            tasks: self.tasks + other.tasks,
            connections: self.connections + other.connections,
        }
    }

    /// What was used since an earlier sample.
    pub fn since(&self, before: &Self) -> ServerSecond {
        let seconds = (self.at - before.at).as_secs_f64().max(1e-3);
        ServerSecond {
            cores: (self.process_us - before.process_us) / 1e6 / seconds,
            shard_cores: (self.shard_us - before.shard_us) / 1e6 / seconds,
            memory: self.memory as u64,
            packets: (self.packets_out - before.packets_out) as u64,
            dropped: (self.dropped - before.dropped) as u64,
            connections: self.connections as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn a_metric_is_the_sum_of_its_labels() {
        let text = "# HELP packets_total x\npackets_total{shard=\"0\"} 3\npackets_total{shard=\"1\"} 4\npackets 9\n";
        assert_eq!(sum(text, "packets_total"), Some(7.0));
        assert_eq!(sum(text, "packets"), Some(9.0));
        assert_eq!(sum(text, "trains"), None);
    }
}
