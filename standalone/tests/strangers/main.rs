//! A viewer of another make, str0m, that counts every packet: what is lost on the way is asked for and comes again, and
//! the node's end is heard at once.

mod sunroom;
mod viewer;

use std::time::Duration;
use sunroom::Sunroom;
use viewer::Viewer;

/// How long packets are lost on the way.
const LOSSY: Duration = Duration::from_secs(8);
/// Within this everything lost is there again once nothing is lost any more, and a connection stands.
const PATIENCE: Duration = Duration::from_secs(5);
/// The end of a node is heard within this: it is told, not found out.
const TOLD: Duration = Duration::from_secs(2);
/// One packet in so many is lost.
const ONE_IN: u64 = 50;
const VIEWERS: u64 = 20;

#[tokio::test]
async fn packets_lost_on_the_way_come_again_when_asked_for() {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(viewer::any_seed);
    println!("seed {seed} (SEED={seed} repeats the losses)");
    let sunroom = Sunroom::start().await;
    let mut watching = Vec::new();
    for number in 0..VIEWERS {
        let viewer = Viewer::join(&sunroom, "h").await;
        watching.push(tokio::spawn(watch_with_losses(viewer, seed + number)));
    }
    let (mut lost, mut repaired, mut decrypted) = (0, 0, 0);
    for viewer in watching {
        let viewer = viewer.await.expect("it keeps what it asserts");
        lost += viewer.lost;
        repaired += viewer.repaired;
        decrypted += viewer.decrypted;
    }
    println!("{decrypted} packets decrypted, {lost} lost, {repaired} sent again");
    assert!(lost > VIEWERS && repaired > VIEWERS, "too few to tell");
}

async fn watch_with_losses(mut viewer: Viewer, seed: u64) -> Viewer {
    assert!(viewer.until(PATIENCE, |v| v.packets() > 0).await, "no picture: {viewer:?}");
    viewer.lose(ONE_IN, seed);
    viewer.until(LOSSY, |_| false).await;
    viewer.lose_nothing();
    let last = viewer.newest();
    let whole = viewer.until(PATIENCE, |v| v.newest() > last && v.gaps_before(last) == 0).await;
    assert!(whole, "{} gaps stay: {viewer:?}", viewer.gaps_before(last));
    assert_eq!(viewer.decrypted, viewer.delivered, "packets that do not decrypt: {viewer:?}");
    viewer
}

#[tokio::test]
async fn a_node_that_ends_tells_its_viewers_and_is_gone_within_5_s() {
    let mut sunroom = Sunroom::start().await;
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        let mut viewer = Viewer::join(&sunroom, "l").await;
        assert!(viewer.until(PATIENCE, |v| v.packets() > 0).await, "no picture: {viewer:?}");
        viewers.push(viewer);
    }
    let hearing: Vec<_> = viewers
        .into_iter()
        .map(|mut viewer| tokio::spawn(async move { viewer.until(TOLD, |v| v.closed).await }))
        .collect();
    assert!(sunroom.terminate().await, "in good order");
    for viewer in hearing {
        assert!(viewer.await.expect("it does not panic"), "a viewer was told nothing");
    }
}
