//! Sends one encoding over one peer connection while it is wanted.
//!
//! Invariant: RTP timestamps never go back.

use super::{
    Wanted,
    peer::EncodingTrack,
    stream::{RtpStream, Stopped},
};
use crate::{
    backoff::random_u32,
    feed::Feed,
    h264::AccessUnit,
    health::StreamBoard,
    packetize::{MAX_PAYLOAD, packetize},
    timeline::VIDEO_RATE,
};
use protocol::Rid;
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

/// A cached GOP is sent this many times faster than it was made.
const SPEED: u32 = 4;
/// Frames of more packets than this are spaced, lest they overflow the receiver's socket.
const LARGE_FRAME: usize = 64;
/// Packets of a large frame that go out together.
const CHUNK: usize = 16;
const CHUNK_INTERVAL: Duration = Duration::from_millis(1);
/// Ticks from the last frame sent to a GOP that is sent again: one frame at 25 per second.
const RESTART_STEP: u64 = 3600;
/// A GOP is sent again on request this often at most.
const REPEAT_INTERVAL: Duration = Duration::from_secs(2);

/// The state of one encoding's RTP stream.
pub(super) struct Sender {
    rid: Rid,
    stream: RtpStream,
    board: StreamBoard,
    /// RTP timestamp minus ticks.
    offset: u64,
    /// RTP time of the last frame sent, before it is cut to 32 bits.
    last: Option<u64>,
    /// Requests to send the GOP again.
    repeats: watch::Receiver<u64>,
    /// When a GOP was begun that was not live.
    began: Option<Instant>,
}

impl Sender {
    /// A stream that has sent nothing.
    pub(super) fn new(track: EncodingTrack, board: StreamBoard, repeats: watch::Receiver<u64>) -> Self {
        let offset = u64::from(random_u32());
        Self { rid: track.rid, stream: RtpStream::new(track.outbound), board, offset, last: None, repeats, began: None }
    }

    /// Sends whenever the encoding is wanted, until the connection is gone.
    pub(super) async fn run(mut self, feed: Feed, mut wanted: watch::Receiver<Wanted>) -> Result<(), Stopped> {
        let rid = self.rid.clone();
        loop {
            let Ok(turn) = wanted.wait_for(|w| w.turn(&rid).is_some()).await.map(|w| w.turn(&rid)) else {
                return Ok(());
            };
            self.board.set_sending(true);
            tracing::debug!(%rid, "encoding starts");
            let ended = tokio::select! {
                sent = self.follow(&feed) => sent,
                _ = wanted.wait_for(|w| w.turn(&rid) != turn) => Ok(()),
            };
            self.board.set_sending(false);
            tracing::debug!(%rid, "encoding pauses");
            ended?;
        }
    }

    /// Sends a feed until its subscription ends: the cached GOP at [`SPEED`], then live; on request so again.
    async fn follow(&mut self, feed: &Feed) -> Result<(), Stopped> {
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
            self.stream.report_when_due(self.timestamp(&unit), VIDEO_RATE, unit.captured_micros).await?;
        }
    }

    /// A GOP that was sent in part before is sent again under new timestamps.
    fn begin(&mut self, unit: &AccessUnit) {
        if let Some(last) = self.last
            && unit.ticks + self.offset <= last
        {
            self.offset = last + RESTART_STEP - unit.ticks;
        }
        self.stream.expect_report();
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
            self.stream.send(timestamp, i + 1 == count, payload).await?;
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
