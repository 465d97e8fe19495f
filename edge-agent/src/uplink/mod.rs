//! The site's way to the media nodes, which all cameras share: what it carries, and what is sent over it.
//!
//! ```text
//! connections: numbers, feedback -> estimator (one rate) -> shed (which encodings) -> regulator -> senders
//! ```

mod estimator;
mod regulator;
mod shed;
mod way;

pub use estimator::Estimator;
pub use regulator::{Regulated, Regulator};
pub use shed::{Candidate, Division, divide};
pub use way::{CLOCK_MICROS, Fate, Told, Way};

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The estimate, shared by all who send.
#[derive(Clone, Debug, Default)]
pub struct Uplink {
    estimator: Arc<Mutex<Estimator>>,
}

/// One connection's part of it; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Lane {
    uplink: Uplink,
    way: u64,
}

impl From<Estimator> for Uplink {
    fn from(estimator: Estimator) -> Self {
        Self { estimator: Arc::new(Mutex::new(estimator)) }
    }
}

impl Uplink {
    /// What it is taken to carry, in bit/s; `None` where it has never been full.
    pub fn limit(&self) -> Option<u64> {
        self.estimator().limit()
    }

    /// Waits until so many bytes of a picture may leave.
    pub(crate) async fn pace(&self, bytes: usize) {
        let now = Instant::now();
        let at = self.estimator().pace(now, bytes);
        if at > now + Duration::from_millis(1) {
            tokio::time::sleep_until(at.into()).await;
        }
    }

    /// A connection begins.
    pub(crate) fn open(&self) -> Lane {
        let way = self.estimator().open(Instant::now());
        Lane { uplink: self.clone(), way }
    }

    fn estimator(&self) -> MutexGuard<'_, Estimator> {
        self.estimator.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// A packet leaves; its number.
    pub(crate) fn send(&self, now: Instant, bytes: u32) -> u16 {
        self.uplink.estimator().send(now, self.way, bytes)
    }

    /// The node tells of packets.
    pub(crate) fn hear(&self, told: impl IntoIterator<Item = Told>) {
        self.uplink.estimator().hear(Instant::now(), self.way, told);
    }

    /// Whether a packet may be sent again.
    pub(crate) fn may_repair(&self, now: Instant, bytes: u32) -> bool {
        self.uplink.estimator().may_repair(now, bytes)
    }

    /// Whether more is to be sent than the pictures, now and for a while.
    pub(crate) fn is_probing(&self) -> bool {
        self.uplink.estimator().is_probing()
    }

    /// Bytes to send now beside the pictures, to find out what is carried.
    pub(crate) fn padding(&self, now: Instant) -> u64 {
        self.uplink.estimator().padding(now)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.uplink.estimator().close(self.way);
    }
}
