//! Feeding slots: joining from the cached GOP, passing on, losing and finding the picture again, and saying how each is.
//!
//! Invariant: a slot is in an encoding's `live` or `joining` list exactly while its viewer is connected and it watches
//! that encoding, or waits for it to take over.

use super::{Notice, Shard, ShardMessage};
use crate::allocation::Allotted;
use crate::encoding::Source;
use crate::types::{Layer, Packet, SlotId, SlotState};
use crate::viewer::{Feed, Slot, SlotAt, Viewer};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Bursts of a viewer's cached GOPs leave in chunks of a frame, or of so many packets of it; so many of them at a time ...
const BURST_PACKETS: usize = 32;
/// ... every so often: some 60 Mbit/s at most, for full packets.
pub(super) const BURST_INTERVAL: Duration = Duration::from_millis(5);
/// Bursts and what plays leave so much faster than the network is taken to carry, or than they play if that is more ...
const SPARE: f64 = 1.5;
/// ... and where the network has shown its limit and that is tight, a burst so much faster than what plays leaves of it,
/// or than its stream plays ...
const TIGHT_SPARE: f64 = 1.25;
/// ... in chunks of so many packets.
const TIGHT_PACKETS: usize = 4;
/// No burst leaves slower, in bit/s, and no chunk waits longer for the one before it.
const LEAST_PACE: f64 = 100_000.0;
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// A camera that has sent nothing for so long after it was asked for has no signal.
const PATIENCE: Duration = Duration::from_secs(3);

impl Shard {
    /// Begins to feed a connected viewer's slot: from the cached GOP, else from the next keyframe.
    pub(super) fn join(&mut self, at: SlotAt) {
        let now = self.now;
        let is_connected = self.viewer(at.place).is_some_and(|v| v.sealer.is_some());
        let Some(encoding) = self.slot(at).filter(|_| is_connected).and_then(|s| s.watching) else { return };
        self.encodings[encoding].joining.push(at);
        let may_burst = self.viewer(at.place).is_some_and(|viewer| viewer.may_burst(now));
        if may_burst && self.begin(at, encoding) {
            self.counters.joins_cached += 1;
        } else {
            self.counters.joins_waiting += 1;
            self.set_feed(at, Feed::AwaitingKeyframe);
            self.request_keyframe(encoding);
        }
    }

    /// Begins with the cached GOP; false when there is none.
    fn begin(&mut self, at: SlotAt, encoding: usize) -> bool {
        let now = self.now;
        let held = &self.encodings[encoding];
        let (place, rank) = (held.at, held.id.track.rank());
        let Some(first) = held.cached_gop(now).cloned() else { return false };
        // What the end of the burst maps to: the newest packet that belongs to it.
        let newest = held.ring.range(first.index, held.passed_on).last().map_or(first.time, |p| p.time);
        self.backlog.withdraw(at, encoding);
        if let Some(slot) = self.slot(at) {
            let source = Source { encoding: place, up_to: slot.allotted.up_to(rank) };
            slot.start(now, source, &first, newest);
        }
        self.set_feed(at, Feed::CatchingUp { next: first.index });
        self.send_sender_reports(at.place);
        if !self.catching_up.contains(&encoding) {
            if self.catching_up.is_empty() {
                self.next_burst = now + BURST_INTERVAL;
            }
            self.catching_up.push(encoding);
        }
        self.catch_up(at, encoding);
        true
    }

    fn set_feed(&mut self, at: SlotAt, feed: Feed) {
        if let Some(slot) = self.slot(at) {
            slot.feed = feed;
        }
    }

