//! One encoding of one camera on one shard: its packets, who gets them, and who wants them.

use crate::fanout::OVERHEAD;
use crate::keyframe::Arbiter;
use crate::ring::Ring;
use crate::types::{Clock, EncodingId, Packet, ShardId, Track};
use crate::viewer::SlotAt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the packets of an unfinished frame wait for the rest of it, so that they can leave as one train.
const GATHER: Duration = Duration::from_millis(1);
/// A ring that has got nothing for so long shows what was, not what is.
const STALE: Duration = Duration::from_secs(2);
/// After so long without a packet a stream has stopped.
const SILENT: Duration = Duration::from_secs(3);
/// By then a publisher has sent what it had cached.
const SETTLED: Duration = Duration::from_millis(500);
/// So long after packets of it did not come in order, what viewers miss may be these.
const HOLED: Duration = Duration::from_millis(2500);
/// Packets that leave at once, whether or not the frame is complete.
const GATHER_MAX: usize = 64;

/// A stream's rate is measured over its GOPs, but over no less than this ...
const LEAST_SPAN: Duration = Duration::from_millis(900);
/// ... and over no more.
const MOST_SPAN: Duration = Duration::from_secs(5);

/// An encoding's place among the encodings. A place is given to another one after its encoding is gone: the number tells
/// what a slot was once shown from what is there now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EncodingAt {
    pub(crate) place: usize,
    pub(crate) number: u64,
}

/// See the module.
pub(crate) struct Encoding {
    pub(crate) id: EncodingId,
    pub(crate) at: EncodingAt,
    pub(crate) ring: Ring,
    /// When the newest packet came.
    filled: Option<Instant>,
    /// When its stream began, after nothing or a pause.
    began: Option<Instant>,
    pace: Pace,
    /// When packets of it last did not come in order.
    holed: Option<Instant>,
    /// When its stream last began anew.
    pub(crate) restarted: Option<Instant>,
    /// Received, stored, not yet passed on.
    pending: Vec<Packet>,
    pending_since: Option<Instant>,
    /// Index after the newest packet that was passed on.
    pub(crate) passed_on: u64,
    /// Slots that get every packet as it comes.
    pub(crate) live: Vec<SlotAt>,
    /// Slots of connected viewers that wait for a keyframe or still get the cached GOP.
    pub(crate) joining: Vec<SlotAt>,
    /// How many slots of this shard show it, connected or not.
    pub(crate) watchers: usize,
    /// Until when it stays wanted without a viewer.
    pub(crate) lingers_until: Option<Instant>,
    /// At the origin: the other shards that get it.
    pub(crate) subscribers: Vec<ShardId>,
    /// Its clock, by the publisher's last sender report.
    pub(crate) clock: Option<Clock>,
    pub(crate) arbiter: Arbiter,
    /// What was last said about it to the outside.
    pub(crate) is_wanted: bool,
}

impl Encoding {
    pub(crate) fn new(id: EncodingId, at: EncodingAt, max_bytes: usize) -> Self {
        Self {
            id,
            at,
            ring: Ring::new(max_bytes),
            filled: None,
            began: None,
            pace: Pace::default(),
            holed: None,
            restarted: None,
            pending: Vec::new(),
            pending_since: None,
            passed_on: 0,
            live: Vec::new(),
            joining: Vec::new(),
            watchers: 0,
            lingers_until: None,
            subscribers: Vec::new(),
            clock: None,
            arbiter: Arbiter::default(),
            is_wanted: false,
        }
    }

