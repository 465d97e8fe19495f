//! A virtual viewer, sans-IO: connects, receives its slots, asks for what is missing, reports as a browser does.

use crate::arrivals::Arrivals;
use crate::client::rtcp::{self, Feedback};
use crate::client::{Client, ClientError, Progress};
use crate::measure::Measures;
use crate::profile::FILL;
use crate::reception::{Arrival, Reception};
use crate::stamp::{self, Stamp};
use std::time::{Duration, Instant};

/// How much faster than what comes a browser says it could receive, at most; and how fast it says more.
const REMB_ABOVE_RECEIVED: f64 = 1.5;
const REMB_GROWTH: f64 = 1.08;
/// On a network that is not full a browser says nothing for so long from its first packet on, and then what it receives.
const REMB_AFTER: Duration = Duration::from_secs(5);
/// One packet in so many is opened and checked, whatever it carries.
const CHECKED: u64 = 100;
/// The shortest time between two requests for a keyframe.
const KEYFRAME_AGAIN: Duration = Duration::from_secs(1);
/// Length of an RTP header without extensions or sources, in bytes.
const FIXED_HEADER: usize = 12;

/// When a join reached which step.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    /// The call with the offer began.
    pub called: Instant,
    /// The same, in Unix microseconds.
    pub unix: u64,
    /// The answer was there.
    pub answered: Instant,
}

/// What a datagram led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first complete keyframe: the join is done.
    Playing,
    /// The server ended the connection.
    Closed,
}

/// See the module.
pub struct Viewer {
    client: Client,
    slots: Vec<Reception>,
    /// SSRCs of the slots' retransmissions.
    rtx: Vec<Option<u32>>,
    begun: Begun,
    checked: Option<Instant>,
    /// Since when media comes.
    media_since: Option<Instant>,
    is_playing: bool,
    /// What made payloads hold is known, and checked.
    is_made: bool,
    received: u64,
    bytes: u64,
    bytes_before: u64,
    /// What it said last that it can receive, in bit/s.
    remb: Option<f64>,
    /// Where it is to tell when packets come.
    arrivals: Option<Arrivals>,
    asked_for_keyframe: Option<Instant>,
}

impl Viewer {
    /// A viewer that got its answer. `cameras` are what its slots are to show.
    pub fn new(client: Client, cameras: &[u32], begun: Begun, is_made: bool, now: Instant) -> Self {
        let streams = client.answer().streams.clone();
        let wished = cameras.iter().copied().map(Some).chain(std::iter::repeat(None));
        let slots = streams
            .iter()
            .zip(wished)
            .map(|((ssrc, _), camera)| Reception::new(*ssrc, camera, begun.called, begun.unix))
            .collect();
        let arrivals = client.answer().is_numbered.then(|| Arrivals::new(now));
        let mut viewer = Self {
            client,
            slots,
            rtx: streams.into_iter().map(|(_, rtx)| rtx).collect(),
            begun,
            checked: None,
            media_since: None,
            is_playing: false,
            is_made,
            received: 0,
            bytes: 0,
            bytes_before: 0,
            remb: None,
            arrivals,
            asked_for_keyframe: None,
        };
        viewer.client.check(now);
        viewer
    }

    /// Its connection.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Whether it has a picture.
    pub fn is_playing(&self) -> bool {
        self.is_playing
    }

    /// Whether something is to be done within milliseconds: the handshake, or packets that are missing.
    pub fn is_restless(&self) -> bool {
        !self.client.is_connected() || self.slots.iter().any(Reception::is_missing)
    }

