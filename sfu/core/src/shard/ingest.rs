//! From publishers: packets into encodings, sender reports into clocks; requests to publishers.

use super::{Notice, Origin, Role, Shard, ShardMessage};
use crate::h264;
use crate::publisher::{Accepted, Dropped, Publisher};
use crate::rtcp::{self, Feedback};
use crate::source::Received;
use crate::types::{Clock, EncodingId, Layer, Packet, Ssrc, Standing, Track};
use bytes::Bytes;
use std::time::Duration;

/// The shortest time between two beginnings of one encoding.
const RESTART_INTERVAL: Duration = Duration::from_millis(500);
/// Most reports on arrivals that one publisher gets at a time: numbers that are made up may want more.
const MAX_REPORTS: usize = 8;
/// Distance of indices between the end of a publisher's stream and the beginning of its next.
const RESTART_GAP: u64 = 65_536;

impl Shard {
    fn publisher(&mut self, place: u32) -> Option<&mut Publisher> {
        match &mut self.peer_mut(place)?.role {
            Role::Publisher(publisher) => Some(publisher),
            Role::Viewer => None,
        }
    }

    pub(super) fn ingest(&mut self, place: u32, plain: &Bytes) {
        self.counters.packets_in += 1;
        let (now, origin) = (self.now, self.origin);
        let Some(publisher) = self.publisher(place) else { return };
        let camera = publisher.camera;
        let accepted = match publisher.receive(now, origin, plain) {
            Ok(accepted) => accepted,
            Err(Dropped::Probe) => return,
            Err(dropped) => {
                self.counters.refused_rtp += 1;
                tracing::trace!(place, ?dropped, "packet dropped");
                return;
            }
        };
        let is_origin = self.cameras.get(&camera).is_some_and(|c| c.origin == Some(Origin::Here(place)));
        if let (true, Some(slot)) = (is_origin, self.encoding_slots.get(&EncodingId { camera, track: accepted.track }))
        {
            self.store(place, *slot, accepted);
        }
    }

    fn store(&mut self, place: u32, slot: usize, accepted: Accepted) {
        let (extended, restarts) = match accepted.received {
            Received::InOrder(n) | Received::Late(n) => (n, false),
            Received::Restarted(n) => (n, true),
        };
        let is_pending = self.publisher(place).and_then(|p| p.stream(accepted.ssrc)).is_some_and(|s| s.restarts);
        let restarts = restarts || is_pending;
        if restarts && !self.may_restart(place, slot, accepted.ssrc) {
            return;
        }
        if restarts {
            self.restarted(slot);
            let encoding = &self.encodings[slot];
            let next = encoding.passed_on.max(encoding.ring.end()) + RESTART_GAP;
            let (id, subscribers) = (encoding.id, encoding.subscribers.clone());
            let from = self.config.shard;
            for shard in subscribers {
                self.tell(shard, ShardMessage::Restarted { encoding: id, from });
            }
            if let Some(stream) = self.publisher(place).and_then(|p| p.stream(accepted.ssrc)) {
                stream.offset = next.wrapping_sub(extended);
            }
        }
        let Some(offset) = self.publisher(place).and_then(|p| p.stream(accepted.ssrc)).map(|s| s.offset) else {
            return;
        };
        // One without payload, which probes the way, is passed on as well: left out, it would be missed.
        let encoding = &mut self.encodings[slot];
        let index = extended.wrapping_add(offset);
        let Accepted { time, marker, codec, payload, track, .. } = accepted;
        let (starts_gop, layer) = match track {
            Track::Audio => (true, Layer::BASE),
            Track::Video(_) => {
                // The first packet of a picture that starts a GOP, also where a later one came before it.
                let is_begun = encoding.ring.gop_start().is_some_and(|gop| gop.time == time && gop.index < index);
                let starts_gop = h264::start(&payload) != h264::Start::Other && !is_begun;
                (starts_gop, encoding.layers.read(time, marker, &payload))
            }
        };
        let standing = Standing::default();
        let packet = Packet { index, time, marker, starts_gop, codec, layer, payload, standing };
        if encoding.gather(self.now, packet) {
            self.pass_on(slot);
        } else if let Some(due) = self.encodings[slot].due() {
            self.gathering.insert(slot, due);
        }
    }

    /// Whether a stream may begin anew now: it costs every viewer its picture, so once in [`RESTART_INTERVAL`]. Until then
    /// its packets are dropped.
    fn may_restart(&mut self, place: u32, slot: usize, ssrc: Ssrc) -> bool {
        let now = self.now;
        let encoding = &mut self.encodings[slot];
        let may = encoding.restarted.is_none_or(|at| now >= at + RESTART_INTERVAL);
        if may {
            encoding.restarted = Some(now);
        }
        if let Some(stream) = self.publisher(place).and_then(|p| p.stream(ssrc)) {
            stream.restarts = !may;
        }
        may
    }

