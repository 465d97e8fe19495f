//! Who watches which encoding: what slots wish, what cameras have, and what shards ask of each other for it.

use super::{Camera, Change, Origin, Shard, ShardMessage};
use crate::allocation::Allotted;
use crate::encoding::{Encoding, EncodingAt};
use crate::types::{CameraKey, EncodingId, Packet, ShardId, SlotId, Subscription, Track};
use crate::viewer::{Feed, Slot, SlotAt, Viewer};
use std::sync::Arc;
use std::time::Duration;

/// An encoding that was asked for, and has not come by then, has a smaller one shown in its place meanwhile.
const FALL_BACK_AFTER: Duration = Duration::from_millis(1500);

/// How long nothing is begun for a viewer whose network turned out to carry less: what waits in it takes longer to leave.
const DRAIN: Duration = Duration::from_millis(400);

/// How long the smallest encoding is left alone after it sent nothing.
const GIVEN_UP: Duration = Duration::from_secs(60);

impl Shard {
    fn encoding_slot(&mut self, id: EncodingId) -> usize {
        if let Some(place) = self.encoding_slots.get(&id) {
            return *place;
        }
        let place = self.free_encodings.pop().unwrap_or(self.encodings.len());
        self.encodings_begun += 1;
        let encoding = Encoding::new(id, EncodingAt { place, number: self.encodings_begun }, self.config.ring_bytes);
        if place == self.encodings.len() {
            self.encodings.push(encoding);
        } else {
            self.encodings[place] = encoding;
        }
        self.encoding_slots.insert(id, place);
        place
    }

    /// Forgets an encoding that its camera's publisher does not have, once nobody watches it, and its camera with the
    /// last one.
    pub(super) fn forget_encoding(&mut self, place: usize) {
        let encoding = &self.encodings[place];
        let id = encoding.id;
        let is_known = self.encoding_slots.get(&id) == Some(&place);
        if !is_known || encoding.is_watched() || !encoding.subscribers.is_empty() {
            return;
        }
        let Some(camera) = self.cameras.get_mut(&id.camera) else { return };
        if camera.encodings.contains(&place) && (camera.origin.is_some() || !camera.viewers.is_empty()) {
            return;
        }
        camera.encodings.retain(|other| *other != place);
        self.encoding_slots.remove(&id);
        self.gathering.remove(&place);
        self.backlog.drop_media(place);
        self.free_encodings.push(place);
        self.forget_camera(id.camera);
    }

    /// Forgets a camera that nobody publishes or watches.
    fn forget_camera(&mut self, key: CameraKey) {
        let is_unused =
            |camera: &Camera| camera.origin.is_none() && camera.viewers.is_empty() && camera.encodings.is_empty();
        if self.cameras.get(&key).is_some_and(is_unused) {
            self.cameras.remove(&key);
        }
    }

