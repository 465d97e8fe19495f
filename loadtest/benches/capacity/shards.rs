//! One shard beside two, per packet: viewers whose packets leave by an `ifb` device, the cheapest stand-in for a network
//! card with segmentation offload. All in a network namespace of its own.
//!
//! Viewers connect over loopback from an address that is local for as long; then its route goes, and what is sent to them
//! leaves by the device, which drops it. What they would say is not missed before consent ends, 25 s later.

use crate::support::{Target, figure, wait_for, window};
use anyhow::Context;
use loadtest::engine::Network;
use loadtest::scenario::Scenario;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

/// Says to this program that it is in the namespace.
pub(crate) const INSIDE: &str = "shards-inside";
const NAMESPACE: &str = "loadtest-shards";
const SERVER: &str = "10.9.0.1";
const VIEWERS_FROM: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 1);
const VIEWERS: u32 = 1000;

fn ip(arguments: &str) -> anyhow::Result<()> {
    let status = Command::new("ip").args(arguments.split(' ')).status().context("ip")?;
    anyhow::ensure!(status.success(), "ip {arguments}: {status}");
    Ok(())
}

/// A namespace, which goes with this.
struct Namespace;

impl Namespace {
    fn new() -> anyhow::Result<Self> {
        ip(&format!("netns add {NAMESPACE}"))?;
        Ok(Self)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&format!("netns del {NAMESPACE}"));
    }
}

pub(crate) fn measure() -> anyhow::Result<()> {
    let mut costs = Vec::new();
    for shards in [1, 2] {
        let _namespace = Namespace::new()?;
        let program = std::env::current_exe()?;
        let output = Command::new("ip")
            .args(["netns", "exec", NAMESPACE])
            .arg(program)
            .args([INSIDE, &shards.to_string()])
            .stderr(std::process::Stdio::inherit())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        anyhow::ensure!(output.status.success(), "in the namespace: {}", output.status);
        let cost: f64 = text.trim().parse().with_context(|| format!("'{text}' is no cost"))?;
        figure(&format!("shards_{shards}_us_per_packet"), cost, "us");
        costs.push(cost);
    }
    figure("shards_2_cost_pct", 100.0 * (costs[1] / costs[0] - 1.0), "%");
    Ok(())
}

/// In the namespace: prints the cost of a packet.
pub(crate) fn inside(shards: u32) -> anyhow::Result<()> {
    loadtest::engine::raise_descriptor_limit()?;
    for command in [
        "link set lo up",
        "link add ifb0 type ifb",
        "link set ifb0 up",
        &format!("addr add {SERVER}/16 dev ifb0"),
        &format!("route add local {VIEWERS_FROM}/32 dev lo table local"),
    ] {
        ip(command)?;
    }
    let scenario = Scenario { viewers: VIEWERS, profile: "1.1M".parse()?, ..Scenario::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cost = runtime.block_on(async {
        let shards = shards.to_string();
        let target = Target::with(&["--shards", &shards, "--media-bind", SERVER, "--advertise", SERVER])?;
        let server = target.server()?;
        let network = Network { from: Some(VIEWERS_FROM.into()), ..Network::default() };
        let fleet = target.fleet_on(&scenario, network).await?;
        fleet.watch(VIEWERS as usize, 200.0);
        wait_for(&fleet, VIEWERS, Duration::from_secs(60)).await?;
        ip(&format!("route del local {VIEWERS_FROM}/32 dev lo table local"))?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let window = window(&fleet, &server, Duration::from_secs(12)).await?;
        anyhow::Ok(window.us_per_packet())
    })?;
    println!("{cost}");
    Ok(())
}
