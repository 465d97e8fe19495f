//! From viewers: retransmissions, keyframe requests, how they receive; to viewers: sender reports.

use super::Shard;
use crate::encoding::Source;
use crate::rewrite::Place;
use crate::rtcp::{self, Feedback};
use crate::transport_feedback::TransportFeedback;
use crate::types::{ClockPair, Packet, SlotId, Ssrc};
use crate::viewer::SlotAt;
use std::time::{Duration, Instant};

/// What the reports of one datagram say of all streams together.
#[derive(Default)]
struct Received {
    /// Those that say what the viewer's network lost.
    reports: u32,
    lost: u32,
    /// The shortest.
    round_trip: Option<Duration>,
}

impl Received {
    fn add(&mut self, fraction_lost: Option<u8>, round_trip: Option<Duration>) {
        self.reports += u32::from(fraction_lost.is_some());
        self.lost += fraction_lost.map_or(0, u32::from);
        self.round_trip = self.round_trip.into_iter().chain(round_trip).min();
    }

    /// In 1/256.
    fn mean_lost(&self) -> Option<u8> {
        self.lost.checked_div(self.reports).map(|mean| mean as u8)
    }
}

impl Shard {
    /// What a viewer says, which came at `came`.
    pub(super) fn viewer_reports(&mut self, place: u32, plain: &[u8], came: Instant) {
        let mut is_more = false;
        for packet in rtcp::packets(plain) {
            match TransportFeedback::read(packet) {
                Some(told) => self.arrived(place, told),
                None => is_more = true,
            }
        }
        if !is_more {
            return;
        }
        let (mut is_answered, mut received, mut estimate) = (false, Received::default(), None);
        for feedback in rtcp::read(plain) {
            match feedback {
                Feedback::Nack { ssrc, sequences } => {
                    if let Some(at) = self.slot_of(place, ssrc) {
                        let is_holed = self.is_holed(at);
                        let now = self.now;
                        if let Some(viewer) = self.viewer(place).filter(|_| !is_holed) {
                            viewer.missed(now, sequences.len());
                        }
                        self.retransmit(at, &sequences);
                    }
                }
                Feedback::KeyframeRequest { ssrc } => {
                    self.counters.keyframe_requests_in += 1;
                    if let Some(at) = self.slot_of(place, ssrc).filter(|at| at.slot != SlotId::Audio) {
                        self.picture_lost(at);
                    }
                }
                Feedback::ReceiverReport { ssrc, fraction_lost, last_report, delay } => {
                    let is_holed = self.slot_of(place, ssrc).is_some_and(|at| self.is_holed(at));
                    let fraction_lost = Some(fraction_lost).filter(|_| !is_holed);
                    if let Some(viewer) = self.viewer(place)
                        && let Some(slot) = viewer.slot_of(ssrc)
                    {
                        let round_trip = viewer.report(came, slot, fraction_lost, last_report, delay);
                        received.add(fraction_lost, round_trip);
                    }
                }
                Feedback::Estimate(bits) => estimate = Some(bits),
                Feedback::ReferenceTime { ssrc, ntp } if !std::mem::replace(&mut is_answered, true) => {
                    if let Some(ours) = self.viewer(place).and_then(|v| v.ssrcs().first().copied()) {
                        self.send_rtcp(place, &rtcp::reference_time_answer(ours, ssrc, ntp, self.now - came));
                    }
                }
                _ => {}
            }
        }
        let now = self.now;
        if self.viewer(place).is_some_and(|viewer| viewer.received(now, received.mean_lost(), received.round_trip)) {
            self.allot(place);
        }
        if let Some(estimate) = estimate {
            self.estimated(place, estimate);
        }
    }

    /// What a viewer says that it can take, in bit/s; of several in one datagram the last one counts.
    fn estimated(&mut self, place: u32, estimate: u64) {
        let now = self.now;
        let Some(viewer) = self.viewer(place) else { return };
        let is_other = viewer.estimate(now, estimate);
        let (rate, sent) = (viewer.bandwidth.rate(), viewer.sent());
        tracing::trace!(place, estimate, rate, sent, "estimate");
        if is_other {
            self.allot(place);
        }
        self.probe(place);
    }