    /// A camera's publisher came, moved or left.
    pub(super) fn set_origin(&mut self, camera: CameraKey, origin: Option<Origin>, tracks: &[Track]) {
        let slots: Vec<usize> =
            tracks.iter().map(|track| self.encoding_slot(EncodingId { camera, track: *track })).collect();
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
            self.encodings[slot].restarted = None;
            self.update_wanted(slot);
            if let (Some(Origin::Shard(shard)), true) = (origin, self.encodings[slot].is_watched()) {
                self.subscribe(shard, slot);
            }
        }
        let now = self.now;
        for at in viewers {
            if let Some(slot) = self.slot(at) {
                slot.since = now;
            }
            self.allot(at.place);
            self.choose_encoding(at);
            self.report_slot(at);
        }
    }

    fn subscribe(&mut self, shard: ShardId, slot: usize) {
        let message = ShardMessage::Subscribe { encoding: self.encodings[slot].id, from: self.config.shard };
        self.tell(shard, message);
    }

    /// A viewer wishes to be shown other things, or its grant has another end.
    pub(super) fn change(&mut self, change: Change) {
        let Some(place) = self.by_id.get(&change.peer).copied() else { return };
        if let Some(peer) = self.peer_mut(place) {
            peer.until = change.until;
        }
        for (slot, wish) in change.slots {
            self.show(SlotAt { place, slot }, wish);
        }
    }

    /// Shows something else in a slot from now on; nothing of what it showed before leaves any more.
    pub(super) fn show(&mut self, at: SlotAt, wish: Option<Subscription>) {
        let now = self.now;
        let Some(slot) = self.slot(at).filter(|slot| slot.wish != wish) else { return };
        let before = std::mem::replace(&mut slot.wish, wish);
        let (old, new) = (before.map(|w| w.camera), wish.map(|w| w.camera));
        if old != new {
            slot.since = now;
            slot.has_sent = false;
            slot.dead = None;
            if let Some(key) = old {
                self.look_away(at, key);
            }
            if let Some(camera) = new {
                self.cameras.entry(camera).or_default().viewers.push(at);
            }
        }
        if let Some(viewer) = self.viewer(at.place) {
            viewer.hold_pictures();
        }
        self.allot(at.place);
        self.choose_encoding(at);
        self.report_slot(at);
    }

    /// A slot is to show a camera no more.
    fn look_away(&mut self, at: SlotAt, key: CameraKey) {
        if let Some(camera) = self.cameras.get_mut(&key) {
            camera.viewers.retain(|viewer| *viewer != at);
        }
        self.forget_camera(key);
    }

    /// What a slot can best be shown of a camera.
    fn best_encoding(&self, camera: &Camera, slot: SlotId, wish: Subscription, allotted: Allotted) -> Option<usize> {
        let may = |rank: &u8| *rank <= wish.max.rank() && allotted.covers(*rank);
        let rank = |at: &usize| match (slot, self.encodings[*at].id.track) {
            (SlotId::Video(_), Track::Video(rid)) => Some(rid.rank()).filter(may),
            (SlotId::Audio, Track::Audio) => Some(0),
            _ => None,
        };
        camera.encodings.iter().filter(|at| rank(at).is_some()).max_by_key(|at| rank(at)).copied()
    }

    /// Lets a slot watch the encoding that fits it best, if that is not so already.
    ///
    /// Another encoding of the same camera takes over with a keyframe: at once from the cached GOP, else when one comes,
    /// and until then the one that plays goes on. A tight network carries neither a cached GOP of a larger one, nor any
    /// longer what does not fit.
    pub(super) fn choose_encoding(&mut self, at: SlotAt) {
        let now = self.now;
        let Some(viewer) = self.viewer(at.place) else { return };
        let is_tight = viewer.is_tight();
        let Some((wish, allotted, watching, coming, feed, has_sent)) =
            viewer.slot(at.slot).map(|s| (s.wish, s.allotted, s.watching, s.coming, s.feed, s.has_sent))
        else {
            return;
        };
        let camera = wish.and_then(|wish| self.cameras.get(&wish.camera));
        let best = wish.zip(camera).and_then(|(wish, camera)| self.best_encoding(camera, at.slot, wish, allotted));
        if let Some(coming) = coming.filter(|coming| Some(*coming) != best) {
            self.unwatch(at, coming);
            self.set_coming(at, None);
        }
        if watching == best || (coming.is_some() && coming == best) {
            return;
        }
        let waits = match (watching, best) {
            (Some(old), Some(new)) if feed == Feed::Live || (is_tight && has_sent) => {
                let (old, next) = (self.encodings[old].id, self.encodings[new].id);
                let is_held_back = is_tight && next.track.rank() > old.track.rank();
                let is_cached = self.encodings[new].cached_gop(now).is_some();
                old.camera == next.camera && allotted.covers(old.track.rank()) && (is_held_back || !is_cached)
            }
            _ => false,
        };
        if let (true, Some(best)) = (waits, best) {
            self.set_coming(at, Some(best));
            self.watch(best);
            self.encodings[best].joining.push(at);
            self.request_keyframe(best);
            return;
        }
        if let Some(before) = watching {
            self.unwatch(at, before);
            if !allotted.covers(self.encodings[before].id.track.rank()) {
                self.let_drain(at.place);
            }
        }
        if let Some(slot) = self.slot(at) {
            slot.watching = best;
            slot.feed = Feed::Idle;
        }
        if let Some(best) = best {
            self.watch(best);
            self.join(at);
        }
    }

    /// What no longer fits has filled queues: nothing more leaves until they are shorter, for it would be lost.
    fn let_drain(&mut self, place: u32) {
        let until = self.now + DRAIN;
        if let Some(viewer) = self.viewer(place) {
            viewer.next_chunk = viewer.next_chunk.max(until);
        }
    }

    /// Lets a slot whose encoding does not come watch the next smaller one that its camera has, until it does: a main
    /// stream may be down, or one that nobody can be shown, while the sub stream plays.
    pub(super) fn fall_back(&mut self, at: SlotAt) {
        let now = self.now;
        let waits = |slot: &&mut Slot| now >= slot.fell_back.unwrap_or(slot.since).max(slot.since) + FALL_BACK_AFTER;
        let Some((Some(wish), Some(watching), feed)) =
            self.slot(at).filter(waits).map(|s| (s.wish, s.watching, s.feed))
        else {
            return;
        };
        let has_stopped = feed != Feed::Idle && !self.encodings[watching].is_flowing(now);
        let Track::Video(rid) = self.encodings[watching].id.track else { return };
        if feed != Feed::AwaitingKeyframe && !has_stopped {
            return;
        }
        if !self.show_smaller(at, wish.camera, watching, rid.rank()) {
            self.give_up(at, watching);
        }
    }

    /// An encoding stops: who watches it is shown a smaller one at once.
    pub(super) fn stopped(&mut self, encoding: usize) {
        self.encodings[encoding].stop();
        let Track::Video(rid) = self.encodings[encoding].id.track else { return };
        let camera = self.encodings[encoding].id.camera;
        let held = &self.encodings[encoding];
        let watching: Vec<SlotAt> = held.live.iter().chain(&held.joining).copied().collect();
        for at in watching {
            if self.slot(at).is_some_and(|slot| slot.watching == Some(encoding)) {
                self.show_smaller(at, camera, encoding, rid.rank());
            }
        }
    }

    /// Lets a slot watch the next smaller encoding, until the one that it watches comes. False where there is none.
    fn show_smaller(&mut self, at: SlotAt, camera: CameraKey, watching: usize, rank: u8) -> bool {
        let now = self.now;
        let Some(coming) = self.slot(at).map(|slot| slot.coming) else { return false };
        let tracks = self.cameras.get(&camera).into_iter().flat_map(|c| &c.encodings);
        let smaller = tracks.filter_map(|slot| match self.encodings[*slot].id.track {
            Track::Video(other) => Some((other.rank(), *slot)).filter(|(other, _)| *other < rank),
            Track::Audio => None,
        });
        let Some((_, smaller)) = smaller.max() else { return false };
        match coming {
            // What was wished first stays awaited; what was tried in its place is given up.
            Some(_) => self.unwatch(at, watching),
            None => {
                self.backlog.withdraw(at, watching);
                let held = &mut self.encodings[watching];
                held.live.retain(|live| *live != at);
                if !held.joining.contains(&at) {
                    held.joining.push(at);
                }
                self.set_coming(at, Some(watching));
            }
        }
        if let Some(slot) = self.slot(at) {
            (slot.watching, slot.feed, slot.fell_back) = (Some(smaller), Feed::Idle, Some(now));
        }
        self.watch(smaller);
        self.join(at);
        true
    }

    /// Where the smallest encoding sends nothing, a larger one is tried, whether or not the network is taken to carry it.
    fn give_up(&mut self, at: SlotAt, smallest: usize) {
        let until = self.now + GIVEN_UP;
        let Some(Some(viewer)) = self.viewers.get(at.place as usize) else { return };
        if viewer.slot(at.slot).is_some_and(|slot| self.is_silent(slot, smallest))
            && let Some(slot) = self.slot(at)
        {
            slot.dead = Some((smallest, until));
            self.allot(at.place);
        }
    }

    fn set_coming(&mut self, at: SlotAt, coming: Option<usize>) {
        if let Some(slot) = self.slot(at) {
            slot.coming = coming;
        }
    }

    /// The encoding that a slot waited for has a keyframe: it takes over, the slot awaiting that keyframe.
    pub(super) fn take_over(&mut self, at: SlotAt, encoding: usize) {
        let Some(slot) = self.slot(at) else { return };
        slot.coming = None;
        slot.feed = Feed::AwaitingKeyframe;
        if let Some(before) = slot.watching.replace(encoding) {
            self.unwatch(at, before);
        }
    }

    /// One slot more shows an encoding, or waits for it.
    fn watch(&mut self, encoding: usize) {
        let held = &mut self.encodings[encoding];
        held.watchers += 1;
        if held.watchers > 1 {
            return;
        }
        let was_lingering = held.lingers_until.take().is_some();
        let origin = self.cameras.get(&held.id.camera).and_then(|c| c.origin);
        if let (Some(Origin::Shard(shard)), false) = (origin, was_lingering) {
            self.subscribe(shard, encoding);
        }
        self.update_wanted(encoding);
    }

    fn unwatch(&mut self, at: SlotAt, encoding: usize) {
        self.backlog.withdraw(at, encoding);
        let linger = self.now + self.config.linger;
        let held = &mut self.encodings[encoding];
        held.live.retain(|live| *live != at);
        held.joining.retain(|joining| *joining != at);
        held.watchers -= 1;
        if held.watchers == 0 {
            held.lingers_until = Some(linger);
        }
    }

    pub(super) fn viewer_left(&mut self, place: u32, viewer: &Viewer) {
        for id in viewer.slot_ids() {
            let (at, Some(slot)) = (SlotAt { place, slot: id }, viewer.slot(id)) else { continue };
            if let Some(wish) = slot.wish {
                self.look_away(at, wish.camera);
            }
            for encoding in slot.watching.iter().chain(&slot.coming) {
                self.unwatch(at, *encoding);
            }
            self.backlog.withdraw_again(at);
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
}
