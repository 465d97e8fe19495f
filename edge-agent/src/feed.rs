//! One stream's access units, from the task that pulls them to the task that sends them.
//!
//! Invariant: a [`Subscription`] holds the current GOP and then every later access unit, without a gap between them.

use crate::{
    gop::{self, Gop},
    h264::AccessUnit,
    rate::Rate,
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{broadcast, watch};

/// Access units that a subscriber may be behind before it starts anew: 40 s at 25 frames per second, the time that the
/// burst of a GOP of 160 s takes.
const BACKLOG: usize = 1024;

/// Where a stream's access units go.
#[derive(Clone, Debug)]
pub struct Feed {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    cache: Mutex<Cache>,
    live: broadcast::Sender<Arc<AccessUnit>>,
    keyframe_requests: watch::Sender<u64>,
}

#[derive(Debug)]
struct Cache {
    gop: Gop,
    rate: Rate,
}

/// A stream from its current GOP on.
#[derive(Debug)]
pub struct Subscription {
    cached: VecDeque<Arc<AccessUnit>>,
    live: broadcast::Receiver<Arc<AccessUnit>>,
    awaiting_keyframe: bool,
}

/// The subscriber was too slow; it has to subscribe again.
#[derive(Debug, thiserror::Error)]
#[error("the stream went on without this subscriber")]
pub struct Behind;

impl Default for Feed {
    fn default() -> Self {
        let shared = Shared {
            cache: Mutex::new(Cache { gop: Gop::new(gop::MAX_BYTES), rate: Rate::default() }),
            live: broadcast::Sender::new(BACKLOG),
            keyframe_requests: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Feed {
    /// The stream's next access unit.
    pub fn push(&self, unit: AccessUnit) {
        let unit = Arc::new(unit);
        let mut cache = self.cache();
        cache.rate.push(unit.ticks, unit.len());
        cache.gop.push(Arc::clone(&unit));
        // Sent under the lock: a subscriber sees each unit either in the GOP or live. Nobody listening is no error.
        let _ = self.shared.live.send(unit);
    }

    /// The stream broke off: what is cached is no longer now.
    pub fn reset(&self) {
        let mut cache = self.cache();
        cache.gop.clear();
        cache.rate.clear();
    }

    /// What the stream takes, in bit/s; `None` where nothing comes.
    pub fn rate(&self) -> Option<u64> {
        self.cache().rate.bits()
    }

    /// When the current GOP began, in ticks.
    pub fn gop_began(&self) -> Option<u64> {
        self.cache().gop.units().first().map(|unit| unit.ticks)
    }

    /// The current GOP and everything after it.
    pub fn subscribe(&self) -> Subscription {
        let cache = self.cache();
        let cached: VecDeque<_> = cache.gop.units().iter().cloned().collect();
        let live = self.shared.live.subscribe();
        Subscription { awaiting_keyframe: cached.is_empty(), cached, live }
    }

    /// The next GOP and everything after it.
    pub fn subscribe_next(&self) -> Subscription {
        Subscription { cached: VecDeque::new(), awaiting_keyframe: true, live: self.shared.live.subscribe() }
    }

    /// Somebody needs a keyframe; a source that can make one should. Whether there is such a source.
    pub fn request_keyframe(&self) -> bool {
        self.shared.keyframe_requests.send_modify(|n| *n += 1);
        self.shared.keyframe_requests.receiver_count() > 0
    }

    /// Tells of requests for a keyframe.
    pub fn keyframe_requests(&self) -> watch::Receiver<u64> {
        self.shared.keyframe_requests.subscribe()
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.shared.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// There was no cached GOP, and no keyframe has come since.
    pub fn is_awaiting_keyframe(&self) -> bool {
        self.awaiting_keyframe
    }

    /// The next access unit; the first is a keyframe. `None` when the stream is gone for good.
    pub async fn next(&mut self) -> Result<Option<Arc<AccessUnit>>, Behind> {
        if let Some(unit) = self.cached.pop_front() {
            return Ok(Some(unit));
        }
        loop {
            match self.live.recv().await {
                Ok(unit) if self.awaiting_keyframe && !unit.is_keyframe => {}
                Ok(unit) => {
                    self.awaiting_keyframe = false;
                    return Ok(Some(unit));
                }
                Err(broadcast::error::RecvError::Closed) => return Ok(None),
                Err(broadcast::error::RecvError::Lagged(_)) => return Err(Behind),
            }
        }
    }
}
