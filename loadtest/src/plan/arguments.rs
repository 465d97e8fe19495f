//! A plan from a run's JSON report and a few flags.

use super::{Assumptions, Plan};
use crate::outcome::Cost;
use crate::profile::{Encoding, Film, Profile};
use crate::scenario::Scenario;
use anyhow::{Context, bail};
use serde::Deserialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest report that is read, in bytes: a day's run has some 30 MB.
const MAX_REPORT: u64 = 256 << 20;

/// How many nodes do so many viewers need?
#[derive(Clone, Debug, clap::Args)]
pub struct PlanArguments {
    /// JSON report of a measured run
    #[arg(long, value_name = "FILE")]
    pub cost: PathBuf,
    /// Viewers at the peak
    #[arg(long, value_name = "N")]
    pub viewers: u64,
    /// Cameras that are published
    #[arg(long, value_name = "N")]
    pub cameras: u64,
    /// Cameras that each viewer shows
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub cameras_per_viewer: u64,
    /// What cameras send: camera-360p, camera-720p, a bitrate or an .h264 file; the measured run's by default
    #[arg(long, value_name = "NAME")]
    pub profile: Option<Profile>,
    /// Cores of a node
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub cores_per_node: u64,
    /// Share of a node's cores that is planned with
    #[arg(long, value_name = "SHARE", default_value_t = 0.6)]
    pub usable: f64,
    /// A node's link, each way, in bit/s
    #[arg(long, value_name = "RATE", default_value = "10G", value_parser = read_rate)]
    pub node_link: f64,
    /// Share of it that is planned with
    #[arg(long, value_name = "SHARE", default_value_t = 0.7)]
    pub usable_link: f64,
    /// A node's memory in bytes, K, M and G being powers of 1024
    #[arg(long, value_name = "BYTES", default_value = "32G", value_parser = read_memory)]
    pub node_memory: f64,
    /// Time in which all viewers of the peak join
    #[arg(long, value_name = "TIME", default_value = "300s", value_parser = humantime::parse_duration)]
    pub join_window: Duration,
    /// Nodes that a node relays one camera to
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub relay_fan_out: u64,
    /// Cameras that share a site's uplink
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub cameras_per_site: u64,
}

/// What a plan takes from a report.
#[derive(Deserialize)]
struct Report {
    scenario: Scenario,
    cost: Option<Cost>,
}

/// Makes the plan; the text is for the terminal.
pub fn run(arguments: &PlanArguments) -> anyhow::Result<String> {
    let report = read(&arguments.cost)?;
    let Some(cost) = report.cost else {
        bail!("{}: the run measured no cost: the server's metrics could not be read", arguments.cost.display());
    };
    if arguments.join_window.is_zero() {
        bail!("--join-window: must be above 0");
    }
    let measured: Profile = cost.profile.parse().context("cost.profile in the report")?;
    let (cost, warning) = match &arguments.profile {
        Some(wanted) if *wanted != measured => scale(&cost, &measured, wanted, &report.scenario.rid)?,
        _ => (cost, String::new()),
    };
    let assumptions = Assumptions {
        cameras_per_viewer: arguments.cameras_per_viewer,
        measured_cameras_per_viewer: report.scenario.shown() as u64,
        cores_per_node: arguments.cores_per_node,
        usable_cores: arguments.usable,
        node_link_bits: arguments.node_link,
        usable_link: arguments.usable_link,
        node_memory_bytes: arguments.node_memory,
        joins_per_second: arguments.viewers as f64 / arguments.join_window.as_secs_f64(),
        relay_fan_out: arguments.relay_fan_out,
        cameras_per_site: arguments.cameras_per_site,
        ..Assumptions::new(arguments.viewers, arguments.cameras, cost)
    };
    Ok(warning + &Plan::new(assumptions)?.text())
}

fn read(path: &Path) -> anyhow::Result<Report> {
    let unreadable = || format!("cannot read {}", path.display());
    if std::fs::metadata(path).with_context(unreadable)?.len() > MAX_REPORT {
        bail!("{} is larger than 256 MiB", path.display());
    }
    let text = std::fs::read_to_string(path).with_context(unreadable)?;
    serde_json::from_str(&text).with_context(|| format!("{} is no report of a run", path.display()))
}

/// The cost of another profile: CPU by packets, bandwidth by bits. What a viewer costs whatever it receives is scaled too.
fn scale(cost: &Cost, measured: &Profile, wanted: &Profile, rid: &str) -> anyhow::Result<(Cost, String)> {
    let (old, new) = (measured.film()?, wanted.film()?);
    let (old_shown, new_shown) = (shown(&old, rid), shown(&new, rid));
    let camera = |film: &Film| film.encodings.iter().map(Encoding::bits_per_second).sum::<f64>();
    let packets = new_shown.packets_per_second() / old_shown.packets_per_second();
    let bits = new_shown.bits_per_second() / old_shown.bits_per_second();
    let scaled = Cost {
        profile: wanted.to_string(),
        viewer_us_per_second: cost.viewer_us_per_second * packets,
        viewer_packets_per_second: cost.viewer_packets_per_second * packets,
        viewer_bits_per_second: cost.viewer_bits_per_second * bits,
        camera_bits_per_second: cost.camera_bits_per_second * camera(&new) / camera(&old),
        ..cost.clone()
    };
    let mut warning = String::new();
    let _ = writeln!(
        warning,
        "Warning: measured with {measured}, planned for {wanted}: CPU is scaled by packets (x {packets:.3}), bandwidth by \
         bits (x {bits:.3}).\nMeasure {wanted} itself before you buy: what a viewer costs beside its packets is not known apart.\n"
    );
    Ok((scaled, warning))
}

/// The encoding that viewers with this wish are shown: the one they wish, or the largest.
fn shown<'a>(film: &'a Film, rid: &str) -> &'a Encoding {
    film.encodings.iter().find(|encoding| encoding.rid == rid).unwrap_or(&film.encodings[0])
}

fn read_rate(text: &str) -> Result<f64, String> {
    amount(text, 1e3).ok_or_else(|| "write a rate in bit/s, such as 10G or 2.5G".to_owned())
}

fn read_memory(text: &str) -> Result<f64, String> {
    amount(text, 1024.0).ok_or_else(|| "write a size in bytes, such as 32G".to_owned())
}

fn amount(text: &str, thousand: f64) -> Option<f64> {
    let units = [(["k", "K"], 1), (["m", "M"], 2), (["g", "G"], 3), (["t", "T"], 4)];
    let found = units.iter().find_map(|(names, power)| {
        let number = names.iter().find_map(|name| text.strip_suffix(name))?;
        Some((number, thousand.powi(*power)))
    });
    let (number, factor) = found.unwrap_or((text, 1.0));
    let value = number.trim().parse::<f64>().ok()? * factor;
    (value.is_finite() && value > 0.0).then_some(value)
}
