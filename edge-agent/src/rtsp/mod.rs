//! A camera's stream by RTSP: one session after another, for ever.
//!
//! Invariant: a feed receives whole access units from a keyframe on, whatever the camera's clock does; a stream whose
//! pictures stop is given up after [`SILENCE`] and asked for again, whatever its sound does.

mod opus;
mod session;

pub use session::{Ended, Opened, Sound, open};

use crate::{
    backoff::Backoff, config::Transport, feed::Feed, finding::Kind, health::StreamBoard, lipsync::LipSync,
    sound::SoundFeed, source::Address, timeline::Timeline,
};
use protocol::agent::StreamState;
use retina::PacketContext;
use session::Session;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// Longest time without an access unit.
pub const SILENCE: Duration = Duration::from_secs(5);
/// A camera that cannot be reached is tried again within 2 s, always.
const UNREACHABLE_WAIT: Duration = Duration::from_millis(1500);
/// Cameras lock accounts after failed logins: the waits grow.
const UNAUTHORIZED_WAIT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));
/// Somebody has to change a setting of the camera first.
const UNSUPPORTED_WAIT: Duration = Duration::from_secs(15);

/// Where a stream goes.
#[derive(Clone, Debug)]
pub struct Outlets {
    /// Its pictures.
    pub feed: Feed,
    /// Its sound.
    pub sound: SoundFeed,
    /// How it is.
    pub board: StreamBoard,
}

/// Pulls a stream for as long as it is polled.
pub async fn pull(address: Address, transport: Transport, outlets: Outlets) {
    let mut puller = Puller {
        address,
        transport,
        outlets,
        timeline: Timeline::default(),
        clocks: Clocks { lipsync: Arc::default(), started: Instant::now() },
    };
    let mut refused = Backoff::new(UNAUTHORIZED_WAIT.0, UNAUTHORIZED_WAIT.1);
    let mut unreachable = Backoff::new(UNREACHABLE_WAIT, UNREACHABLE_WAIT);
    loop {
        let ended = match puller.session().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        puller.feed_ended();
        tracing::warn!(reason = %ended, "camera stream is down");
        if let Ended::Unreachable(error) = &ended {
            tracing::debug!(%error, "camera stream is down");
        }
        puller.outlets.board.set_state(ended.state(), Some(&ended.to_string()));
        let wait = match ended {
            Ended::Unauthorized => refused.wait(),
            Ended::NotH264(_) | Ended::NoVideo => UNSUPPORTED_WAIT,
            _ => unreachable.wait(),
        };
        if !matches!(ended, Ended::Unauthorized) {
            refused.reset();
        }
        tokio::time::sleep(wait).await;
    }
}

/// What outlives a session.
struct Puller {
    address: Address,
    transport: Transport,
    outlets: Outlets,
    timeline: Timeline,
    clocks: Clocks,
}

impl Puller {
    /// One RTSP session, until it ends.
    async fn session(&mut self) -> Result<std::convert::Infallible, Ended> {
        let opened = open(&self.address, self.transport).await;
        if let Err(Ended::NotH264(codec)) = &opened {
            self.outlets.board.add_findings(vec![Kind::NotH264(codec.clone())]);
        }
        Session::new(self, opened?).run().await
    }

    fn feed_ended(&mut self) {
        self.outlets.feed.reset();
        self.timeline.end_epoch();
        *self.clocks.lipsync() = LipSync::default();
    }
}

/// The clocks that a stream's picture and sound have in common.
#[derive(Clone)]
struct Clocks {
    lipsync: Arc<Mutex<LipSync>>,
    started: Instant,
}

impl Clocks {
    fn lipsync(&self) -> MutexGuard<'_, LipSync> {
        self.lipsync.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a packet arrived: on a monotonic clock, and in microseconds since the Unix epoch.
    fn arrival(&self, context: &PacketContext) -> (Duration, u64) {
        let arrival = context.received().saturating_duration_since(self.started);
        let arrived = SystemTime::from(context.received_wall()).duration_since(SystemTime::UNIX_EPOCH);
        (arrival, u64::try_from(arrived.unwrap_or_default().as_micros()).unwrap_or(u64::MAX))
    }
}

/// The timestamp that the camera sent: the low half of the one that is counted on.
#[expect(clippy::cast_possible_truncation)]
fn rtp_timestamp(timestamp: retina::Timestamp) -> u32 {
    timestamp.timestamp() as u32
}

impl Ended {
    /// What a supervisor says of a stream that ended so.
    pub fn state(&self) -> StreamState {
        match self {
            Self::Unauthorized => StreamState::Unauthorized,
            Self::NotH264(_) | Self::NoVideo => StreamState::Unsupported,
            _ => StreamState::Unreachable,
        }
    }
}
