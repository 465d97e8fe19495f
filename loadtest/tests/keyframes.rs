//! A rush to one camera costs its publisher no keyframe: everybody begins with the cached one.

mod support;

use anyhow::Context;
use loadtest::api::http_client;
use loadtest::scenario::Scenario;
use std::time::{Duration, Instant};
use support::{Target, wait_for};

const VIEWERS: u32 = 1000;
/// All of them within two seconds.
const JOINS_PER_SECOND: f64 = 500.0;
const PATIENCE: Duration = Duration::from_secs(120);

/// What the server has counted, once so many have joined: joins from the cache, joins that waited, keyframe requests to
/// publishers.
async fn counted(target: &Target, joined: u32) -> anyhow::Result<[f64; 3]> {
    let begun = Instant::now();
    loop {
        let [cached, waiting, requests] = counters(target).await?;
        if cached + waiting >= f64::from(joined) {
            return Ok([cached, waiting, requests]);
        }
        anyhow::ensure!(begun.elapsed() < PATIENCE, "{cached} and {waiting} of {joined} joins are counted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn counters(target: &Target) -> anyhow::Result<[f64; 3]> {
    let text = http_client(None)?.get(target.metrics.clone()).send().await?.text().await?;
    let sum = |name: &str| -> anyhow::Result<f64> {
        let name = format!("sunroom_sfu_{name}_total");
        let lines = text.lines().filter(|line| line.starts_with(&name));
        let values = lines.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>());
        values.reduce(|sum, value| Ok(sum? + value?)).with_context(|| format!("no {name}"))?.map_err(Into::into)
    };
    Ok([sum("joins_cached")?, sum("joins_waiting")?, sum("keyframe_requests_sent")?])
}

#[test]
fn a_thousand_viewers_of_one_camera_ask_its_publisher_for_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (before, after, failed) = runtime
        .block_on(async {
            let target = Target::with(&["--shards", "1", "--media-bind", "127.0.0.1", "--advertise", "127.0.0.1"])?;
            let scenario = Scenario { viewers: VIEWERS + 1, profile: "100k".parse()?, ..Scenario::default() };
            let fleet = target.fleet(&scenario).await?;
            fleet.watch(1, JOINS_PER_SECOND);
            wait_for(&fleet, 1, PATIENCE).await?;
            let before = counted(&target, 1).await?;
            fleet.watch(VIEWERS as usize + 1, JOINS_PER_SECOND);
            let joined = wait_for(&fleet, VIEWERS + 1, PATIENCE).await?;
            let after = counted(&target, VIEWERS + 1).await?;
            fleet.end().await;
            anyhow::Ok((before, after, joined.failed))
        })
        .expect("the rush goes through");
    let [cached, waiting, requests] = [0, 1, 2].map(|at| after[at] - before[at]);
    assert!(failed.is_empty(), "{failed:?}");
    // Who lost the picture gets the cache once more.
    assert!(cached >= f64::from(VIEWERS), "{cached} joins from the cache");
    assert_eq!((waiting, requests), (0.0, 0.0), "joins that waited, requests to the publisher");
}
