//! Follows the event bus. Invariant: what is lost to a slow follower is repaired by itself: nodes repeat what they want
//! every 10 s, issuers are asked again, and records of ended connections lapse with their grants.

use crate::{Signaling, agents::Command, wanted::Wish};
use cluster::{Received, Subscription};
use protocol::{CameraId, NodeId, event::Event};

pub(crate) async fn follow(service: Signaling, mut events: Subscription) {
    while let Some(received) = events.next().await {
        match received {
            Received::Lagged(lost) => tracing::warn!(lost, "too slow for the event bus"),
            Received::Event(event) => {
                if let Err(error) = service.handle(event).await {
                    tracing::error!(%error, "an event could not be followed");
                }
            }
        }
    }
}

impl Signaling {
    async fn handle(&self, event: Event) -> Result<(), cluster::Error> {
        match event {
            Event::Wanted { camera, node, encodings, audio } => {
                self.want(camera, &node, Wish { encodings, audio }).await?;
            }
            Event::Unpublished { camera, node } => self.0.wanted.forget(camera, &node),
            Event::Ended { connection } => {
                self.0.directory.remove_connection(connection).await?;
            }
            Event::GrantRenewed { subject, token } => self.0.agents.tell(&subject, Command::Renewed(token)),
            Event::Published { .. } | Event::GrantExpiring { .. } | Event::Unknown => {}
        }
        Ok(())
    }

    /// Only the camera's present origin may say what is wanted. The table is written first, so that an agent that
    /// connects just now reads there what it missed here.
    async fn want(&self, camera: CameraId, node: &NodeId, wish: Wish) -> Result<(), cluster::Error> {
        match self.0.directory.origin(camera).await? {
            Some(origin) if origin.node == *node => {
                self.0.wanted.set(camera, origin, wish.clone());
                self.0.agents.tell_camera(camera, &Command::Wanted(camera, wish));
            }
            _ => tracing::debug!(%camera, %node, "wanted by a node that is not the origin"),
        }
        Ok(())
    }
}
