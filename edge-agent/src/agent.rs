//! The whole agent: one task a stream, one a camera, one for the link, one for the uplink.

use crate::{
    config::{Camera, Config, InvalidConfig},
    feed::Feed,
    grant::{self, Keeper},
    health::Board,
    link::Link,
    publish::{Publisher, Sending, Wanted},
    rtsp::{self, Outlets},
    signaling::{SetupError, Signaling},
    sound::SoundFeed,
    source::Source,
    synthetic,
    uplink::{Regulated, Regulator, Uplink},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::watch, task::JoinSet};
use tracing::{Instrument, info_span};

/// The agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What it was told.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The grant.
    #[error(transparent)]
    Grant(#[from] grant::Unavailable),
    /// The way to signaling.
    #[error(transparent)]
    Signaling(#[from] SetupError),
}

/// Runs the agent until `shutdown` is done; then ends its WHIP sessions. How everything is, it keeps on `board`, made of
/// the same configuration's cameras.
///
/// # Errors
/// Only before anything is started: what goes wrong later is tried again, logged and reported as health.
pub async fn run(config: Config, board: Board, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
    config.check()?;
    let keeper = Keeper::new(&config);
    keeper.current().await?;
    let signaling = Signaling::new(&config, Arc::new(keeper))?;
    let stop = watch::Sender::new(false);
    let (mut pulling, mut publishing) = (JoinSet::new(), JoinSet::new());
    let (uplink, mut regulated, mut wanted) = (Uplink::default(), Vec::new(), BTreeMap::new());
    for camera in &config.cameras {
        let Some(camera_board) = board.camera(camera.id) else { continue };
        for finding in camera_board.findings() {
            tracing::warn!("{}", finding.text);
        }
        let (mut feeds, sound) = (Vec::new(), SoundFeed::default());
        for (rid, source) in camera.streams() {
            let Some(stream_board) = camera_board.stream(&rid) else { continue };
            let feed = Feed::default();
            let span = info_span!("stream", camera = %camera.id, %rid);
            let outlets = Outlets { feed: feed.clone(), sound: sound.clone(), board: stream_board.clone() };
            pulling.spawn(pull(camera.clone(), source, outlets).instrument(span));
            feeds.push((rid, feed));
        }
        let sending = watch::Sender::new(Sending::default());
        let publisher = Publisher {
            camera: camera.id,
            feeds: feeds.clone(),
            sound,
            sending: sending.subscribe(),
            uplink: uplink.clone(),
            board: camera_board.clone(),
            signaling: signaling.clone(),
        };
        wanted.insert(camera.id, Wanted::default());
        regulated.push(Regulated { camera: camera.id, feeds, board: camera_board.clone(), sending });
        let span = info_span!("publish", camera = %camera.id);
        publishing.spawn(publisher.run(stop.subscribe()).instrument(span));
    }
    tracing::info!(cameras = config.cameras.len(), "edge agent started");
    let wanted = watch::Sender::new(wanted);
    pulling.spawn(Regulator { uplink, cameras: regulated, wanted: wanted.subscribe() }.run());
    pulling.spawn(Link { signaling, board, wanted }.run());
    shutdown.await;
    stop.send_replace(true);
    while publishing.join_next().await.is_some() {}
    pulling.shutdown().await;
    Ok(())
}

async fn pull(camera: Camera, source: Source, outlets: Outlets) {
    match source {
        Source::Rtsp(address) => rtsp::pull(address, camera.transport, outlets).await,
        Source::Synthetic(picture) => synthetic::pull(picture, camera.name, outlets).await,
    }
}
