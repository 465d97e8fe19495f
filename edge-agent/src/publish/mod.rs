//! Publishes one camera: keeps a peer connection up, and sends over it what is wanted.
//!
//! Invariant: one WHIP session of a camera is open, two while a newer one takes over from one whose grant ends; it is
//! ended when publishing ends.

mod feedback;
mod media;
mod numbering;
mod peer;
mod sender;
mod sending;
mod sound;
mod stream;
mod wanted;

pub use peer::ConnectError;
pub use sending::Sending;
pub use wanted::Wanted;

use crate::{
    backoff::Backoff, feed::Feed, grant::end_of, health::CameraBoard, signaling::Signaling, sound::SoundFeed,
    uplink::Uplink,
};
use peer::Peer;
use protocol::{CameraId, Rid};
use sender::Sender;
use sound::SoundSender;
use std::time::Duration;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

const RECONNECT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// Time that a leaving agent takes to end its session.
const FAREWELL: Duration = Duration::from_secs(2);
/// A grant's file may be replaced by others: it is looked at this often.
const GRANT_INTERVAL: Duration = Duration::from_secs(15);

/// One camera to publish.
pub struct Publisher {
    /// Which one.
    pub camera: CameraId,
    /// Its streams, large to small.
    pub feeds: Vec<(Rid, Feed)>,
    /// Its sound.
    pub sound: SoundFeed,
    /// What is to be sent.
    pub sending: watch::Receiver<Sending>,
    /// The way to whom.
    pub uplink: Uplink,
    /// Where to say how it goes.
    pub board: CameraBoard,
    /// Whom to publish to.
    pub signaling: Signaling,
}

/// Why a connection is no longer served.
enum Over {
    /// The agent stops.
    Stopping,
    /// It was lost, or the node ended it.
    Lost,
    /// A newer one took its place.
    Replaced(Box<Connection>),
}

/// A connection and the end of the grant that opened it, in Unix seconds, where that is known.
struct Connection {
    peer: Peer,
    until: Option<u64>,
}