    /// Whether a viewer of this shard shows it, or did until lately.
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers > 0 || self.lingers_until.is_some()
    }

    /// The first packet of the cached GOP that a viewer may begin with: all of it passed on, none of it stale.
    pub(crate) fn cached_gop(&self, now: Instant) -> Option<&Packet> {
        let is_fresh = self.filled.is_some_and(|at| now < at + STALE);
        self.ring.gop_start().filter(|p| is_fresh && p.index < self.passed_on)
    }

    /// Stores a packet for passing on. True when the frame is complete or enough has gathered.
    pub(crate) fn gather(&mut self, now: Instant, packet: Packet) -> bool {
        let is_next = self.filled.is_none() || packet.index <= self.ring.end();
        if !self.ring.insert(&packet) {
            return false;
        }
        if !is_next {
            self.holed = Some(now);
        }
        if self.filled.replace(now).is_none_or(|before| now >= before + STALE) {
            self.began = Some(now);
        }
        self.pace.add(&packet);
        if packet.starts_gop {
            self.arbiter.satisfied();
        }
        let complete = packet.marker || self.id.track == Track::Audio;
        self.pending.push(packet);
        self.pending_since.get_or_insert(now);
        complete || self.pending.len() >= GATHER_MAX
    }

    /// When what has gathered is to be passed on, whether complete or not.
    pub(crate) fn due(&self) -> Option<Instant> {
        Some(self.pending_since? + GATHER)
    }

    /// Takes what has gathered.
    pub(crate) fn take_pending(&mut self) -> Arc<[Packet]> {
        self.pending_since = None;
        let packets: Arc<[Packet]> = self.pending.drain(..).collect();
        self.passed_on = packets.iter().map(|p| p.index + 1).fold(self.passed_on, u64::max);
        packets
    }

    /// What it takes of a viewer's network, in bit/s; what is usual of its size before it was measured.
    pub(crate) fn rate(&self) -> u64 {
        self.pace.rate().unwrap_or(match self.id.track {
            Track::Audio => 80_000,
            Track::Video(rid) => [500_000, 1_000_000, 2_000_000][usize::from(rid.rank()).min(2)],
        })
    }

    /// Whether what comes is what is: a stream that begins sends what its publisher had cached.
    pub(crate) fn is_settled(&self, now: Instant) -> bool {
        self.began.is_some_and(|at| now >= at + SETTLED)
    }

    /// Whether viewers may miss packets that never came.
    pub(crate) fn is_holed(&self, now: Instant) -> bool {
        self.holed.is_some_and(|at| now < at + HOLED)
    }

    /// Whether packets come.
    pub(crate) fn is_flowing(&self, now: Instant) -> bool {
        self.filled.is_some_and(|at| now < at + SILENT)
    }

    /// The publisher sends no more of it for now.
    pub(crate) fn stop(&mut self) {
        self.filled = None;
    }

    /// The publisher begins anew: what is held is of no use.
    pub(crate) fn restart(&mut self) {
        self.ring.clear();
        self.filled = None;
        self.pending.clear();
        self.pending_since = None;
        self.clock = None;
        self.arbiter.satisfied();
    }
}

/// What a stream takes, by its own clock: what comes as a burst counts for the time that it shows.
#[derive(Default)]
struct Pace {
    /// Timestamp of the first packet that is counted.
    since: Option<u32>,
    bytes: u64,
    /// Of the GOPs that are complete, and of the first one so far; in bit/s.
    rate: Option<u64>,
    so_far: Option<u64>,
}

impl Pace {
    /// By what has come of its first GOP where none is complete.
    fn rate(&self) -> Option<u64> {
        self.rate.or(self.so_far)
    }

    fn add(&mut self, packet: &Packet) {
        let elapsed = packet.time.wrapping_sub(*self.since.get_or_insert(packet.time));
        let (least, most) = (packet.codec.ticks(LEAST_SPAN), packet.codec.ticks(MOST_SPAN));
        let rate = |bytes: u64| (8 * u64::from(packet.codec.clock_rate())).saturating_mul(bytes) / u64::from(elapsed);
        if elapsed > 2 * most {
            // A late packet, or a clock that was set.
            if elapsed < 1 << 31 || 0u32.wrapping_sub(elapsed) > most {
                (self.since, self.bytes) = (Some(packet.time), 0);
            }
        } else if elapsed >= most || (packet.starts_gop && elapsed >= least) {
            let now = rate(self.bytes);
            self.rate = Some(self.rate.map_or(now, |before| (before + now) / 2));
            (self.since, self.bytes) = (Some(packet.time), 0);
        } else if elapsed >= least && self.rate.is_none() {
            self.so_far = Some(rate(self.bytes));
        }
        self.bytes += packet.payload.len() as u64 + OVERHEAD;
    }
}
