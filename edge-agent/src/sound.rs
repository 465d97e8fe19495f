//! A camera's sound, from the tasks that pull it to the task that sends it.
//!
//! Invariant: nothing is transcoded; a [`Packet`]'s payload is at most [`MAX_PAYLOAD`] bytes; at any time a
//! [`SoundFeed`] carries the sound of one stream only, and the larger stream's where both have it.

use crate::{packetize::MAX_PAYLOAD, timeline::Timeline};
use bytes::Bytes;
use std::{
    num::NonZeroU16,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::broadcast;

/// Packets that a slow listener may be behind before some are left out: 2 s of 20 ms each.
const BACKLOG: usize = 100;
/// A stream whose sound has been silent for this long lets another one's through.
const SILENCE: Duration = Duration::from_secs(2);
/// Length of an Opus packet where nothing says otherwise (RFC 7587, section 4.2).
const OPUS_PACKET_MICROS: u64 = 20_000;

/// A sound codec that browsers play (RFC 7874).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// G.711 A-law: 8,000 bytes a second.
    Pcma,
    /// G.711 mu-law: 8,000 bytes a second.
    Pcmu,
    /// Opus; its RTP clock is 48 kHz whatever it codes (RFC 7587, section 4.1).
    Opus,
}

impl Codec {
    /// All of them, best first.
    pub const ALL: [Self; 3] = [Self::Opus, Self::Pcmu, Self::Pcma];

    /// The codec of an RTP stream, by its encoding name, clock rate in Hz and channels (`a=rtpmap`), if it is one that
    /// can be sent on as it is.
    pub fn of_rtp(name: &str, clock_rate: u32, channels: Option<NonZeroU16>) -> Option<Self> {
        let is_mono = channels.is_none_or(|c| c.get() == 1);
        let codec = Self::ALL.into_iter().find(|c| c.name().eq_ignore_ascii_case(name))?;
        (codec.clock_rate() == clock_rate && (codec == Self::Opus || is_mono)).then_some(codec)
    }

    /// Its encoding name in RTP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcma => "PCMA",
            Self::Pcmu => "PCMU",
            Self::Opus => "opus",
        }
    }

    /// RTP ticks in a second.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Pcma | Self::Pcmu => 8000,
            Self::Opus => 48_000,
        }
    }

    /// How long a payload sounds, in microseconds.
    fn duration_micros(self, payload: &[u8]) -> u64 {
        match self {
            Self::Pcma | Self::Pcmu => payload.len() as u64 * 125,
            Self::Opus => OPUS_PACKET_MICROS,
        }
    }
}

/// One RTP payload of sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// How it is coded.
    pub codec: Codec,
    /// As the camera sent it.
    pub payload: Bytes,
    /// Its time on the stream's continuous clock, in ticks of the codec's rate.
    pub ticks: u64,
    /// When its first sample was captured, by the edge's clock, in microseconds since the Unix epoch.
    pub captured_micros: u64,
    /// The stream it comes from: 0 for the largest.
    pub stream: usize,
}

/// A camera's RTP packets of sound to packets on a continuous clock.
#[derive(Debug)]
pub struct Recorder {
    codec: Codec,
    stream: usize,
    timeline: Timeline,
}

impl Recorder {
    /// For the sound of one stream.
    pub fn new(codec: Codec, stream: usize) -> Self {
        Self { codec, stream, timeline: Timeline::of_rate(codec.clock_rate()) }
    }

    /// Its codec.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The connection to the camera ended.
    pub fn end_epoch(&mut self) {
        self.timeline.end_epoch();
    }

    /// The packets to send for one that came: its RTP timestamp, when it came on a monotonic clock, and by the wall
    /// clock in microseconds since the Unix epoch. `captured` is asked for a better estimate of the capture time, given
    /// the one by arrival. An Opus packet that is too long cannot be split, and is left out.
    pub fn record(
        &mut self,
        payload: &Bytes,
        camera: u32,
        arrival: Duration,
        arrived_micros: u64,
        captured: impl FnOnce(u64) -> u64,
    ) -> Vec<Packet> {
        if payload.is_empty() || (self.codec == Codec::Opus && payload.len() > MAX_PAYLOAD) {
            return Vec::new();
        }
        let ticks = self.timeline.ticks(camera, arrival);
        // It is sent when its last sample is captured.
        let began = arrived_micros.saturating_sub(self.codec.duration_micros(payload));
        let captured = captured(self.timeline.captured(ticks, began));
        let parts = (0..payload.len()).step_by(MAX_PAYLOAD).map(|at| {
            let part = payload.slice(at..payload.len().min(at + MAX_PAYLOAD));
            Packet {
                codec: self.codec,
                payload: part,
                // Only G.711 is ever split: a byte is a sample.
                ticks: ticks + at as u64,
                captured_micros: captured + at as u64 * 125,
                stream: self.stream,
            }
        });
        parts.collect()
    }
}

/// Where a camera's sound goes.
#[derive(Clone, Debug)]
pub struct SoundFeed {
    live: broadcast::Sender<Arc<Packet>>,
    /// The stream whose sound is let through, and when it last came.
    source: Arc<Mutex<Option<(usize, Instant)>>>,
}

/// The sound of a camera from now on.
#[derive(Debug)]
pub struct Listener(broadcast::Receiver<Arc<Packet>>);

impl Default for SoundFeed {
    fn default() -> Self {
        Self { live: broadcast::Sender::new(BACKLOG), source: Arc::default() }
    }
}

impl SoundFeed {
    /// The next packet of a stream; left out while a larger stream has sound.
    pub fn push(&self, packet: Packet) {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if source.is_some_and(|(stream, at)| stream < packet.stream && now - at < SILENCE) {
            return;
        }
        *source = Some((packet.stream, now));
        drop(source);
        // Nobody listening is no error.
        let _ = self.live.send(Arc::new(packet));
    }

    /// Whether anybody listens.
    pub fn is_heard(&self) -> bool {
        self.live.receiver_count() > 0
    }

    /// What comes from now on.
    pub fn listen(&self) -> Listener {
        Listener(self.live.subscribe())
    }
}

impl Listener {
    /// The next packet; what a slow listener missed is left out. `None` when the feed is gone.
    pub async fn next(&mut self) -> Option<Arc<Packet>> {
        loop {
            match self.0.recv().await {
                Ok(packet) => return Some(packet),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
