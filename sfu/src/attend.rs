//! What a node does with its shards' notices: it tells the directory, and keeps its lease there.
//!
//! Invariant: while the directory does not answer, media goes on, and what it has yet to hear of publishers is told it
//! with a later heartbeat.

#[cfg(test)]
mod tests;

use crate::node::Node;
use crate::node_state::{Untold, Wanted};
use protocol::CameraId;
use protocol::event::Event;
use protocol::node::NodeState;
use protocol::session::EndReason;
use sfu_core::{Ended, Notice, ShardId};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

const HEARTBEAT: Duration = Duration::from_secs(1);
/// Wanted encodings are said again every so many heartbeats.
const WANTED_EVERY: u32 = 10;

impl Node {
    /// Follows the shards' notices and keeps the directory's lease, until `end`.
    pub(crate) async fn attend(
        &self,
        mut notices: UnboundedReceiver<(ShardId, Notice)>,
        mut end: tokio::sync::oneshot::Receiver<()>,
    ) {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        let mut beats = 0u32;
        loop {
            let done = tokio::select! {
                _ = &mut end => return,
                Some((shard, notice)) = notices.recv() => self.heed(shard, notice).await,
                _ = heartbeat.tick() => {
                    beats = beats.wrapping_add(1);
                    self.beat(beats.is_multiple_of(WANTED_EVERY)).await
                }
            };
            if let Err(error) = done {
                tracing::warn!(%error, "the directory does not answer; media goes on");
            }
        }
    }

    async fn beat(&self, with_wanted: bool) -> Result<(), cluster::Error> {
        self.directory.heartbeat(self.record(NodeState::Serving)).await?;
        let untold = self.state().untold_cameras();
        for camera in untold {
            self.tell(camera).await?;
        }
        let wanted = if with_wanted { self.state().all_wanted() } else { Vec::new() };
        for (camera, wanted) in wanted {
            self.publish_wanted(camera, wanted).await?;
        }
        Ok(())
    }

    async fn heed(&self, shard: ShardId, notice: Notice) -> Result<(), cluster::Error> {
        match notice {
            Notice::Connected(peer) => tracing::debug!(peer = peer.0, "connected"),
            Notice::Playing(peer) => self.playing(peer),
            Notice::Gone(peer, why) => {
                tracing::debug!(peer = peer.0, ?why, "gone");
                let gone = self.state().remove(peer, reason(why));
                if let Some(connection) = gone {
                    self.directory.publish(Event::Ended { connection: connection.id }).await?;
                }
            }
            Notice::Slot { peer, slot, camera, state } => {
                let mut known = self.state();
                let camera = camera.and_then(|key| known.camera(key));
                if let Some(viewing) = known.viewing(peer) {
                    viewing.heard(slot, camera, state);
                }
            }
            Notice::Published(peer, key) => {
                let Some(camera) = self.state().camera(key) else { return Ok(()) };
                self.state().published(camera, peer, shard);
                self.playing(peer);
                self.tell(camera).await?;
            }
            Notice::Unpublished(peer, key) => {
                let Some(camera) = self.state().camera(key) else { return Ok(()) };
                // An older publisher that dies after a newer one came takes nothing with it.
                if self.state().unpublished(camera, peer) {
                    self.tell(camera).await?;
                }
            }
            Notice::Wanted(encoding, wanted) => {
                let all = self.state().want(shard, encoding, wanted);
                if let Some((camera, wanted)) = all {
                    self.publish_wanted(camera, wanted).await?;
                }
            }
        }
        Ok(())
    }

    async fn publish_wanted(&self, camera: CameraId, wanted: Wanted) -> Result<(), cluster::Error> {
        let (node, Wanted { encodings, audio }) = (self.config.id.clone(), wanted);
        self.directory.publish(Event::Wanted { camera, node, encodings, audio }).await
    }

    /// Tells the directory whether a camera is published here, unless it knows.
    async fn tell(&self, camera: CameraId) -> Result<(), cluster::Error> {
        let node = self.config.id.clone();
        let untold = self.state().untold(camera);
        let event = match untold {
            None => return Ok(()),
            Some(Untold::Published) => {
                let epoch = self.directory.claim_origin(camera, &node).await?;
                self.state().claimed(camera, epoch);
                Event::Published { camera, node }
            }
            Some(Untold::Unpublished(claim)) => {
                if let Some(epoch) = claim {
                    self.directory.release_origin(camera, &node, epoch).await?;
                }
                Event::Unpublished { camera, node }
            }
        };
        self.directory.publish(event).await?;
        self.state().told(camera);
        Ok(())
    }
}

fn reason(why: Ended) -> EndReason {
    match why {
        Ended::Removed | Ended::Left => EndReason::Left,
        Ended::NeverConnected => EndReason::NeverConnected,
        Ended::Silent => EndReason::Silent,
        Ended::Handshake => EndReason::Handshake,
        Ended::GrantOver => EndReason::GrantOver,
    }
}
