//! What a node does with its shards' notices: it tells the directory, and keeps its lease there.
//!
//! Invariant: while the directory does not answer, media goes on.

use crate::node::Node;
use cluster::Epoch;
use protocol::CameraId;
use protocol::event::Event;
use protocol::node::NodeState;
use sfu_core::{Notice, ShardId};
use std::collections::HashMap;
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
        let mut epochs = HashMap::new();
        let mut beats = 0u32;
        loop {
            let done = tokio::select! {
                _ = &mut end => return,
                Some((_, notice)) = notices.recv() => self.heed(notice, &mut epochs).await,
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
        let wanted = if with_wanted { self.state().all_wanted() } else { Vec::new() };
        for (camera, encodings) in wanted {
            let node = self.config.id.clone();
            self.directory.publish(Event::Wanted { camera, node, encodings }).await?;
        }
        Ok(())
    }

    async fn heed(&self, notice: Notice, epochs: &mut HashMap<CameraId, Epoch>) -> Result<(), cluster::Error> {
        let node = self.config.id.clone();
        match notice {
            Notice::Connected(peer) => tracing::debug!(peer = peer.0, "connected"),
            Notice::Playing(peer) => self.replace_older(peer),
            Notice::Gone(peer, why) => {
                tracing::debug!(peer = peer.0, ?why, "gone");
                let gone = self.state().remove(peer);
                if let Some(connection) = gone {
                    self.directory.publish(Event::Ended { connection: connection.id }).await?;
                }
            }
            Notice::Published(peer, key) => {
                let Some(camera) = self.state().camera(key) else { return Ok(()) };
                self.state().published(camera);
                self.replace_older(peer);
                epochs.insert(camera, self.directory.claim_origin(camera, &node).await?);
                self.directory.publish(Event::Published { camera, node }).await?;
            }
            Notice::Unpublished(_, key) => {
                let Some(camera) = self.state().camera(key) else { return Ok(()) };
                self.state().unpublished(camera);
                if let Some(epoch) = epochs.remove(&camera) {
                    self.directory.release_origin(camera, &node, epoch).await?;
                }
                self.directory.publish(Event::Unpublished { camera, node }).await?;
            }
            Notice::Wanted(encoding, wanted) => {
                let all = self.state().want(encoding, wanted);
                if let Some((camera, encodings)) = all {
                    self.directory.publish(Event::Wanted { camera, node, encodings }).await?;
                }
            }
        }
        Ok(())
    }
}
