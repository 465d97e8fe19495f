//! A virtual camera, sans-IO: connects, and sends its film's frames when their time comes, over and over. Like most
//! cameras it cannot be asked for a keyframe.

use crate::client::rtcp::{self, Feedback};
use crate::client::sdp::{RID_EXTENSION, VIDEO};
use crate::client::{Client, ClientError, Progress};
use crate::measure::Measures;
use crate::profile::Film;
use crate::stamp::Stamp;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Packets of each encoding that are kept to be sent again.
const KEPT: usize = 64;
/// Ticks of the RTP clock in a second.
const RATE: u64 = 90_000;
/// Seconds from the NTP epoch to the Unix one.
const NTP_EPOCH: u64 = 2_208_988_800;

/// What a datagram led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It has sent a keyframe of each encoding since it connected.
    Publishing,
    /// The server ended the connection.
    Closed,
}

/// See the module.
pub struct Publisher {
    client: Client,
    camera: u32,
    film: Arc<Film>,
    streams: Vec<Stream>,
    is_told: bool,
}

struct Stream {
    ssrc: u32,
    sequence: u16,
    frame: u32,
    /// RTP timestamp of the first frame.
    base: u32,
    due: Instant,
    has_key: bool,
    packets: u32,
    octets: u32,
    reported: Option<Instant>,
    kept: VecDeque<(u16, Vec<u8>)>,
}

/// SSRC of the first encoding of every virtual camera; the others follow.
pub const SSRC: u32 = 0x1000;

impl Publisher {
    /// A camera of this number that got its answer. Cameras of different numbers are at different places of the film.
    pub fn new(mut client: Client, camera: u32, film: Arc<Film>, now: Instant) -> Self {
        let stream = |(n, encoding): (usize, &crate::profile::Encoding)| {
            let begin = camera.wrapping_mul(7919) % encoding.frames.len() as u32;
            let phase = encoding.frame_time * (camera % 61) / 61;
            Stream {
                ssrc: SSRC + n as u32,
                sequence: 1,
                frame: begin,
                base: camera.wrapping_mul(1_000_003),
                due: now + phase,
                has_key: false,
                packets: 0,
                octets: 0,
                reported: None,
                kept: VecDeque::with_capacity(KEPT),
            }
        };
        let streams = film.encodings.iter().enumerate().map(stream).collect();
        client.check(now);
        Self { client, camera, film, streams, is_told: false }
    }

    /// Its connection.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// When the next frame is due.
    pub fn due(&self) -> Instant {
        self.streams.iter().map(|stream| stream.due).min().expect("a film has an encoding")
    }

    /// The film goes on now: what was not sent meanwhile is not made up for.
    pub fn resume(&mut self, now: Instant) {
        let late = now.saturating_duration_since(self.due());
        self.streams.iter_mut().for_each(|stream| stream.due += late);
    }

    /// Takes a datagram.
    pub fn receive(&mut self, now: Instant, datagram: &[u8]) -> Result<Option<Event>, ClientError> {
        let is_rtcp = datagram.len() >= 8 && datagram[0] >> 6 == 2 && (192..=223).contains(&datagram[1]);
        if !is_rtcp {
            let progress = self.client.receive(now, datagram)?;
            if progress == Progress::Connected {
                self.resume(now);
            }
            return Ok((progress == Progress::Closed).then_some(Event::Closed));
        }
        let Ok(plain) = self.client.open_rtcp(datagram) else { return Ok(None) };
        for feedback in rtcp::read(&plain) {
            match feedback {
                Feedback::Nack { ssrc, sequences } => {
                    let stream = self.streams.iter().find(|stream| stream.ssrc == ssrc);
                    let kept = stream.into_iter().flat_map(|stream| &stream.kept);
                    self.client
                        .out
                        .extend(kept.filter(|(n, _)| sequences.contains(n)).map(|(_, packet)| packet.clone()));
                }
                Feedback::Bye(_) => return Ok(Some(Event::Closed)),
                Feedback::SenderReport { .. } => {}
            }
        }
        Ok(None)
    }

