//! Sends one encoding over one peer connection while it is wanted and the uplink carries it.
//!
//! Invariant: RTP timestamps never go back.

use super::{
    Sending,
    numbering::HEADERS,
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
    uplink::Uplink,
};
use protocol::Rid;
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, interval, sleep, sleep_until},
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
/// The node is told so often that an encoding is held back, lest it was not heard.
const GOODBYE_INTERVAL: Duration = Duration::from_millis(500);

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
    uplink: Uplink,
}

impl Sender {
    /// A stream that has sent nothing.
    pub(super) fn new(track: EncodingTrack, board: StreamBoard, repeats: watch::Receiver<u64>, uplink: Uplink) -> Self {
        let (stream, offset) = (RtpStream::new(track.outbound), u64::from(random_u32()));
        Self { rid: track.rid, stream, board, offset, last: None, repeats, began: None, uplink }
    }

    /// Sends whenever the encoding is to be sent, until the connection is gone.
    pub(super) async fn run(mut self, feed: Feed, mut sending: watch::Receiver<Sending>) -> Result<(), Stopped> {
        let rid = self.rid.clone();
        loop {
            let begins = sending.clone();
            let begins = tokio::select! {
                begins = begins_turn(begins, &rid) => begins,
                stopped = self.stay_away(&mut sending) => return stopped,
            };
            let Some((turn, is_step)) = begins else { return Ok(()) };
            self.board.set_sending(true);
            tracing::debug!(%rid, "encoding starts");
            let ended = tokio::select! {
                sent = self.follow(&feed, is_step) => sent,
                _ = sending.wait_for(|s| s.turn(&rid) != Some(turn)) => Ok(()),
            };
            self.board.set_sending(false);
            tracing::debug!(%rid, "encoding pauses");
            ended?;
        }
    }

    /// Tells the node for as long as the encoding is held back: its viewers are shown another one. Ends only with the
    /// connection.
    async fn stay_away(&self, sending: &mut watch::Receiver<Sending>) -> Result<(), Stopped> {
        let mut interval = interval(GOODBYE_INTERVAL);
        while self.last.is_some() && sending.wait_for(|s| s.is_held(&self.rid)).await.is_ok() {
            interval.tick().await;
            self.stream.say_goodbye().await?;
        }
        std::future::pending().await
    }

    /// Sends a feed until its subscription ends: the cached GOP at [`SPEED`], then live; on request so again. A step up
    /// begins with the next keyframe, and is not sent again before that has left.
    async fn follow(&mut self, feed: &Feed, mut is_step: bool) -> Result<(), Stopped> {
        let mut subscription = if is_step { feed.subscribe_next() } else { feed.subscribe() };
        let mut start = None;
        self.began = Some(Instant::now());
        self.repeats.mark_unchanged();
        loop {
            let next = tokio::select! {
                next = subscription.next() => next,
                Ok(()) = self.repeats.changed() => {
                    // The node asks every second for as long as it needs to, so nothing is kept for later.
                    if !is_step && self.began.is_none_or(|at| at.elapsed() >= REPEAT_INTERVAL) {
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
            // On a small uplink what is cached leaves slowly: a GOP that is over is not made up for.
            if self.uplink.limit().is_some() && feed.gop_began().is_some_and(|began| began > unit.ticks) {
                (subscription, start) = (feed.subscribe(), None);
                continue;
            }
            let (began, first) = *start.get_or_insert((Instant::now(), unit.ticks));
            let elapsed = Duration::from_micros(unit.ticks.saturating_sub(first) * 100 / 9);
            // Live frames come long after a quarter of their time has passed, and so go out at once.
            sleep_until(began + elapsed / SPEED).await;
            if unit.ticks == first {
                self.begin(&unit);
            }
            self.send(&unit).await?;
            if is_step {
                // What was asked for until now has been sent.
                (is_step, self.began) = (false, Some(Instant::now()));
                self.repeats.mark_unchanged();
            }
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
        self.uplink.pace(payloads.iter().map(|payload| payload.len() + HEADERS).sum()).await;
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

/// Waits until an encoding is to be sent: which time that is, and whether it is a step up. `None` when nobody says any
/// more.
async fn begins_turn(mut sending: watch::Receiver<Sending>, rid: &Rid) -> Option<(u64, bool)> {
    let sending = sending.wait_for(|s| s.turn(rid).is_some()).await.ok()?;
    Some((sending.turn(rid)?, sending.is_step(rid)))
}
