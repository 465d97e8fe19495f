//! Who gets which encoding: choosing, joining from the cached GOP, passing on, shards among each other.
//!
//! Invariant: a viewer is in an encoding's `live` or `joining` list exactly while it is connected and watches it.

use super::drain::Job;
use super::{Camera, Notice, Origin, Shard, ShardMessage};
use crate::encoding::Encoding;
use crate::types::{CameraKey, EncodingId, Packet, Rid, ShardId};
use crate::viewer::{Feed, Viewer};
use std::sync::Arc;
use std::time::Duration;

/// A burst of a cached GOP leaves in chunks of so many packets ...
const BURST_PACKETS: usize = 32;
/// ... every so often: some 60 Mbit/s for full packets.
pub(super) const BURST_INTERVAL: Duration = Duration::from_millis(5);

impl Shard {
    fn encoding_slot(&mut self, id: EncodingId) -> usize {
        *self.encoding_slots.entry(id).or_insert_with(|| {
            self.encodings.push(Encoding::new(id, self.config.ring_bytes));
            self.encodings.len() - 1
        })
    }

    /// A camera's publisher came, moved or left.
    pub(super) fn set_origin(&mut self, camera: CameraKey, origin: Option<Origin>, encodings: &[Rid]) {
        let slots: Vec<usize> =
            encodings.iter().map(|rid| self.encoding_slot(EncodingId { camera, rid: *rid })).collect();
        let known = self.cameras.entry(camera).or_default();
        known.origin = origin;
        let before = known.encodings.clone();
        if origin.is_some() {
            known.encodings = slots;
        }
        let (slots, viewers) = (known.encodings.clone(), known.viewers.clone());
        // What a former origin left is neither to be shown any more nor to be taken for the new one's.
        for slot in before {
            self.restarted(slot);
        }
        for slot in slots {
            self.encodings[slot].subscribers.clear();
            self.encodings[slot].is_wanted = false;
            self.update_wanted(slot);
            if let (Some(Origin::Shard(shard)), true) = (origin, self.encodings[slot].is_watched()) {
                self.subscribe(shard, slot);
            }
        }
        for place in viewers {
            self.choose_encoding(place);
        }
    }

    fn subscribe(&mut self, shard: ShardId, slot: usize) {
        let message = ShardMessage::Subscribe { encoding: self.encodings[slot].id, from: self.config.shard };
        self.tell(shard, message);
    }

    /// The largest encoding that a viewer may be shown, if there is one.
    fn best_encoding(&self, camera: &Camera, max: Rid) -> Option<usize> {
        let rank = |slot: &usize| self.encodings[*slot].id.rid.rank();
        camera.encodings.iter().filter(|slot| rank(slot) <= max.rank()).max_by_key(|slot| rank(slot)).copied()
    }

    /// Lets a viewer watch the encoding that fits it best, if that is not so already.
    pub(super) fn choose_encoding(&mut self, place: u32) {
        let Some((camera, max, watching)) = self.viewer(place).map(|v| (v.camera, v.max, v.watching)) else { return };
        let best = self.cameras.get(&camera).and_then(|c| self.best_encoding(c, max));
        if watching == best {
            return;
        }
        if let Some(before) = watching {
            self.unwatch(place, before);
        }
        if let Some(viewer) = self.viewer(place) {
            viewer.watching = best;
            viewer.feed = Feed::Idle;
        }
        let Some(best) = best else { return };
        self.encodings[best].watchers += 1;
        if self.encodings[best].watchers == 1 {
            let was_lingering = self.encodings[best].lingers_until.take().is_some();
            let origin = self.cameras.get(&camera).and_then(|c| c.origin);
            if let (Some(Origin::Shard(shard)), false) = (origin, was_lingering) {
                self.subscribe(shard, best);
            }
            self.update_wanted(best);
        }
        self.join(place);
    }

    fn unwatch(&mut self, place: u32, slot: usize) {
        let linger = self.now + self.config.linger;
        let encoding = &mut self.encodings[slot];
        encoding.live.retain(|p| *p != place);
        encoding.joining.retain(|p| *p != place);
        encoding.watchers -= 1;
        if encoding.watchers == 0 {
            encoding.lingers_until = Some(linger);
        }
    }

