//! Lets each camera send what is wanted of it, as far as the uplink carries that, and says what it does not.
//!
//! Invariant: where the uplink has never been full, what is wanted is sent at once.

use super::{Candidate, Uplink, divide};
use crate::{
    feed::Feed,
    health::CameraBoard,
    publish::{Sending, Wanted},
};
use protocol::{CameraId, Rid};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

/// How often the estimate is looked at.
const INTERVAL: Duration = Duration::from_millis(100);
/// What a sound takes, in bit/s: G.711 in packets of 20 ms.
const SOUND: u64 = 95_000;
/// Headers make a picture's packets so many times its own size.
const OVERHEAD: f64 = 1.08;

/// One camera.
#[derive(Debug)]
pub struct Regulated {
    /// Which one.
    pub camera: CameraId,
    /// Its streams, large to small.
    pub feeds: Vec<(Rid, Feed)>,
    /// Where to say what is held back.
    pub board: CameraBoard,
    /// What it sends.
    pub sending: watch::Sender<Sending>,
}

/// See the module.
#[derive(Debug)]
pub struct Regulator {
    /// The estimate.
    pub uplink: Uplink,
    /// All cameras, in the order in which they are served.
    pub cameras: Vec<Regulated>,
    /// What is wanted of them.
    pub wanted: watch::Receiver<BTreeMap<CameraId, Wanted>>,
}

impl Regulator {
    /// Regulates for as long as it is polled.
    pub async fn run(mut self) {
        let mut interval = interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = self.wanted.changed() => {
                    if changed.is_err() {
                        return std::future::pending().await;
                    }
                }
                _ = interval.tick() => self.uplink.estimator().tick(Instant::now()),
            }
            self.regulate();
        }
    }

    fn regulate(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        let limit = self.uplink.limit();
        let candidates: Vec<_> =
            self.cameras.iter().map(|camera| camera.candidates(wanted.get(&camera.camera))).collect();
        let sounds = wanted.values().filter(|wanted| wanted.audio()).count() as u64;
        let division = divide(limit, sounds * SOUND, &candidates);
        self.uplink.estimator().aim(division.goal);
        for (camera, sent) in self.cameras.iter().zip(division.sent) {
            if let Some(wanted) = wanted.get(&camera.camera) {
                camera.send(wanted, &sent, limit);
            }
        }
    }
}

impl Regulated {
    /// Its encodings, small to large.
    fn candidates(&self, wanted: Option<&Wanted>) -> Vec<Candidate> {
        let sending = self.sending.borrow();
        let candidate = |(rid, feed): &(Rid, Feed)| Candidate {
            rate: feed.rate().map(|rate| (rate as f64 * OVERHEAD) as u64),
            is_wanted: wanted.is_some_and(|wanted| wanted.encodings().contains(rid)),
            is_sent: sending.turn(rid).is_some(),
        };
        self.feeds.iter().rev().map(candidate).collect()
    }

    /// `sent` is by encodings, small to large.
    fn send(&self, wanted: &Wanted, sent: &[bool], limit: Option<u64>) {
        let rids = self.feeds.iter().rev().map(|(rid, _)| rid);
        let sent: Vec<Rid> = rids.zip(sent).filter(|(_, sent)| **sent).map(|(rid, _)| rid.clone()).collect();
        let held_before = self.sending.borrow().held();
        let is_changed = self.sending.send_if_modified(|sending| sending.update(wanted, &sent, limit.is_some()));
        if !is_changed {
            return;
        }
        let held = self.sending.borrow().held();
        let limit = limit.unwrap_or_default();
        for (rid, _) in &self.feeds {
            self.say(rid, (&held_before, &held), limit);
        }
    }

    fn say(&self, rid: &Rid, (before, now): (&BTreeSet<Rid>, &BTreeSet<Rid>), limit: u64) {
        let Some(board) = self.board.stream(rid) else { return };
        let megabits = format!("{:.1}", limit as f64 / 1e6);
        match (before.contains(rid), now.contains(rid)) {
            (false, true) => {
                tracing::info!("{} is held back: the uplink carries about {megabits} Mbit/s", board.name());
                board.set_held(Some(&format!("held back: the uplink carries about {megabits} Mbit/s")));
            }
            (true, false) => {
                tracing::info!("{} is held back no more: the uplink carries about {megabits} Mbit/s", board.name());
                board.set_held(None);
            }
            _ => {}
        }
    }
}