    /// One of its slots is to show another camera, asked for at `at`.
    pub fn switch(&mut self, slot: usize, camera: u32, at: Instant, unix: u64, measures: &mut Measures) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.switch(camera, at, unix);
            measures.switches += 1;
        }
    }

    /// Takes a datagram that came at `unix` microseconds.
    pub fn receive(
        &mut self,
        now: Instant,
        unix: u64,
        datagram: &[u8],
        measures: &mut Measures,
    ) -> Result<Option<Event>, ClientError> {
        measures.bytes += datagram.len() as u64;
        self.bytes += datagram.len() as u64;
        if datagram.len() >= FIXED_HEADER && datagram[0] >> 6 == 2 {
            let is_rtcp = (192..=223).contains(&datagram[1]);
            return Ok(if is_rtcp {
                self.receive_rtcp(now, datagram)
            } else {
                self.receive_rtp(now, unix, datagram, measures)
            });
        }
        match self.client.receive(now, datagram)? {
            Progress::Checked => {
                self.checked = Some(now);
                measures.ice.record_time(now.saturating_duration_since(self.begun.answered));
            }
            Progress::Connected => {
                let since = self.checked.unwrap_or(self.begun.answered);
                measures.dtls.record_time(now.saturating_duration_since(since));
                self.report(now, measures);
                // Who is to be shown nothing has all it came for.
                if !self.slots.iter().any(Reception::is_wished) {
                    self.is_playing = true;
                    measures.joined += 1;
                    return Ok(Some(Event::Playing));
                }
            }
            Progress::Closed => return Ok(Some(Event::Closed)),
            Progress::Same => {}
        }
        Ok(None)
    }

    fn receive_rtp(&mut self, now: Instant, unix: u64, packet: &[u8], measures: &mut Measures) -> Option<Event> {
        let word = |at: usize| u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
        let ssrc = word(8);
        let mut arrival = Arrival {
            at: now,
            unix,
            sequence: u16::from_be_bytes([packet[2], packet[3]]),
            time: word(4),
            marker: packet[1] & 0x80 != 0,
        };
        self.received += 1;
        if let Some(feedback) = self.arrivals.as_mut().and_then(|arrivals| arrivals.note(now, packet, ssrc)) {
            self.client.send_rtcp(&feedback);
        }
        let outcome = if let Some(at) = self.slots.iter().position(|slot| slot.ssrc() == ssrc) {
            let is_wanted = self.slots[at].wants(&arrival);
            let stamp =
                if is_wanted || self.received.is_multiple_of(CHECKED) { self.open(packet, measures) } else { None };
            self.slots[at].receive(&arrival, stamp, measures)
        } else {
            let at = self.rtx.iter().position(|rtx| *rtx == Some(ssrc))?;
            let plain = self.client.open_rtp(packet).ok()?;
            measures.opened += 1;
            let payload = payload(&plain)?;
            arrival.sequence = u16::from_be_bytes([*payload.first()?, *payload.get(1)?]);
            self.slots[at].repair(&arrival, Stamp::read(payload), measures)
        };
        if outcome.is_first && self.media_since.is_none() {
            self.media_since = Some(now);
            measures.first_packet.record_time(now.saturating_duration_since(self.begun.called));
        }
        if outcome.begins && !std::mem::replace(&mut self.is_playing, true) {
            measures.joined += 1;
            measures.first_keyframe.record_time(now.saturating_duration_since(self.begun.called));
            return Some(Event::Playing);
        }
        None
    }

    /// Opens a packet, checks it, and reads its stamp where it has one.
    fn open(&mut self, packet: &[u8], measures: &mut Measures) -> Option<Stamp> {
        measures.opened += 1;
        let Ok(plain) = self.client.open_rtp(packet) else {
            tracing::debug!(sequence = ?packet.get(2..4), "a packet does not authenticate");
            measures.wrong += 1;
            return None;
        };
        let payload = payload(&plain)?;
        let stamp = Stamp::read(payload);
        let filled = payload.len() - stamp.map_or(0, |_| stamp::SIZE);
        let is_sound = payload.get(2..filled).is_some_and(|rest| rest.iter().all(|byte| *byte == FILL));
        if self.is_made && !is_sound {
            tracing::debug!(?stamp, len = payload.len(), "a packet holds something else than was sent");
            measures.wrong += 1;
        }
        stamp
    }

    fn receive_rtcp(&mut self, now: Instant, datagram: &[u8]) -> Option<Event> {
        let plain = self.client.open_rtcp(datagram).ok()?;
        for feedback in rtcp::read(&plain) {
            match feedback {
                Feedback::SenderReport { ssrc, ntp } => {
                    if let Some(slot) = self.slots.iter_mut().find(|slot| slot.ssrc() == ssrc) {
                        slot.sender_report(now, ntp);
                    }
                }
                Feedback::Bye(_) => return Some(Event::Closed),
                Feedback::Nack { .. } => {}
            }
        }
        None
    }

    /// Every 20 ms while it is restless.
    pub fn handle_timeout(&mut self, now: Instant, measures: &mut Measures) {
        self.client.handle_timeout(now);
        for slot in &mut self.slots {
            let missing = slot.nack(now, measures);
            if !missing.is_empty() {
                self.client.send_rtcp(&rtcp::nack(slot.ssrc(), &missing));
            }
        }
        let may_ask = self.asked_for_keyframe.is_none_or(|at| now >= at + KEYFRAME_AGAIN);
        if let Some(slot) = self.slots.iter().find(|slot| slot.needs_keyframe()).filter(|_| may_ask) {
            self.asked_for_keyframe = Some(now);
            self.client.send_rtcp(&rtcp::picture_loss(slot.ssrc()));
        }
    }

    /// Once a second: keeps the connection, reports.
    pub fn visit(&mut self, now: Instant, measures: &mut Measures) {
        self.handle_timeout(now, measures);
        if self.client.is_connected() {
            self.report(now, measures);
        }
    }

    fn report(&mut self, now: Instant, measures: &mut Measures) {
        let reports: Vec<_> = self.slots.iter_mut().filter_map(|slot| slot.report(now, measures)).collect();
        let received = (self.bytes - std::mem::replace(&mut self.bytes_before, self.bytes)) as f64 * 8.0;
        let may_tell = self.media_since.is_some_and(|since| now >= since + REMB_AFTER);
        let estimate = if may_tell && received > 0.0 && !reports.is_empty() && self.arrivals.is_none() {
            let grown = |last: f64| last.max((last * REMB_GROWTH).min(received * REMB_ABOVE_RECEIVED));
            let remb = self.remb.map_or(received, grown);
            self.remb = Some(remb);
            measures.remb_kbps.record((remb / 1000.0) as u64);
            Some(remb as f32)
        } else {
            None
        };
        self.client.send_rtcp(&rtcp::receiver_report(&reports, estimate));
    }
}

/// The payload of a plain RTP packet of ours or a server's: past sources and header extensions (RFC 3550, section 5).
fn payload(plain: &[u8]) -> Option<&[u8]> {
    let mut at = FIXED_HEADER + 4 * usize::from(plain.first()? & 0x0f);
    if plain[0] & 0x10 != 0 {
        let words = usize::from(u16::from_be_bytes([*plain.get(at + 2)?, *plain.get(at + 3)?]));
        at += 4 + 4 * words;
    }
    plain.get(at..)
}