    /// The next chunks of everybody's bursts.
    pub(super) fn continue_bursts(&mut self) {
        self.next_burst = self.now + BURST_INTERVAL;
        let mut encodings = std::mem::take(&mut self.catching_up);
        let joining = encodings.iter().flat_map(|encoding| &self.encodings[*encoding].joining);
        let places: BTreeSet<u32> = joining.map(|at| at.place).collect();
        for place in places {
            let mut left = BURST_PACKETS;
            while left > 0
                && let Some((at, encoding)) = self.next_in_turn(place)
            {
                left = left.saturating_sub(self.catch_up(at, encoding).max(1));
            }
        }
        let is_behind = |at: &SlotAt| {
            let viewer = self.viewers.get(at.place as usize).and_then(Option::as_ref);
            viewer.and_then(|viewer| viewer.slot(at.slot)).is_some_and(Slot::is_behind)
        };
        // Those that began meanwhile stand there already.
        encodings.retain(|encoding| {
            !self.catching_up.contains(encoding) && self.encodings[*encoding].joining.iter().any(is_behind)
        });
        self.catching_up.append(&mut encodings);
    }

    /// Which of a viewer's slots gets the next chunk of its burst, if the network is ready for one: sound first, then
    /// pictures by turns.
    fn next_in_turn(&self, place: u32) -> Option<(SlotAt, usize)> {
        let viewer = self.viewers.get(place as usize)?.as_ref()?;
        let count = viewer.videos().len() as u8;
        let turns = (1..=count).map(|n| SlotId::Video((viewer.served + n) % count));
        std::iter::once(SlotId::Audio).chain(turns).find_map(|slot| {
            let (at, encoding) = (SlotAt { place, slot }, viewer.slot(slot)?.watching?);
            self.is_due(at, encoding).then_some((at, encoding))
        })
    }

    fn is_tight(&mut self, place: u32) -> bool {
        self.viewer(place).is_some_and(|viewer| viewer.is_tight())
    }

    /// How fast a burst of an encoding leaves for a viewer, in bit/s, and in chunks of how many packets at most.
    fn pace(&self, viewer: &Viewer, at: SlotAt, encoding: usize) -> (f64, usize) {
        let taken = |slot: &Slot, encoding: usize| self.encodings[encoding].rate(self.up_to(slot, encoding));
        let sum = |which: fn(&Slot) -> bool| -> u64 {
            let watched =
                viewer.videos().iter().filter(|slot| which(slot)).filter_map(|slot| Some((slot, slot.watching?)));
            let flowing = watched.filter(|(_, encoding)| self.encodings[*encoding].is_flowing(self.now));
            flowing.map(|(slot, encoding)| taken(slot, encoding)).sum()
        };
        let (rate, live) = (viewer.bandwidth.rate(), sum(|slot| slot.feed == Feed::Live));
        if !viewer.is_tight() || !viewer.bandwidth.is_limited() {
            let playing = live + sum(Slot::is_behind);
            let pace = rate.max(playing) as f64 * SPARE - live as f64;
            return (pace.max(LEAST_PACE), BURST_PACKETS);
        }
        let needed = viewer.slot(at.slot).map_or(0, |slot| taken(slot, encoding));
        let left = rate.saturating_sub(live);
        // Where nothing else is shown and not even this fits, a little slower than it plays: queues are full then.
        let is_sure = viewer.bandwidth.benefit_of_doubt(self.now) == rate;
        let pace =
            if is_sure && left == rate && left < needed { left as f64 } else { left.max(needed) as f64 * TIGHT_SPARE };
        (pace.max(LEAST_PACE), TIGHT_PACKETS)
    }

    /// The layer up to which a slot is shown an encoding.
    fn up_to(&self, slot: &Slot, encoding: usize) -> Layer {
        slot.allotted.up_to(self.encodings[encoding].id.track.rank())
    }

    /// Whether a slot is to get the next chunk of an encoding's burst, and its viewer's network is ready for it; sound is
    /// always.
    fn is_due(&self, at: SlotAt, encoding: usize) -> bool {
        let Some(Some(viewer)) = self.viewers.get(at.place as usize) else { return false };
        let is_ready = at.slot == SlotId::Audio || self.now >= viewer.next_chunk;
        is_ready && viewer.slot(at.slot).is_some_and(|slot| slot.watching == Some(encoding) && slot.is_behind())
    }

