//! Sends one encoding over one peer connection while it is wanted.
//!
//! Invariant: sequence numbers are contiguous, RTP timestamps never go back, and a sender report that states the
//! capture time follows the first frame, then every second (RFC 3550, section 6.4.1). It follows, because a receiver
//! learns from the first packet's rid whose SSRC it is.

use super::peer::EncodingTrack;
use crate::{
    backoff::random_u32,
    feed::Feed,
    h264::AccessUnit,
    health::StreamBoard,
    packetize::{MAX_PAYLOAD, packetize},
};
use protocol::Rid;
use rtc::rtcp::sender_report::SenderReport;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

/// A cached GOP is sent this many times faster than it was made.
const SPEED: u32 = 4;
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Frames of more packets than this are spaced, lest they overflow the receiver's socket.
const LARGE_FRAME: usize = 64;
/// Packets of a large frame that go out together.
const CHUNK: usize = 16;
const CHUNK_INTERVAL: Duration = Duration::from_millis(1);
/// Ticks from the last frame sent to a GOP that is sent again: one frame at 25 per second.
const RESTART_STEP: u64 = 3600;
/// From the NTP epoch, 1900, to the Unix epoch, in seconds.
const NTP_OFFSET: u64 = 2_208_988_800;

/// A GOP is sent again on request this often at most.
const REPEAT_INTERVAL: Duration = Duration::from_secs(2);

/// The encodings of a camera that somebody wants. An encoding that was not wanted for a moment is sent anew, from its
/// GOP's start, even if nobody looked in that moment: the node has forgotten what it had of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    now: BTreeSet<Rid>,
    /// How often each began to be wanted.
    turns: BTreeMap<Rid, u64>,
}

impl Wanted {
    /// Replaces the set. Whether it changed.
    pub fn replace(&mut self, encodings: impl IntoIterator<Item = Rid>) -> bool {
        let encodings: BTreeSet<Rid> = encodings.into_iter().collect();
        for rid in encodings.difference(&self.now) {
            *self.turns.entry(rid.clone()).or_default() += 1;
        }
        std::mem::replace(&mut self.now, encodings) != self.now
    }

    /// Those that are wanted now.
    pub fn encodings(&self) -> &BTreeSet<Rid> {
        &self.now
    }

    /// Which time it is that an encoding is wanted; `None` when it is not.
    fn turn(&self, rid: &Rid) -> Option<u64> {
        self.now.contains(rid).then(|| self.turns.get(rid).copied().unwrap_or_default())
    }
}

/// The state of one encoding's RTP stream.
pub(super) struct Sender {
    track: EncodingTrack,
    board: StreamBoard,
    sequence_number: u16,
    /// RTP timestamp minus ticks.
    offset: u64,
    /// RTP time of the last frame sent, before it is cut to 32 bits.
    last: Option<u64>,
    last_report: Option<Instant>,
    /// Requests to send the GOP again.
    repeats: watch::Receiver<u64>,
    /// When a GOP was begun that was not live.
    began: Option<Instant>,
    packets: u32,
    octets: u32,
}

