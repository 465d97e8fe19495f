//! Fleets against a real server: who joins sees the right camera, whoever goes leaves nothing, and what fails is told.

mod support;

use loadtest::scenario::Scenario;
use std::time::Duration;
use support::{Target, wait_for, wait_for_connections, window};

const PATIENCE: Duration = Duration::from_secs(60);

fn run<T>(work: impl Future<Output = anyhow::Result<T>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(work).expect("the run goes through")
}

fn target() -> anyhow::Result<Target> {
    Target::with(&["--shards", "2", "--media-bind", "127.0.0.1", "--advertise", "127.0.0.1"])
}

#[test]
fn viewers_join_watch_switch_and_are_replaced_and_leave_nothing() {
    run(async {
        let target = target()?;
        let scenario = Scenario {
            publishers: 4,
            viewers: 20,
            layout: 4,
            cameras_per_viewer: Some(2),
            profile: "camera-720p".parse()?,
            rid: "l".into(),
            switch_every: Some(Duration::from_secs(1)),
            churn: 2.0,
            ..Scenario::default()
        };
        let fleet = target.fleet(&scenario).await?;
        fleet.watch(20, 50.0);
        let joined = wait_for(&fleet, 20, PATIENCE).await?;
        // Somebody may have been replaced already.
        assert!(joined.joins >= 20 && joined.joined >= 20, "{} of {} joined", joined.joined, joined.joins);
        assert_eq!(joined.failures(), 0, "{:?}", joined.failed);
        assert_eq!(joined.late.count(), joined.joins, "each join's lateness is known");
        for (name, step) in [("http", &joined.http), ("ice", &joined.ice), ("dtls", &joined.dtls)] {
            assert!(step.count() >= 20, "{name}");
        }
        let window = window(&fleet, &target.server()?, Duration::from_secs(6)).await?;
        let seen = window.tally.measures;
        assert!(seen.switches > 60 && seen.show.count() > 40, "{} switches, {}", seen.switches, seen.show.count());
        assert!(seen.joined >= 6, "{} were replaced", seen.joined);
        assert_eq!((seen.wrong, seen.failures()), (0, 0), "{:?}", seen.failed);
        assert_eq!(seen.lost, seen.repaired, "nothing is lost on loopback");
        assert!(seen.opened * 100 >= seen.packets, "{} of {} packets opened", seen.opened, seen.packets);
        fleet.end().await;
        wait_for_connections(&target, 0.0).await
    });
}

#[test]
fn viewers_without_a_camera_are_connected_and_get_nothing() {
    run(async {
        let target = target()?;
        let scenario = Scenario { viewers: 5, cameras_per_viewer: Some(0), ..Scenario::default() };
        let fleet = target.fleet(&scenario).await?;
        fleet.watch(5, 50.0);
        wait_for(&fleet, 5, PATIENCE).await?;
        let window = window(&fleet, &target.server()?, Duration::from_secs(1)).await?;
        assert_eq!((window.tally.measures.packets, window.packets()), (0, 0.0));
        assert_eq!(window.after.connections, 6.0, "five viewers and a camera");
        fleet.end().await;
        Ok(())
    });
}

#[test]
fn a_server_that_does_not_trust_the_key_is_told_of_by_its_reason() {
    run(async {
        let (target, other) = (target()?, target()?);
        let stranger = other.api_at(target.signaling.clone())?;
        let offer = loadtest::client::sdp::offer_to_view("AA:BB", 1);
        let refused = stranger.view(0, &[0], &[0], "h", offer).await.err().expect("another key signed it");
        assert_eq!(refused.reason(), "401 grant_invalid");
        Ok(())
    });
}