    /// The next chunk of one slot's burst, if it is due; live when it has caught up. Answers how many packets leave.
    fn catch_up(&mut self, at: SlotAt, encoding: usize) -> usize {
        let now = self.now;
        if !self.is_due(at, encoding) {
            return 0;
        }
        // A late packet that has gathered stands in the ring already: passed on now, it cannot reach this slot twice. A
        // keyframe that has gathered may let this very slot begin anew.
        self.pass_on(encoding);
        if !self.is_due(at, encoding) {
            return 0;
        }
        let Some(Some(viewer)) = self.viewers.get(at.place as usize) else { return 0 };
        let (pace, most) = self.pace(viewer, at, encoding);
        let Some((Feed::CatchingUp { next }, up_to)) =
            viewer.slot(at.slot).map(|slot| (slot.feed, self.up_to(slot, encoding)))
        else {
            return 0;
        };
        // A burst may take so long that a later GOP has come, and what is next is held no more.
        if next < self.encodings[encoding].ring.begin() && self.begin(at, encoding) {
            return 0;
        }
        let held = &mut self.encodings[encoding];
        let chunk = frame(held.ring.range(next, held.passed_on).take(most));
        let next = chunk.last().map_or(held.passed_on, |p| p.index + 1);
        if next >= held.passed_on {
            held.joining.retain(|joining| *joining != at);
            held.live.push(at);
            self.set_feed(at, Feed::Live);
        } else {
            self.set_feed(at, Feed::CatchingUp { next });
        }
        let bits: usize = chunk.iter().map(|packet| 8 * packet.shown(up_to).len()).sum();
        if let (Some(viewer), SlotId::Video(number)) = (self.viewer(at.place), at.slot) {
            // Chunks leave some milliseconds late, as bursts are seen to every so often only: the next one waits so much less,
            // but not where it is tight.
            let credit = if most == TIGHT_PACKETS { Duration::ZERO } else { BURST_INTERVAL };
            let due = viewer.next_chunk.max(now.checked_sub(credit).unwrap_or(now));
            viewer.next_chunk = due + Duration::from_secs_f64(bits as f64 / pace).min(LONGEST_PAUSE);
            viewer.served = number;
        }
        let count = chunk.len();
        if count > 0 {
            self.backlog.push_media(now, encoding, vec![at], chunk);
        }
        count
    }

    /// Passes on what has gathered of an encoding: to other shards, and to the viewers of this one.
    pub(super) fn pass_on(&mut self, encoding: usize) {
        self.gathering.remove(&encoding);
        let held = &mut self.encodings[encoding];
        let packets = held.take_pending();
        if packets.is_empty() {
            return;
        }
        let (id, subscribers) = (held.id, held.subscribers.clone());
        let from = self.config.shard;
        for shard in subscribers {
            self.tell(shard, ShardMessage::Batch { encoding: id, from, packets: Arc::clone(&packets) });
        }
        self.feed(encoding, packets);
    }

    pub(super) fn feed(&mut self, encoding: usize, packets: Arc<[Packet]>) {
        let has_start = packets.iter().any(|p| p.starts_gop);
        let live = &self.encodings[encoding].live;
        if !live.is_empty() {
            self.backlog.push_media(self.now, encoding, live.clone(), packets);
        }
        // After those that were live already: who begins now has these packets from the ring.
        if has_start {
            self.start_waiting(encoding);
        }
    }

    /// A keyframe came: those who wait for one begin with it, and with what came after it where another shard sent its
    /// whole cache. Who has a picture, and a network that carries no whole cache, waits for one of the moment.
    fn start_waiting(&mut self, encoding: usize) {
        let is_settled = self.encodings[encoding].is_settled(self.now);
        for at in self.encodings[encoding].joining.clone() {
            let is_coming = self.slot(at).is_some_and(|slot| slot.coming == Some(encoding));
            if is_coming && (is_settled || !self.is_tight(at.place)) {
                self.take_over(at, encoding);
            }
            let is_behind = is_settled && at.slot != SlotId::Audio && self.is_tight(at.place);
            let waits = |slot: &&mut Slot| match slot.feed {
                _ if slot.watching != Some(encoding) => false,
                Feed::AwaitingKeyframe => true,
                // The network did not carry what was cached by now: on from here, or it would lag for good.
                Feed::CatchingUp { .. } => is_behind,
                Feed::Idle | Feed::Live => false,
            };
            if self.slot(at).filter(waits).is_some() {
                self.begin(at, encoding);
            }
        }
    }

