//! One shard beside two, per packet: viewers whose packets leave by an `ifb` device, the cheapest stand-in for a network
//! card with segmentation offload. All in a network namespace of its own.
//!
//! Viewers connect over loopback from an address that is local for as long; then its route goes, and what is sent to them
//! leaves by the device, which drops it. What they would say is not missed before consent ends, 25 s later.

use crate::support::lab::{in_namespace, run};
use crate::support::{Target, figure, wait_for, window};
use loadtest::engine::Network;
use loadtest::scenario::Scenario;
use std::net::Ipv4Addr;
use std::time::Duration;

const SERVER: &str = "10.9.0.1";
const VIEWERS_FROM: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 1);
const VIEWERS: u32 = 1000;

pub(crate) fn measure() -> anyhow::Result<()> {
    let one = in_namespace(|| us_per_packet(1))?;
    figure("shards_1_us_per_packet", one, "us");
    let two = in_namespace(|| us_per_packet(2))?;
    figure("shards_2_us_per_packet", two, "us");
    figure("shards_2_cost_pct", 100.0 * (two / one - 1.0), "%");
    Ok(())
}

fn us_per_packet(shards: u32) -> anyhow::Result<f64> {
    run("ip link add ifb0 type ifb")?;
    run("ip link set ifb0 up")?;
    run(&format!("ip addr add {SERVER}/16 dev ifb0"))?;
    run(&format!("ip route add local {VIEWERS_FROM}/32 dev lo table local"))?;
    let scenario = Scenario { viewers: VIEWERS, profile: "1.1M".parse()?, ..Scenario::default() };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let shards = shards.to_string();
        let target = Target::with(&["--shards", &shards, "--media-bind", SERVER, "--advertise", SERVER])?;
        let server = target.server()?;
        let network = Network { from: Some(VIEWERS_FROM.into()), ..Network::default() };
        let fleet = target.fleet_on(&scenario, network).await?;
        fleet.watch(VIEWERS as usize, 200.0);
        wait_for(&fleet, VIEWERS, Duration::from_secs(60)).await?;
        run(&format!("ip route del local {VIEWERS_FROM}/32 dev lo table local"))?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let window = window(&fleet, &server, Duration::from_secs(12)).await?;
        Ok(window.us_per_packet())
    })
}