impl Publisher {
    /// Publishes until `stop` turns true or its sender is gone.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
        loop {
            let connected = tokio::select! {
                connected = self.connect() => connected,
                _ = stop.wait_for(|s| *s) => return,
            };
            match connected {
                Ok(connection) => {
                    tracing::info!("published");
                    let since = Instant::now();
                    self.board.set_published(true, None);
                    if self.serve(connection, &mut stop).await {
                        return;
                    }
                    tracing::warn!("the connection to the media node was lost");
                    // The node was restarted, or the grant is over. One that ends connections soon after they were made
                    // is not hurried.
                    if since.elapsed() >= RECONNECT.1 {
                        backoff.reset();
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "not published");
                    self.board.set_published(false, Some(format!("not published: {error}")));
                }
            }
            tokio::select! {
                () = sleep(backoff.wait()) => {}
                _ = stop.wait_for(|s| *s) => return,
            }
        }
    }

    async fn connect(&self) -> Result<Box<Connection>, ConnectError> {
        let rids: Vec<_> = self.feeds.iter().map(|(rid, _)| rid.clone()).collect();
        let until = self.signaling.grant().current().await.ok().and_then(|g| end_of(&g));
        // Boxed: the stack's futures are large.
        let peer = Box::pin(Peer::connect(&self.signaling, self.camera, &rids, self.uplink.open())).await?;
        Ok(Box::new(Connection { peer, until }))
    }

    /// Sends over a connection, and those that take its place, until one is lost. Whether the agent is stopping.
    async fn serve(&self, mut connection: Box<Connection>, stop: &mut watch::Receiver<bool>) -> bool {
        loop {
            let over = Box::pin(self.send(&connection, stop)).await;
            let (problem, is_stopping, next) = match over {
                Over::Stopping => ("the agent stops", true, None),
                Over::Lost => ("the connection to the media node was lost", false, None),
                Over::Replaced(next) => {
                    tracing::info!("published anew, by the renewed grant");
                    ("", false, Some(next))
                }
            };
            if next.is_none() {
                self.board.set_published(false, Some(problem.into()));
            }
            let signaling = self.signaling.clone();
            let farewell = async move {
                if timeout(FAREWELL, connection.peer.end(&signaling)).await.is_err() {
                    tracing::debug!("the WHIP session was not ended in time");
                }
            };
            if is_stopping {
                farewell.await;
                return true;
            }
            // What comes next does not wait for what is over.
            tokio::spawn(farewell);
            match next {
                Some(next) => connection = next,
                None => return false,
            }
        }
    }

    /// Sends over one connection.
    async fn send(&self, connection: &Connection, stop: &mut watch::Receiver<bool>) -> Over {
        let peer = &connection.peer;
        let mut senders = JoinSet::new();
        let repeats: Vec<_> = self.feeds.iter().map(|(rid, _)| (rid, watch::Sender::new(0u64))).collect();
        for (rid, feed) in &self.feeds {
            let track = peer.encodings().iter().find(|e| e.rid == *rid);
            let (Some(track), Some(board)) = (track, self.board.stream(rid)) else { continue };
            let Some((_, repeat)) = repeats.iter().find(|(r, _)| *r == rid) else { continue };
            let sender = Sender::new(track.clone(), board.clone(), repeat.subscribe(), self.uplink.clone());
            senders.spawn(sender.run(feed.clone(), self.sending.clone()));
        }
        if let Some(track) = peer.sound() {
            senders.spawn(SoundSender::new(track.clone()).run(self.sound.clone(), self.sending.clone()));
        }
        let asked = |ssrc| self.keyframe_asked(peer, ssrc, &repeats);
        let connecting = watch::Sender::new(false);
        let mut replacement = Box::pin(self.replacement(connection.until, &connecting));
        let over = tokio::select! {
            () = peer.lost() => Over::Lost,
            () = peer.keyframe_requests(asked) => Over::Lost,
            Some(ended) = senders.join_next() => {
                if let Ok(Err(error)) = ended {
                    tracing::warn!(%error, "sending stopped");
                }
                Over::Lost
            }
            next = &mut replacement => Over::Replaced(next),
            _ = stop.wait_for(|s| *s) => Over::Stopping,
        };
        // The node ends the old connection as soon as it has the new one, which may not be known here yet.
        let over = match over {
            Over::Lost if *connecting.borrow() => {
                timeout(FAREWELL, replacement).await.map_or(Over::Lost, Over::Replaced)
            }
            over => over,
        };
        senders.shutdown().await;
        self.feeds.iter().filter_map(|(rid, _)| self.board.stream(rid)).for_each(|s| s.set_sending(false));
        over
    }

    /// The node asks for a keyframe of an SSRC. One that the source makes now is best: viewers stay in the present. A
    /// camera over RTSP makes none on request, so there the GOP's own is sent again, with what followed it.
    fn keyframe_asked(&self, peer: &Peer, ssrc: u32, repeats: &[(&Rid, watch::Sender<u64>)]) {
        let rid = peer.encodings().iter().find(|e| e.outbound.ssrc == ssrc).map(|e| &e.rid);
        if let Some((_, feed)) = self.feeds.iter().find(|(r, _)| Some(r) == rid)
            && !feed.request_keyframe()
            && let Some((_, repeat)) = repeats.iter().find(|(r, _)| Some(*r) == rid)
        {
            repeat.send_modify(|n| *n += 1);
        }
    }

    /// A connection that a renewed grant opened, made while the one whose grant ends at `until` still sends. Waits for
    /// such a grant. `connecting` is true while a connection is being made.
    async fn replacement(&self, until: Option<u64>, connecting: &watch::Sender<bool>) -> Box<Connection> {
        let Some(until) = until else { return std::future::pending().await };
        let mut backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
        let mut renewals = self.signaling.grant().renewals();
        loop {
            let renewed = self.signaling.grant().current().await.ok().and_then(|g| end_of(&g));
            if renewed.is_some_and(|end| end > until) {
                connecting.send_replace(true);
                let connected = self.connect().await;
                connecting.send_replace(false);
                match connected {
                    Ok(connection) => return connection,
                    Err(error) => tracing::warn!(%error, "not published anew by the renewed grant"),
                }
                sleep(backoff.wait()).await;
            } else {
                let _ = timeout(GRANT_INTERVAL, renewals.changed()).await;
            }
        }
    }
}
