//! Sends a camera's sound over one peer connection while it is wanted.
//!
//! Invariant: sound that the node did not agree to is not sent; RTP timestamps do not go back while the codec stays.

use super::{
    Sending,
    peer::SoundTrack,
    stream::{RtpStream, Stopped},
};
use crate::{
    backoff::random_u32,
    sound::{Codec, Listener, Packet, SoundFeed},
};
use std::time::Duration;
use tokio::{sync::watch, time::Instant};

/// A step of a stream's clock that is taken for silence; a longer one, or one back, begins its clock anew.
const LONGEST_STEP: Duration = Duration::from_secs(10);

/// The state of the sound's RTP stream.
pub(super) struct SoundSender {
    payload_types: Vec<(Codec, u8)>,
    stream: RtpStream,
    clock: Option<Clock>,
}

/// How a camera's clock becomes the RTP stream's.
struct Clock {
    codec: Codec,
    source: usize,
    /// RTP timestamp minus ticks.
    offset: u64,
    ticks: u64,
    at: Instant,
}

impl SoundSender {
    /// A stream that has sent nothing.
    pub(super) fn new(track: SoundTrack) -> Self {
        Self { payload_types: track.payload_types, stream: RtpStream::new(track.outbound), clock: None }
    }

    /// Sends whenever the sound is wanted, until the connection is gone.
    pub(super) async fn run(mut self, feed: SoundFeed, mut sending: watch::Receiver<Sending>) -> Result<(), Stopped> {
        while sending.wait_for(Sending::audio).await.is_ok() {
            tracing::debug!("sound starts");
            let ended = tokio::select! {
                sent = self.follow(feed.listen()) => sent,
                _ = sending.wait_for(|s| !s.audio()) => Ok(()),
            };
            tracing::debug!("sound pauses");
            ended?;
        }
        Ok(())
    }

    async fn follow(&mut self, mut sound: Listener) -> Result<(), Stopped> {
        // The marker bit is on the first packet after silence (RFC 3551, section 4.1).
        let mut is_first = true;
        self.stream.expect_report();
        while let Some(packet) = sound.next().await {
            let payload_type = self.payload_types.iter().find(|(codec, _)| *codec == packet.codec);
            let Some((_, payload_type)) = payload_type else { continue };
            self.stream.set_payload_type(*payload_type);
            let timestamp = self.timestamp(&packet);
            let marker = std::mem::take(&mut is_first);
            self.stream.send(timestamp, marker, packet.payload.clone()).await?;
            self.stream.report_when_due(timestamp, packet.codec.clock_rate(), packet.captured_micros).await?;
        }
        Ok(())
    }

    /// The RTP timestamp: the low half of the time (RFC 3550, section 5.1).
    #[expect(clippy::cast_possible_truncation)]
    fn timestamp(&mut self, packet: &Packet) -> u32 {
        let rate = u64::from(packet.codec.clock_rate());
        let offset = match &self.clock {
            Some(c) if c.codec == packet.codec => {
                let step = packet.ticks.checked_sub(c.ticks).filter(|s| *s <= LONGEST_STEP.as_secs() * rate);
                match step.filter(|_| c.source == packet.stream) {
                    Some(_) => c.offset,
                    None => {
                        self.stream.expect_report();
                        let passed = c.at.elapsed().as_millis() as u64 * rate / 1000;
                        (c.ticks.wrapping_add(c.offset)).wrapping_add(passed.max(1)).wrapping_sub(packet.ticks)
                    }
                }
            }
            _ => {
                self.stream.expect_report();
                u64::from(random_u32())
            }
        };
        let clock =
            Clock { codec: packet.codec, source: packet.stream, offset, ticks: packet.ticks, at: Instant::now() };
        self.clock = Some(clock);
        packet.ticks.wrapping_add(offset) as u32
    }
}
