//! The harness counts a loss that is known: packets are dropped at the viewers' side of a network of the test's own.

mod support;

use loadtest::measure::Measures;
use loadtest::scenario::Scenario;
use std::net::SocketAddr;
use std::time::Duration;
use support::lab::{in_namespace, lose, lose_nothing};
use support::{Target, wait_for};

const VIEWERS: u32 = 20;

/// What viewers measured while so many in 1,000 packets were lost, and what was lost in truth, in percent.
fn with_loss(per_mille: u32) -> (Measures, f64) {
    let measured = in_namespace(move || {
        loadtest::engine::raise_descriptor_limit()?;
        let scenario = Scenario { viewers: VIEWERS, profile: "1.1M".parse()?, ..Scenario::default() };
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
            let target = Target::with(&["--shards", "1", "--media-bind", "127.0.0.1", "--advertise", "127.0.0.1"])?;
            let fleet = target.fleet(&scenario).await?;
            fleet.watch(VIEWERS as usize, 50.0);
            wait_for(&fleet, VIEWERS, Duration::from_secs(60)).await?;
            let ports: Vec<u16> = fleet.addresses().await?.iter().map(SocketAddr::port).collect();
            fleet.take().await?;
            lose(per_mille, &ports)?;
            tokio::time::sleep(Duration::from_secs(12)).await;
            let counted = lose_nothing()?;
            // What is missing now is repaired, or given up.
            tokio::time::sleep(Duration::from_secs(2)).await;
            let measures = fleet.take().await?.measures;
            fleet.end().await;
            Ok((measures, 100.0 * counted.dropped / counted.all))
        })
    });
    measured.expect("the run goes through")
}

/// Two seconds of the measure are without loss; its share is that of the twelve.
const LOSSY: f64 = 12.0 / 14.0;

#[test]
fn a_known_loss_is_counted_within_a_fifth_of_a_percent_and_repaired() {
    let (measures, truth) = with_loss(20);
    let counted = measures.raw_loss_percent() / LOSSY;
    assert!(measures.expected > 30_000, "{measures:?}");
    assert!((1.5..2.5).contains(&truth), "{truth} % were dropped");
    assert!((counted - truth).abs() < 0.2, "counted {counted:.3} %, dropped {truth:.3} %");
    // A retransmission is lost as often: asked for again, it comes.
    assert!(measures.loss_percent() < 0.02, "{} % never came", measures.loss_percent());
    assert_eq!(measures.wrong, 0);
}
