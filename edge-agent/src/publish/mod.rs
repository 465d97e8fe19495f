//! Publishes one camera: keeps a peer connection up, and sends over it what is wanted.
//!
//! Invariant: at most one WHIP session of a camera is open, and it is ended when publishing ends.

mod feedback;
mod peer;
mod sender;

pub use peer::ConnectError;
pub use sender::Wanted;

use crate::{backoff::Backoff, feed::Feed, health::CameraBoard, signaling::Signaling};
use peer::Peer;
use protocol::{CameraId, Rid};
use sender::Sender;
use std::time::Duration;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};

const RECONNECT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Time that a leaving agent takes to end its session.
const FAREWELL: Duration = Duration::from_secs(2);

/// One camera to publish.
pub struct Publisher {
    /// Which one.
    pub camera: CameraId,
    /// Its streams, large to small.
    pub feeds: Vec<(Rid, Feed)>,
    /// What is to be sent.
    pub wanted: watch::Receiver<Wanted>,
    /// Where to say how it goes.
    pub board: CameraBoard,
    /// Whom to publish to.
    pub signaling: Signaling,
}

impl Publisher {
    /// Publishes until `stop` turns true or its sender is gone.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
        let rids: Vec<_> = self.feeds.iter().map(|(rid, _)| rid.clone()).collect();
        loop {
            let connected = tokio::select! {
                connected = Peer::connect(&self.signaling, self.camera, &rids) => connected,
                _ = stop.wait_for(|s| *s) => return,
            };
            match connected {
                Ok(peer) => {
                    tracing::info!("published");
                    backoff.reset();
                    let since = Instant::now();
                    self.board.set_published(true, None);
                    let is_stopping = self.serve(&peer, &mut stop).await;
                    self.board.set_published(false, Some("the connection to the media node was lost".into()));
                    if timeout(FAREWELL, peer.end(&self.signaling)).await.is_err() {
                        tracing::debug!("the WHIP session was not ended in time");
                    }
                    if is_stopping {
                        return;
                    }
                    tracing::warn!("the connection to the media node was lost");
                    // The grant it was opened with is over, or the node was restarted. One that ends connections
                    // soon after they were made is not hurried.
                    if since.elapsed() >= RECONNECT.1 {
                        continue;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "not published");
                    self.board.set_published(false, Some(format!("not published: {error}")));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.wait()) => {}
                _ = stop.wait_for(|s| *s) => return,
            }
        }
    }

    /// Sends over a connection until it is lost. Whether the agent is stopping.
    async fn serve(&self, peer: &Peer, stop: &mut watch::Receiver<bool>) -> bool {
        let mut senders = JoinSet::new();
        let repeats: Vec<_> = self.feeds.iter().map(|(rid, _)| (rid, watch::Sender::new(0u64))).collect();
        for (rid, feed) in &self.feeds {
            let track = peer.encodings().iter().find(|e| e.rid == *rid);
            let (Some(track), Some(board)) = (track, self.board.stream(rid)) else { continue };
            let Some((_, repeat)) = repeats.iter().find(|(r, _)| *r == rid) else { continue };
            let sender = Sender::new(track.clone(), board.clone(), repeat.subscribe());
            senders.spawn(sender.run(feed.clone(), self.wanted.clone()));
        }
        let asked = |ssrc| {
            let rid = peer.encodings().iter().find(|e| e.ssrc == ssrc).map(|e| &e.rid);
            if let Some((_, feed)) = self.feeds.iter().find(|(r, _)| Some(r) == rid) {
                // A keyframe that the source makes now is best: viewers stay in the present. A camera over RTSP makes
                // none on request, so there the GOP's own is sent again, with what followed it.
                if !feed.request_keyframe()
                    && let Some((_, repeat)) = repeats.iter().find(|(r, _)| Some(*r) == rid)
                {
                    repeat.send_modify(|n| *n += 1);
                }
            }
        };
        let is_stopping = tokio::select! {
            () = peer.lost() => false,
            () = peer.keyframe_requests(asked) => false,
            Some(ended) = senders.join_next() => {
                if let Ok(Err(error)) = ended {
                    tracing::warn!(%error, "sending stopped");
                }
                false
            }
            _ = stop.wait_for(|s| *s) => true,
        };
        senders.shutdown().await;
        self.feeds.iter().filter_map(|(rid, _)| self.board.stream(rid)).for_each(|s| s.set_sending(false));
        is_stopping
    }
}