    /// Seals the frames that are due; `send` gets each encoding's packets of one frame.
    pub fn frames(
        &mut self,
        now: Instant,
        unix: impl Fn() -> u64,
        measures: &mut Measures,
        mut send: impl FnMut(&[Vec<u8>]),
    ) -> Option<Event> {
        if !self.client.is_connected() {
            // Not yet: the film waits.
            self.streams.iter_mut().for_each(|stream| stream.due = stream.due.max(now + Duration::from_millis(5)));
            return None;
        }
        for (n, stream) in self.streams.iter_mut().enumerate() {
            while stream.due <= now {
                let packets = stream.seal(&mut self.client, self.camera, &self.film, n, unix());
                measures.published += packets.len() as u64;
                send(&packets);
                stream.keep(packets);
            }
            stream.report(now, unix(), &mut self.client, &self.film.encodings[n]);
        }
        let is_done = self.streams.iter().all(|stream| stream.has_key);
        (is_done && !std::mem::replace(&mut self.is_told, true)).then_some(Event::Publishing)
    }
}

impl Stream {
    fn seal(&mut self, client: &mut Client, camera: u32, film: &Film, encoding: usize, unix: u64) -> Vec<Vec<u8>> {
        let is_simulcast = film.encodings.len() > 1;
        let encoding = &film.encodings[encoding];
        let frame = &encoding.frames[self.frame as usize % encoding.frames.len()];
        let stamp = Stamp { camera, frame: self.frame, rank: encoding.rank, is_key: frame.is_key, sent: unix };
        let time = self.base.wrapping_add(ticks(encoding.frame_time * self.frame));
        let count = frame.payloads.len();
        let mut packets = Vec::with_capacity(count);
        for (n, payload) in frame.payloads.iter().enumerate() {
            let is_last = n + 1 == count;
            let mut plain = Vec::with_capacity(payload.len() + 64);
            plain.extend([0x80 | u8::from(is_simulcast) << 4, VIDEO | u8::from(is_last) << 7]);
            plain.extend(self.sequence.to_be_bytes());
            plain.extend(time.to_be_bytes());
            plain.extend(self.ssrc.to_be_bytes());
            if is_simulcast {
                plain.extend([0xbe, 0xde, 0, 1, RID_EXTENSION << 4, encoding.rid.as_bytes()[0], 0, 0]);
            }
            plain.extend_from_slice(payload);
            if is_last {
                plain.extend(stamp.write());
            }
            self.sequence = self.sequence.wrapping_add(1);
            self.packets = self.packets.wrapping_add(1);
            self.octets = self.octets.wrapping_add(payload.len() as u32);
            packets.extend(client.seal_rtp(&plain).map(|sealed| sealed.to_vec()));
        }
        self.has_key |= frame.is_key;
        self.frame = self.frame.wrapping_add(1);
        self.due += encoding.frame_time;
        packets
    }

    fn keep(&mut self, packets: Vec<Vec<u8>>) {
        for packet in packets {
            if self.kept.len() == KEPT {
                self.kept.pop_front();
            }
            self.kept.push_back((u16::from_be_bytes([packet[2], packet[3]]), packet));
        }
    }

    fn report(&mut self, now: Instant, unix: u64, client: &mut Client, encoding: &crate::profile::Encoding) {
        if self.reported.is_some_and(|at| now < at + Duration::from_secs(1)) || !self.has_key {
            return;
        }
        self.reported = Some(now);
        let ntp = ((unix / 1_000_000 + NTP_EPOCH) << 32) | (((unix % 1_000_000) << 32) / 1_000_000);
        // The frame that is due next is not taken yet.
        let ahead = self.due.saturating_duration_since(now);
        let rtp = self.base.wrapping_add(ticks(encoding.frame_time * self.frame)).wrapping_sub(ticks(ahead));
        client.send_rtcp(&rtcp::sender_report(self.ssrc, ntp, rtp, self.packets, self.octets));
    }
}

/// A span of time in ticks of the RTP clock, the part that fits a timestamp.
fn ticks(span: Duration) -> u32 {
    (span.as_micros() * u128::from(RATE) / 1_000_000) as u32
}