    /// The publisher begins anew: everybody waits for its keyframe.
    pub(super) fn restarted(&mut self, encoding: usize) {
        let now = self.now;
        self.gathering.remove(&encoding);
        self.backlog.drop_media(encoding);
        let held = &mut self.encodings[encoding];
        held.restart();
        let live = std::mem::take(&mut held.live);
        held.joining.extend(live);
        for at in held.joining.clone() {
            if let Some(slot) = self.slot(at).filter(|slot| slot.watching == Some(encoding)) {
                slot.feed = Feed::AwaitingKeyframe;
                slot.has_sent = false;
                slot.since = now;
                slot.rewriter.forget();
                self.report_slot(at);
            }
        }
    }

    /// A slot has lost the picture: it gets the cached GOP again, within its allowance. False when there is none.
    pub(super) fn rejoin(&mut self, at: SlotAt, encoding: usize) -> bool {
        let now = self.now;
        let is_cached = self.encodings[encoding].cached_gop(now).is_some();
        let Some(slot) = self.slot(at).filter(|_| is_cached) else { return false };
        if slot.feed == Feed::Live && slot.may_rejoin(now) {
            self.encodings[encoding].live.retain(|live| *live != at);
            self.join(at);
        }
        true
    }

    /// The first train since its feed began has left for a slot.
    pub(super) fn began(&mut self, at: SlotAt) {
        self.report_slot(at);
        let (now, is_picture) = (self.now, at.slot != SlotId::Audio);
        let Some(viewer) = self.viewer(at.place).filter(|viewer| is_picture && viewer.playing.is_none()) else {
            return;
        };
        viewer.playing = Some(now);
        if let Some(id) = self.peer(at.place).map(|peer| peer.id) {
            self.notify(Notice::Playing(id));
        }
    }

    /// Says how a slot is, where that has changed.
    pub(super) fn report_slot(&mut self, at: SlotAt) {
        let Some(Some(viewer)) = self.viewers.get(at.place as usize) else { return };
        let Some(slot) = viewer.slot(at.slot) else { return };
        let now = (slot.wish.map(|wish| wish.camera), self.slot_state(slot));
        if now == slot.told {
            return;
        }
        let (camera, state) = now;
        if let Some(slot) = self.slot(at) {
            slot.told = now;
        }
        if let Some(peer) = self.peer(at.place).map(|p| p.id) {
            self.notify(Notice::Slot { peer, slot: at.slot, camera, state });
        }
    }

    /// Whether a slot has waited long enough to know that this encoding sends nothing.
    pub(super) fn is_silent(&self, slot: &Slot, encoding: usize) -> bool {
        !self.encodings[encoding].is_flowing(self.now) && self.now >= slot.since + PATIENCE
    }

    fn slot_state(&self, slot: &Slot) -> SlotState {
        let Some(wish) = slot.wish else { return SlotState::Empty };
        let is_published = self.cameras.get(&wish.camera).is_some_and(|c| c.origin.is_some());
        if is_published && slot.allotted == Allotted::Paused {
            return SlotState::Paused;
        }
        let Some(encoding) = slot.watching.filter(|_| is_published) else { return SlotState::NoSignal };
        let is_flowing = self.encodings[encoding].is_flowing(self.now);
        match slot.feed {
            Feed::Live | Feed::CatchingUp { .. } if slot.has_sent && is_flowing => SlotState::Live,
            _ if is_flowing || self.now < slot.since + PATIENCE => SlotState::Waiting,
            _ => SlotState::NoSignal,
        }
    }
}

/// The first frame of these packets, or what is left of it.
fn frame<'a>(packets: impl Iterator<Item = &'a Packet>) -> Arc<[Packet]> {
    let mut is_whole = false;
    packets.take_while(|packet| !std::mem::replace(&mut is_whole, packet.marker)).cloned().collect()
}
