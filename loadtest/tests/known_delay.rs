//! The harness measures a delay that is known: the same viewers with a relay before the media node, and without.

mod support;

use loadtest::client::Identity;
use loadtest::client::sdp::{Answer, offer_to_view};
use loadtest::engine::Network;
use loadtest::impairment::Impairment;
use loadtest::relay::Relay;
use loadtest::scenario::Scenario;
use std::net::SocketAddr;
use std::time::Duration;
use support::{Target, wait_for, window};

const VIEWERS: u32 = 10;
const DELAY: Duration = Duration::from_millis(40);

/// Where a server's media node receives: what a first viewer is answered.
async fn media_address(target: &Target) -> anyhow::Result<SocketAddr> {
    let offer = offer_to_view(Identity::new()?.fingerprint(), 1);
    let joined = target.api()?.view(0, &[0], &[0], "h", offer).await?;
    target.api()?.leave(&joined.session).await?;
    let Answer { candidate, .. } = joined.answer;
    Ok(candidate)
}

/// Median transit of viewers on this network, in ms.
async fn transit(target: &Target, network: Network) -> anyhow::Result<f64> {
    let scenario = Scenario { viewers: VIEWERS, profile: "1.1M".parse()?, ..Scenario::default() };
    let fleet = target.fleet_on(&scenario, network).await?;
    fleet.watch(VIEWERS as usize, 50.0);
    wait_for(&fleet, VIEWERS, Duration::from_secs(60)).await?;
    let window = window(&fleet, &target.server()?, Duration::from_secs(6)).await?;
    fleet.end().await;
    let transit = &window.tally.measures.transit;
    assert!(transit.count() > 100, "{} frames were looked at", transit.count());
    Ok(transit.percentile(50.0).map_or(f64::NAN, |us| us as f64 / 1000.0))
}

#[test]
fn a_known_delay_is_measured_within_two_milliseconds() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (straight, delayed) = runtime
        .block_on(async {
            let target = Target::with(&["--shards", "1", "--media-bind", "127.0.0.1", "--advertise", "127.0.0.1"])?;
            let straight = transit(&target, Network::default()).await?;
            let relay = Relay::start("127.0.0.1:0".parse()?, media_address(&target).await?, Impairment::delay(DELAY))?;
            let via = Network { via: Some(relay.address()), ..Network::default() };
            anyhow::Ok((straight, transit(&target, via).await?))
        })
        .expect("the runs go through");
    let added = delayed - straight;
    assert!((added - DELAY.as_secs_f64() * 1000.0).abs() < 2.0, "{straight} ms became {delayed} ms");
}
