//! From viewers: retransmissions, keyframe requests; to viewers: sender reports.

use super::Shard;
use super::drain::Job;
use crate::fanout::Outbound;
use crate::rewrite::Place;
use crate::rtcp::{self, Feedback};
use crate::types::{ClockPair, Packet, Ssrc};

impl Shard {
    pub(super) fn viewer_reports(&mut self, place: u32, plain: &[u8]) {
        let mut is_answered = false;
        for feedback in rtcp::read(plain) {
            match feedback {
                Feedback::Nack { ssrc, sequences } if self.sends(place, ssrc) => self.retransmit(place, &sequences),
                Feedback::KeyframeRequest => {
                    self.counters.keyframe_requests_in += 1;
                    if let Some(slot) = self.viewer(place).and_then(|v| v.watching) {
                        // The publisher is asked only where the cache cannot help: its keyframe would cost everybody.
                        if !self.rejoin(place, slot) {
                            self.request_keyframe(slot);
                        }
                    }
                }
                Feedback::ReferenceTime { ssrc, ntp } if !std::mem::replace(&mut is_answered, true) => {
                    if let Some(ours) = self.viewer(place).and_then(|v| v.out.as_ref()).map(Outbound::ssrc) {
                        self.send_rtcp(place, &rtcp::reference_time_answer(ours, ssrc, ntp));
                    }
                }
                _ => {}
            }
        }
    }

    fn sends(&mut self, place: u32, ssrc: Ssrc) -> bool {
        self.viewer(place).and_then(|v| v.out.as_ref()).is_some_and(|out| out.ssrc() == ssrc)
    }

    fn retransmit(&mut self, place: u32, sequences: &[u16]) {
        let now = self.now;
        let mut found: Vec<(Packet, Place)> = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            self.counters.nacks_in += 1;
            let Some(viewer) = self.viewer(place) else { return };
            let resolved = if viewer.may_retransmit(now) { viewer.rewriter.resolve(*sequence) } else { None };
            let packet = resolved.and_then(|(slot, index, time_offset)| {
                let packet = self.encodings.get(slot)?.ring.packet(index)?.clone();
                let time = packet.time.wrapping_add(time_offset);
                Some((packet, Place { sequence: u64::from(*sequence), time }))
            });
            match packet {
                Some(packet) => found.push(packet),
                None => self.counters.nacks_unanswered += 1,
            }
        }
        if !found.is_empty() {
            self.jobs.push_back(Job::again(place, found));
        }
    }

    /// Tells a viewer the publisher's clock in the viewer's own timestamps. Its NTP time is the publisher's, as of now:
    /// the receiver takes it for the time of sending.
    pub(super) fn send_sender_report(&mut self, place: u32) {
        let now = self.now;
        let Some(viewer) = self.viewer(place) else { return };
        let Some(slot) = viewer.watching else { return };
        viewer.reported_at = Some(now);
        let Some(clock) = self.encodings[slot].clock.as_ref().map(|clock| clock.at(now)) else { return };
        let Some(viewer) = self.viewer(place) else { return };
        let (Some(rtp), Some(out)) = (viewer.rewriter.map_time(clock.rtp), viewer.out.as_ref()) else { return };
        let pair = ClockPair { ntp: clock.ntp, rtp };
        let report = rtcp::sender_report(out.ssrc(), pair, out.packets as u32, out.octets as u32);
        self.send_rtcp(place, &report);
    }
}
