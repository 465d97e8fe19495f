//! A rush to one camera costs its publisher no keyframe: everybody begins with the cached one.

mod support;

use loadtest::scenario::Scenario;
use loadtest::server::Server;
use std::time::Duration;
use support::{Target, wait_for, wait_until};

const VIEWERS: u32 = 1000;
/// All of them within two seconds.
const JOINS_PER_SECOND: f64 = 500.0;
const PATIENCE: Duration = Duration::from_secs(120);

/// What the server has counted, once so many have joined: joins from the cache, joins that waited, keyframe requests to
/// publishers.
async fn counted(server: &Server, joined: u32) -> anyhow::Result<[f64; 3]> {
    wait_until(PATIENCE, async || {
        let cached = server.total("sunroom_sfu_joins_cached_total").await?;
        let waiting = server.total("sunroom_sfu_joins_waiting_total").await?;
        let requests = server.total("sunroom_sfu_keyframe_requests_sent_total").await?;
        let all_are_in = cached + waiting >= f64::from(joined);
        let instead = || format!("{cached} and {waiting} of {joined} joins are counted");
        Ok(all_are_in.then_some([cached, waiting, requests]).ok_or_else(instead))
    })
    .await
}

#[test]
fn a_thousand_viewers_of_one_camera_ask_its_publisher_for_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (before, after, failed) = runtime
        .block_on(async {
            let target = Target::with(&["--shards", "1", "--media-bind", "127.0.0.1", "--advertise", "127.0.0.1"])?;
            let scenario = Scenario { viewers: VIEWERS + 1, profile: "100k".parse()?, ..Scenario::default() };
            let fleet = target.fleet(&scenario).await?;
            let server = target.server()?;
            fleet.watch(1, JOINS_PER_SECOND);
            wait_for(&fleet, 1, PATIENCE).await?;
            let before = counted(&server, 1).await?;
            fleet.watch(VIEWERS as usize + 1, JOINS_PER_SECOND);
            let joined = wait_for(&fleet, VIEWERS + 1, PATIENCE).await?;
            let after = counted(&server, VIEWERS + 1).await?;
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