    pub(super) fn viewer_left(&mut self, place: u32, viewer: &Viewer) {
        if let Some(camera) = self.cameras.get_mut(&viewer.camera) {
            camera.viewers.retain(|p| *p != place);
        }
        if let Some(slot) = viewer.watching {
            self.unwatch(place, slot);
        }
    }

    /// An encoding has lingered long enough: nobody wants it.
    pub(super) fn let_go(&mut self, slot: usize) {
        self.encodings[slot].lingers_until = None;
        let id = self.encodings[slot].id;
        match self.cameras.get(&id.camera).and_then(|c| c.origin) {
            Some(Origin::Shard(shard)) => {
                self.encodings[slot].restart();
                self.tell(shard, ShardMessage::Unsubscribe { encoding: id, from: self.config.shard });
            }
            _ => self.update_wanted(slot),
        }
        self.forget_unwanted(slot);
    }

    /// What an encoding that nobody wants holds would be stale when somebody does.
    fn forget_unwanted(&mut self, slot: usize) {
        let encoding = &mut self.encodings[slot];
        if !encoding.is_watched() && encoding.subscribers.is_empty() {
            encoding.restart();
            self.gathering.remove(&slot);
        }
    }

    /// Begins to feed a connected viewer: from the cached GOP, else from the next keyframe.
    pub(super) fn join(&mut self, place: u32) {
        let now = self.now;
        let Some(viewer) = self.viewer(place) else { return };
        let (true, Some(slot)) = (viewer.out.is_some(), viewer.watching) else { return };
        let encoding = &mut self.encodings[slot];
        encoding.joining.push(place);
        let start = encoding.cached_gop(now).map(|p| (p.index, p.time));
        let Some((index, time)) = start else {
            self.counters.joins_waiting += 1;
            self.set_feed(place, Feed::AwaitingKeyframe);
            self.request_keyframe(slot);
            return;
        };
        self.counters.joins_cached += 1;
        if let Some(viewer) = self.viewer(place) {
            viewer.start(now, slot, index, time);
        }
        self.set_feed(place, Feed::CatchingUp { next: index });
        self.send_sender_report(place);
        if !self.catching_up.contains(&slot) {
            if self.catching_up.is_empty() {
                self.next_burst = now + BURST_INTERVAL;
            }
            self.catching_up.push(slot);
        }
        self.catch_up(place, slot);
    }

    fn set_feed(&mut self, place: u32, feed: Feed) {
        if let Some(viewer) = self.viewer(place) {
            viewer.feed = feed;
        }
    }

    /// The next chunk of everybody's burst.
    pub(super) fn continue_bursts(&mut self) {
        self.next_burst = self.now + BURST_INTERVAL;
        for slot in std::mem::take(&mut self.catching_up) {
            for place in self.encodings[slot].joining.clone() {
                self.catch_up(place, slot);
            }
            let mut joining = self.encodings[slot].joining.clone().into_iter();
            if joining.any(|p| self.viewer(p).is_some_and(|v| matches!(v.feed, Feed::CatchingUp { .. }))) {
                self.catching_up.push(slot);
            }
        }
    }

    /// The next chunk of one viewer's burst; live when it has caught up.
    fn catch_up(&mut self, place: u32, slot: usize) {
        let Some(Feed::CatchingUp { next }) = self.viewer(place).map(|v| v.feed) else { return };
        // A late packet that has gathered stands in the ring already: passed on now, it cannot reach this viewer twice.
        self.pass_on(slot);
        let encoding = &mut self.encodings[slot];
        let chunk: Arc<[Packet]> = encoding.ring.range(next, encoding.passed_on).take(BURST_PACKETS).cloned().collect();
        let next = chunk.last().map_or(encoding.passed_on, |p| p.index + 1);
        if next >= encoding.passed_on {
            encoding.joining.retain(|p| *p != place);
            encoding.live.push(place);
            self.set_feed(place, Feed::Live);
        } else {
            self.set_feed(place, Feed::CatchingUp { next });
        }
        if !chunk.is_empty() {
            self.jobs.push_back(Job::media(vec![place], chunk));
        }
    }