    pub(super) fn publisher_reports(&mut self, place: u32, plain: &[u8]) {
        let now = self.now;
        for feedback in rtcp::read(plain) {
            let Some(publisher) = self.publisher(place) else { return };
            match feedback {
                Feedback::SenderReport { ssrc, pair } => {
                    let camera = publisher.camera;
                    let is_origin = self.cameras.get(&camera).is_some_and(|c| c.origin == Some(Origin::Here(place)));
                    let stream = self.publisher(place).filter(|_| is_origin).and_then(|p| p.stream(ssrc));
                    let Some(stream) = stream else { continue };
                    stream.source.sender_report(now, pair);
                    let (id, rate) = (EncodingId { camera, track: stream.track }, stream.codec.clock_rate());
                    let Some(slot) = self.encoding_slots.get(&id) else { continue };
                    let encoding = &mut self.encodings[*slot];
                    let clock = Clock { pair, came: now, rate };
                    encoding.clock = Some(clock);
                    let from = self.config.shard;
                    for shard in encoding.subscribers.clone() {
                        self.tell(shard, ShardMessage::Clock { encoding: id, from, clock });
                    }
                }
                Feedback::Bye(gone) => self.publisher_stops(place, &gone),
                _ => {}
            }
        }
    }

    /// A publisher says good-bye to some of its streams: it may have to hold an encoding back, or leaves.
    fn publisher_stops(&mut self, place: u32, gone: &[Ssrc]) {
        let Some(publisher) = self.publisher(place) else { return };
        let camera = publisher.camera;
        let over = publisher.streams().filter(|(ssrc, _)| gone.contains(ssrc));
        let tracks: Vec<Track> = over.map(|(_, stream)| stream.track).collect();
        publisher.forget(gone);
        if self.cameras.get(&camera).is_none_or(|c| c.origin != Some(Origin::Here(place))) {
            return;
        }
        for track in tracks {
            let id = EncodingId { camera, track };
            let Some(slot) = self.encoding_slots.get(&id).copied() else { continue };
            let from = self.config.shard;
            self.pass_on(slot);
            for shard in self.encodings[slot].subscribers.clone() {
                self.tell(shard, ShardMessage::Stopped { encoding: id, from });
            }
            self.stopped(slot);
        }
    }

    /// Tells a publisher when its packets arrived, where it is time.
    pub(super) fn report_arrivals(&mut self, place: u32) {
        let now = self.now;
        for _ in 0..MAX_REPORTS {
            let Some(publisher) = self.publisher(place) else { return };
            let ours = publisher.ssrc;
            // Of any stream of the connection: browsers take no report that names none of theirs.
            let Some(media) = publisher.streams().map(|(ssrc, _)| ssrc).next() else { return };
            let Some(report) = publisher.arrivals.as_mut().and_then(|arrivals| arrivals.report(now)) else { return };
            self.send_rtcp(place, &rtcp::arrivals(ours, media, &report));
        }
    }

    /// Asks a publisher for the packets that it misses, where it is time.
    pub(super) fn ask_for_missing(&mut self, place: u32) {
        let now = self.now;
        let Some(publisher) = self.publisher(place) else { return };
        let ours = publisher.ssrc;
        let asks = publisher.streams().map(|(ssrc, stream)| (ssrc, stream.source.nack(now)));
        let asks: Vec<_> = asks.filter(|(_, missing)| !missing.is_empty()).collect();
        for (ssrc, missing) in asks {
            self.counters.nacks_out += missing.len() as u64;
            self.send_rtcp(place, &rtcp::nack(ours, ssrc, &missing));
        }
    }

    /// Reports to a publisher how its streams arrive.
    pub(super) fn report_reception(&mut self, place: u32) {
        let now = self.now;
        let Some(publisher) = self.publisher(place) else { return };
        let ours = publisher.ssrc;
        let blocks: Vec<_> =
            publisher.streams().filter_map(|(ssrc, stream)| Some((ssrc, stream.source.reception(now)?))).collect();
        self.send_rtcp(place, &rtcp::receiver_report(ours, &blocks));
    }

    /// Somebody needs a keyframe of an encoding.
    pub(super) fn request_keyframe(&mut self, slot: usize) {
        if self.encodings[slot].arbiter.request(self.now) {
            self.ask_for_keyframe(slot);
        }
    }

    /// Asks the publisher, or the shard that it is connected to.
    pub(super) fn ask_for_keyframe(&mut self, slot: usize) {
        let encoding = self.encodings[slot].id;
        if encoding.track == Track::Audio {
            return;
        }
        match self.cameras.get(&encoding.camera).and_then(|c| c.origin) {
            Some(Origin::Here(place)) => self.send_picture_loss(place, encoding.track),
            Some(Origin::Shard(shard)) => self.tell(shard, ShardMessage::KeyframeRequest { encoding }),
            None => {}
        }
    }

    fn send_picture_loss(&mut self, place: u32, track: Track) {
        let Some(publisher) = self.publisher(place) else { return };
        let ours = publisher.ssrc;
        if let Some((media, _)) = publisher.media_of(track) {
            self.counters.keyframe_requests_out += 1;
            self.send_rtcp(place, &rtcp::picture_loss(ours, media));
        }
    }

    /// Says whether an encoding is wanted, where that has changed.
    pub(super) fn update_wanted(&mut self, slot: usize) {
        let encoding = &self.encodings[slot];
        let origin = self.cameras.get(&encoding.id.camera).and_then(|c| c.origin);
        let is_here = matches!(origin, Some(Origin::Here(_)));
        let is_wanted = is_here && (encoding.is_watched() || !encoding.subscribers.is_empty());
        if is_wanted != encoding.is_wanted {
            let id = encoding.id;
            self.encodings[slot].is_wanted = is_wanted;
            self.notify(Notice::Wanted(id, is_wanted));
        }
    }
}