    /// What a viewer tells of how packets arrive.
    fn arrived(&mut self, place: u32, told: TransportFeedback<'_>) {
        let now = self.now;
        let Some(viewer) = self.viewer(place) else { return };
        let Some((estimate, is_other)) = viewer.arrived(now, told) else { return };
        let (rate, sent) = (viewer.bandwidth.rate(), viewer.sent());
        tracing::trace!(place, estimate, rate, sent, "estimate");
        if is_other {
            self.allot(place);
        }
        self.probe(place);
    }

    /// Whether what is missed in a slot may have been lost before it came here: that says nothing of the viewer's network.
    fn is_holed(&mut self, at: SlotAt) -> bool {
        let now = self.now;
        let watching = self.slot(at).and_then(|slot| slot.watching);
        watching.is_some_and(|encoding| self.encodings[encoding].is_holed(now))
    }

    fn slot_of(&mut self, place: u32, ssrc: Ssrc) -> Option<SlotAt> {
        let slot = self.viewer(place)?.slot_of(ssrc)?;
        Some(SlotAt { place, slot })
    }

    /// The publisher is asked only where the cache cannot help: its keyframe would cost everybody.
    fn picture_lost(&mut self, at: SlotAt) {
        if let Some(encoding) = self.slot(at).and_then(|slot| slot.watching)
            && !self.rejoin(at, encoding)
        {
            self.request_keyframe(encoding);
        }
    }

    fn retransmit(&mut self, at: SlotAt, sequences: &[u16]) {
        let now = self.now;
        let mut found: Vec<(Packet, Place)> = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            self.counters.nacks_in += 1;
            let Some(viewer) = self.viewer(at.place) else { return };
            let is_allowed = viewer.may_retransmit(now);
            match is_allowed.then(|| self.sent(at, *sequence)).flatten() {
                Some(packet) => found.push(packet),
                None => self.counters.nacks_unanswered += 1,
            }
        }
        if !found.is_empty() {
            self.backlog.push_again(now, at, found);
        }
    }

    /// What was sent in a slot under this sequence number, if it is still held, and of use where the network is small.
    pub(super) fn sent(&self, at: SlotAt, sequence: u16) -> Option<(Packet, Place)> {
        let viewer = self.viewers.get(at.place as usize)?.as_ref()?;
        let rewriter = &viewer.slot(at.slot)?.rewriter;
        let (Source { encoding, up_to }, number, times) = rewriter.resolve(sequence)?;
        if viewer.is_tight() && rewriter.source().is_none_or(|present| present.encoding != encoding) {
            return None;
        }
        let held = self.encodings.get(encoding.place).filter(|e| e.at == encoding)?;
        let packet = held.ring.numbered(number, up_to)?;
        let packet = Packet { payload: packet.payload.slice_ref(packet.shown(up_to)), ..packet.clone() };
        let time = times.map(packet.time);
        Some((packet, Place { sequence: u64::from(sequence), time }))
    }

    /// Tells a viewer the publishers' clocks in its own timestamps. Their NTP times are the publishers', as of now: the
    /// receiver takes them for the time of sending.
    pub(super) fn send_sender_reports(&mut self, place: u32) {
        let now = self.now;
        let Some(viewer) = self.viewer(place) else { return };
        let slots = viewer.slot_ids();
        let mut reports = Vec::new();
        for id in slots {
            let Some(slot) = self.viewer(place).and_then(|v| v.slot(id)) else { continue };
            let (source, watching, out) = (slot.rewriter.source(), slot.watching, &slot.out);
            let (ssrc, packets, octets) = (out.ssrc(), out.packets as u32, out.octets as u32);
            // While a slot waits for another encoding, its timestamps are still those of the former one.
            let shown = watching
                .map(|encoding| &self.encodings[encoding])
                .filter(|e| source.is_some_and(|source| source.encoding == e.at));
            let Some(clock) = shown.and_then(|encoding| encoding.clock.as_ref()).map(|clock| clock.at(now)) else {
                continue;
            };
            let Some(slot) = self.viewer(place).and_then(|v| v.slot_mut(id)) else { continue };
            let Some(rtp) = slot.rewriter.map_time(clock.rtp) else { continue };
            slot.reports.sent(clock.ntp, now);
            reports.extend(rtcp::sender_report(ssrc, ClockPair { ntp: clock.ntp, rtp }, packets, octets));
        }
        if !reports.is_empty() {
            self.send_rtcp(place, &reports);
        }
    }
}