/// The connection takes no more packets.
#[derive(Debug, thiserror::Error)]
#[error("the encoding can no longer be sent: {0}")]
pub(super) struct Stopped(#[from] webrtc::error::Error);

impl Sender {
    /// A stream that has sent nothing.
    pub(super) fn new(track: EncodingTrack, board: StreamBoard, repeats: watch::Receiver<u64>) -> Self {
        // The first number lies in the lower half, so that receivers meet no wrap early on (RFC 3711, section 3.3.1).
        let sequence_number = (random_u32() >> 17) as u16;
        let offset = u64::from(random_u32());
        let (last, last_report, began) = (None, None, None);
        Self { track, board, sequence_number, offset, last, last_report, repeats, began, packets: 0, octets: 0 }
    }

    /// Sends whenever the encoding is wanted, until the connection is gone.
    pub(super) async fn run(mut self, feed: Feed, mut wanted: watch::Receiver<Wanted>) -> Result<(), Stopped> {
        let rid = self.track.rid.clone();
        loop {
            let Ok(turn) = wanted.wait_for(|w| w.turn(&rid).is_some()).await.map(|w| w.turn(&rid)) else {
                return Ok(());
            };
            self.board.set_sending(true);
            tracing::debug!(%rid, "encoding starts");
            let ended = tokio::select! {
                sent = self.stream(&feed) => sent,
                _ = wanted.wait_for(|w| w.turn(&rid) != turn) => Ok(()),
            };
            self.board.set_sending(false);
            tracing::debug!(%rid, "encoding pauses");
            ended?;
        }
    }

    /// Sends a feed until its subscription ends: the cached GOP at [`SPEED`], then live; on request so again.
    async fn stream(&mut self, feed: &Feed) -> Result<(), Stopped> {
        let mut subscription = feed.subscribe();
        let mut start = None;
        self.began = Some(Instant::now());
        self.repeats.mark_unchanged();
        loop {
            let next = tokio::select! {
                next = subscription.next() => next,
                Ok(()) = self.repeats.changed() => {
                    // The node asks every second for as long as it needs to, so nothing is kept for later.
                    if self.began.is_none_or(|at| at.elapsed() >= REPEAT_INTERVAL) {
                        let again = feed.subscribe();
                        // A GOP too large to be kept: the stream goes on rather than wait for the next one.
                        if !again.is_awaiting_keyframe() {
                            (subscription, start, self.began) = (again, None, Some(Instant::now()));
                        }
                    }
                    continue;
                }
            };
            // A subscriber that was too slow starts anew with the then current GOP.
            let Ok(Some(unit)) = next else { return Ok(()) };
            let (began, first) = *start.get_or_insert((Instant::now(), unit.ticks));
            let elapsed = Duration::from_micros(unit.ticks.saturating_sub(first) * 100 / 9);
            // Live frames come long after a quarter of their time has passed, and so go out at once.
            sleep_until(began + elapsed / SPEED).await;
            if unit.ticks == first {
                self.begin(&unit);
            }
            self.send(&unit).await?;
            self.report_when_due(&unit).await?;
        }
    }

    /// A GOP that was sent in part before is sent again under new timestamps.
    fn begin(&mut self, unit: &AccessUnit) {
        if let Some(last) = self.last
            && unit.ticks + self.offset <= last
        {
            self.offset = last + RESTART_STEP - unit.ticks;
        }
        self.last_report = None;
    }

    async fn report_when_due(&mut self, unit: &AccessUnit) -> Result<(), Stopped> {
        let now = Instant::now();
        if self.last_report.is_some_and(|at| now - at < REPORT_INTERVAL) {
            return Ok(());
        }
        self.last_report = Some(now);
        // The pair is that of the moment of sending: receivers take it for that.
        let sent = unix_micros().max(unit.captured_micros);
        let age_ticks = (sent - unit.captured_micros) * 9 / 100;
        let report = SenderReport {
            ssrc: self.track.ssrc,
            ntp_time: ntp(sent),
            rtp_time: self.timestamp(unit).wrapping_add(age_ticks as u32),
            packet_count: self.packets,
            octet_count: self.octets,
            ..Default::default()
        };
        Ok(self.track.report(report).await?)
    }

    async fn send(&mut self, unit: &AccessUnit) -> Result<(), Stopped> {
        let payloads = packetize(unit, MAX_PAYLOAD);
        let count = payloads.len();
        let timestamp = self.timestamp(unit);
        self.last = Some(unit.ticks + self.offset);
        for (i, payload) in payloads.into_iter().enumerate() {
            if count > LARGE_FRAME && i > 0 && i % CHUNK == 0 {
                sleep(CHUNK_INTERVAL).await;
            }
            let octets = payload.len() as u64;
            self.sequence_number = self.sequence_number.wrapping_add(1);
            // Counted before it is sent: cancelling a send must never lead to the same number twice.
            self.track.send(self.sequence_number, timestamp, i + 1 == count, payload).await?;
            self.packets = self.packets.wrapping_add(1);
            self.octets = self.octets.wrapping_add(octets as u32);
            self.board.add_sent(octets);
        }
        Ok(())
    }

    /// The RTP timestamp: the low half of the time (RFC 3550, section 5.1).
    #[expect(clippy::cast_possible_truncation)]
    fn timestamp(&self, unit: &AccessUnit) -> u32 {
        (unit.ticks + self.offset) as u32
    }
}

fn unix_micros() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

/// Wall time as a 64-bit NTP timestamp (RFC 3550, section 4).
fn ntp(unix_micros: u64) -> u64 {
    let (seconds, micros) = (unix_micros / 1_000_000, unix_micros % 1_000_000);
    ((seconds + NTP_OFFSET) << 32) | ((micros << 32) / 1_000_000)
}
