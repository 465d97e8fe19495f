//! What happens with time: one wheel for all peers, each visited once a second, spread over its slots.

use super::{Ended, Shard};
use crate::viewer::SlotAt;
use std::time::Duration;

/// Slots of the wheel. Few, so that peers are visited many together: what a visit needs is then in the caches.
const SLOTS: usize = 10;
/// From one slot to the next, in ticks: a turn takes a second.
const STEP: usize = 5;
/// A tick: what is more urgent than visits is done at each.
const TICK: Duration = Duration::from_millis(20);
/// So much later than it is due a tick may come: whoever sends 25 frames a second wakes the shard often enough.
pub(super) const LEEWAY: Duration = Duration::from_millis(40);

impl Shard {
    pub(super) fn turn_wheel(&mut self) {
        let now = self.now;
        let due: Vec<usize> = self.gathering.iter().filter(|(_, at)| **at <= now).map(|(slot, _)| *slot).collect();
        for slot in due {
            self.pass_on(slot);
        }
        if !self.catching_up.is_empty() && self.next_burst <= now {
            self.continue_bursts();
        }
        if self.next_tick <= now {
            // Ticks that were missed count, so that a turn takes its second. After a long pause the wheel goes on from now:
            // missed visits are not made up for.
            let late = (now - self.next_tick).as_nanos() / TICK.as_nanos();
            let ticks = 1 + late.min(STEP as u128 - 1) as usize;
            self.next_tick = (self.next_tick + TICK * ticks as u32).max(now);
            let step = self.tick / STEP;
            self.tick = (self.tick + ticks) % (SLOTS * STEP);
            self.tick(self.tick / STEP != step);
        }
    }

    fn tick(&mut self, is_step: bool) {
        for place in self.handshaking.clone() {
            if self.dtls.handle_timeout(self.now, place).is_err() {
                self.remove(place, Ended::Handshake);
            }
        }
        self.send_dtls();
        for at in 0..self.publishers.len() {
            self.ask_for_missing(self.publishers[at]);
            self.report_arrivals(self.publishers[at]);
        }
        self.continue_probes();
        if !is_step {
            return;
        }
        let first = self.tick / STEP;
        for place in (first..self.peers.len()).step_by(SLOTS) {
            self.visit_peer(place as u32);
        }
        for slot in (first..self.encodings.len()).step_by(SLOTS) {
            self.visit_encoding(slot);
        }
    }

    fn visit_peer(&mut self, place: u32) {
        let now = self.now;
        let Some(peer) = self.peer(place) else { return };
        let is_up = peer.inbound.is_some();
        if peer.until.is_some_and(|until| now >= until) {
            return self.remove(place, Ended::GrantOver);
        }
        if !is_up && now >= peer.since + self.config.connect_timeout {
            return self.remove(place, Ended::NeverConnected);
        }
        if is_up && now >= peer.heard + self.config.silence_timeout {
            return self.remove(place, Ended::Silent);
        }
        let Some(slots) = self.viewer(place).map(|viewer| viewer.slot_ids()) else {
            return self.report_reception(place);
        };
        self.send_sender_reports(place);
        if let Some(viewer) = self.viewer(place) {
            let sent = viewer.sent();
            viewer.bandwidth.visit(now, sent);
        }
        self.allot(place);
        for slot in slots {
            self.fall_back(SlotAt { place, slot });
            self.report_slot(SlotAt { place, slot });
        }
    }

    fn visit_encoding(&mut self, slot: usize) {
        if self.encodings[slot].lingers_until.is_some_and(|at| self.now >= at) {
            self.let_go(slot);
        }
        let encoding = &mut self.encodings[slot];
        let is_stuck = !encoding.joining.is_empty() && encoding.ring.gop_start().is_none();
        if encoding.arbiter.due(self.now) || (is_stuck && encoding.arbiter.request(self.now)) {
            self.ask_for_keyframe(slot);
        }
        self.forget_encoding(slot);
    }
}