    /// Passes on what has gathered of an encoding: to other shards, and to the viewers of this one.
    pub(super) fn pass_on(&mut self, slot: usize) {
        self.gathering.remove(&slot);
        let encoding = &mut self.encodings[slot];
        let packets = encoding.take_pending();
        if packets.is_empty() {
            return;
        }
        let (id, subscribers) = (encoding.id, encoding.subscribers.clone());
        let from = self.config.shard;
        for shard in subscribers {
            self.tell(shard, ShardMessage::Batch { encoding: id, from, packets: Arc::clone(&packets) });
        }
        self.feed(slot, packets);
    }

    fn feed(&mut self, slot: usize, packets: Arc<[Packet]>) {
        if let Some(first) = packets.iter().find(|p| p.starts_gop) {
            self.start_waiting(slot, first);
        }
        let live = &self.encodings[slot].live;
        if !live.is_empty() {
            self.jobs.push_back(Job::media(live.clone(), packets));
        }
    }

    /// A keyframe came: those who wait for one begin with it.
    fn start_waiting(&mut self, slot: usize, first: &Packet) {
        let now = self.now;
        for place in self.encodings[slot].joining.clone() {
            let Some(viewer) = self.viewer(place).filter(|v| v.feed == Feed::AwaitingKeyframe) else { continue };
            viewer.start(now, slot, first.index, first.time);
            viewer.feed = Feed::Live;
            let encoding = &mut self.encodings[slot];
            encoding.joining.retain(|p| *p != place);
            encoding.live.push(place);
            self.send_sender_report(place);
        }
    }

    /// Packets from the origin's shard.
    pub(super) fn take_batch(&mut self, slot: usize, packets: &Arc<[Packet]>) {
        let encoding = &mut self.encodings[slot];
        if !encoding.is_watched() {
            return;
        }
        for packet in packets.iter() {
            encoding.gather(self.now, packet.clone());
        }
        let fresh = encoding.take_pending();
        self.feed(slot, fresh);
    }

    /// Another shard wants an encoding: it gets the cached GOP, then everything.
    pub(super) fn subscribed(&mut self, id: EncodingId, to: ShardId) {
        let (now, from) = (self.now, self.config.shard);
        let Some(slot) = self.encoding_slots.get(&id).copied() else { return };
        let encoding = &mut self.encodings[slot];
        if !encoding.subscribers.contains(&to) {
            encoding.subscribers.push(to);
        }
        let start = encoding.cached_gop(now).map_or(encoding.passed_on, |p| p.index);
        let packets: Arc<[Packet]> = encoding.ring.range(start, encoding.passed_on).cloned().collect();
        if let Some(clock) = encoding.clock {
            self.tell(to, ShardMessage::Clock { encoding: id, from, clock });
        }
        if !packets.is_empty() {
            self.tell(to, ShardMessage::Batch { encoding: id, from, packets });
        }
        self.update_wanted(slot);
    }

    pub(super) fn unsubscribed(&mut self, id: EncodingId, from: ShardId) {
        let Some(slot) = self.encoding_slots.get(&id).copied() else { return };
        self.encodings[slot].subscribers.retain(|s| *s != from);
        self.update_wanted(slot);
        self.forget_unwanted(slot);
    }

    /// The publisher begins anew: everybody waits for its keyframe.
    pub(super) fn restarted(&mut self, slot: usize) {
        self.gathering.remove(&slot);
        let encoding = &mut self.encodings[slot];
        encoding.restart();
        let live = std::mem::take(&mut encoding.live);
        encoding.joining.extend(live);
        for place in encoding.joining.clone() {
            if let Some(viewer) = self.viewer(place) {
                viewer.feed = Feed::AwaitingKeyframe;
                viewer.rewriter.forget();
            }
        }
    }

    /// A viewer has lost the picture: it gets the cached GOP again, within its allowance. False when there is none.
    pub(super) fn rejoin(&mut self, place: u32, slot: usize) -> bool {
        let now = self.now;
        let is_cached = self.encodings[slot].cached_gop(now).is_some();
        let Some(viewer) = self.viewer(place).filter(|_| is_cached) else { return false };
        if viewer.feed == Feed::Live && viewer.may_rejoin(now) {
            self.encodings[slot].live.retain(|p| *p != place);
            self.join(place);
        }
        true
    }

    /// The first train left for a viewer.
    pub(super) fn playing(&mut self, place: u32) {
        if let Some(id) = self.peer(place).map(|p| p.id) {
            self.notify(Notice::Playing(id));
        }
    }
}
