//! What a run leaves: the scenario, what was measured, second by second and in all, and what the server used for it. It is
//! the JSON report, and all that the HTML report and the plan are made from.

use crate::measure::Measures;
use crate::scenario::Scenario;
use crate::slo::Verdict;
use serde::{Deserialize, Serialize};

/// Version of the JSON report.
pub const VERSION: u32 = 1;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// [`VERSION`].
    pub version: u32,
    /// What was done.
    pub scenario: Scenario,
    /// When it began, in Unix milliseconds.
    pub began: u64,
    /// Length of the run in seconds, from the first publisher on.
    pub seconds: f64,
    /// The machines that viewers ran on, each by its cores.
    pub machines: Vec<usize>,
    /// All that was measured.
    pub measures: Measures,
    /// Second by second.
    pub series: Vec<Second>,
    /// What it cost the server; `None` where its metrics could not be read.
    pub cost: Option<Cost>,
    /// How each objective was met.
    pub verdicts: Vec<Verdict>,
    /// Steps of a ramp; empty for a run with a fixed number of viewers.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// One second of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Seconds since the run began, at its end.
    pub at: f64,
    /// Viewers whose media flows.
    pub viewers: u64,
    /// Viewers that are joining.
    pub joining: u64,
    /// Joins that were complete in it.
    pub joined: u64,
    /// Calls and joins that failed in it.
    pub failed: u64,
    /// Media packets that came.
    pub packets: u64,
    /// Bytes of UDP payload that came.
    pub bytes: u64,
    /// Packets that never came, in percent.
    pub loss_percent: f64,
    /// Packets that did not come by themselves, in percent.
    pub raw_loss_percent: f64,
    /// Freezes that ended in it.
    pub freezes: u64,
    /// Median of the transit times, in ms.
    pub transit_p50_ms: Option<f64>,
    /// 99th percentile of the transit times, in ms.
    pub transit_p99_ms: Option<f64>,
    /// 95th percentile of the times from call to first packet of the joins in it, in ms.
    pub first_p95_ms: Option<f64>,
    /// Median of what viewers said they can receive, in kbit/s.
    pub remb_p50_kbps: Option<f64>,
    /// The server's use of its machine in it.
    pub server: Option<ServerSecond>,
}

/// What all nodes together used in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerSecond {
    /// CPU time of the processes in cores: 1.0 is one core all the time.
    pub cores: f64,
    /// Of that, CPU time of the shards' threads.
    pub shard_cores: f64,
    /// Resident memory, in bytes.
    pub memory: u64,
    /// Media packets sent to viewers.
    pub packets: u64,
    /// Trains that did not fit the socket and were dropped.
    pub dropped: u64,
    /// Connections.
    pub connections: u64,
}

/// What the load cost the server: measured over the time when all viewers were there, but for the join.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// What every camera sent, by the name of its profile.
    pub profile: String,
    /// CPU of the shards for each packet to a viewer, in us: receiving, forwarding, feedback, everything.
    pub packet_us: f64,
    /// CPU of the shards for each viewer and second, in us.
    pub viewer_us_per_second: f64,
    /// Media packets to each viewer and second.
    pub viewer_packets_per_second: f64,
    /// UDP payload to each viewer, in bit/s.
    pub viewer_bits_per_second: f64,
    /// UDP payload from each camera, in bit/s.
    pub camera_bits_per_second: f64,
    /// CPU of the server's process for each join, in us, signaling included; `None` where too few joined to say.
    pub join_us: Option<f64>,
    /// Memory of the server's process for each viewer, in bytes.
    pub viewer_bytes: Option<f64>,
    /// Viewers that were measured.
    pub viewers: u64,
}

/// One step of a ramp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Viewers in it.
    pub viewers: u64,
    /// Whether every objective was met.
    pub is_met: bool,
    /// How each was.
    pub verdicts: Vec<Verdict>,
    /// CPU time of the shards in cores.
    pub shard_cores: Option<f64>,
}

impl Step {
    /// Why it is not met, in words; `None` where it is.
    pub fn why_missed(&self) -> Option<String> {
        let missed = self.verdicts.iter().filter(|verdict| !verdict.is_met);
        let said: Vec<String> = missed.map(|v| format!("{} was {}", v.objective, v.measured)).collect();
        match (self.is_met, said.is_empty()) {
            (true, _) => None,
            (false, true) => Some("not every viewer got a picture".to_owned()),
            (false, false) => Some(said.join(", ")),
        }
    }
}
