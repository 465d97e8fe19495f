//! One encoding of one camera on one shard: its packets, who gets them, and who wants them.

use crate::fanout::OVERHEAD;
use crate::h264::Layers;
use crate::keyframe::Arbiter;
use crate::ring::Ring;
use crate::types::{Clock, Codec, EncodingId, Layer, Packet, ShardId, Track};
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

/// What is shown up to a layer has to take this part at most of what is shown up to the next ...
const LEAST_SPARED: f64 = 0.9;
/// ... and so many frames a second at least: with fewer, a smaller picture shows better what happens.
const LEAST_FRAMES: f64 = 5.0;

/// An encoding's place among the encodings. A place is given to another one after its encoding is gone: the number tells
/// what a slot was once shown from what is there now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EncodingAt {
    pub(crate) place: usize,
    pub(crate) number: u64,
}

/// What a slot is shown of an encoding: what counts up to a layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Source {
    pub(crate) encoding: EncodingAt,
    pub(crate) up_to: Layer,
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
    /// At the origin: tells the temporal layers of its pictures.
    pub(crate) layers: Layers,
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
            layers: Layers::default(),
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
    pub(crate) fn gather(&mut self, now: Instant, mut packet: Packet) -> bool {
        let is_next = self.filled.is_none() || packet.index <= self.ring.end();
        if !self.ring.insert(&mut packet) {
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

    /// What it takes of a viewer's network up to a layer, in bit/s; what is usual of its size before it was measured.
    pub(crate) fn rate(&self, up_to: Layer) -> u64 {
        self.pace.taken().map(|taken| taken[up_to.place()].rate).unwrap_or(match self.id.track {
            Track::Audio => 80_000,
            Track::Video(rid) => [500_000, 1_000_000, 2_000_000][usize::from(rid.rank()).min(2)],
        })
    }

    /// The layers up to which it is worth showing, the top one last. That up to which it is shown stays one.
    pub(crate) fn choices(&self, shown: Layer) -> impl Iterator<Item = Layer> {
        let is_worth = move |up_to: &Layer| {
            let Some((taken, above)) = self.pace.taken().and_then(|taken| {
                let place = up_to.place();
                Some((taken[place], taken.get(place + 1)?.rate))
            }) else {
                return *up_to == Layer::TOP;
            };
            let is_spared = taken.rate as f64 <= LEAST_SPARED * above as f64;
            taken.frames >= LEAST_FRAMES && (is_spared || *up_to == shown)
        };
        Layer::ALL.into_iter().filter(is_worth)
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

/// What a stream takes up to a layer.
#[derive(Clone, Copy, Default)]
struct Taken {
    /// In bit/s.
    rate: u64,
    /// In a second.
    frames: f64,
}

/// What came up to a layer.
#[derive(Clone, Copy, Default)]
struct Came {
    bytes: u64,
    frames: u32,
}

/// What a stream takes, by its own clock: what comes as a burst counts for the time that it shows.
#[derive(Default)]
struct Pace {
    /// Timestamp of the first packet that is counted.
    since: Option<u32>,
    came: [Came; Layer::COUNT],
    /// Of the GOPs that are complete, and of the first one so far.
    taken: Option<[Taken; Layer::COUNT]>,
    so_far: Option<[Taken; Layer::COUNT]>,
}

impl Pace {
    /// By what has come of its first GOP where none is complete.
    fn taken(&self) -> Option<&[Taken; Layer::COUNT]> {
        self.taken.as_ref().or(self.so_far.as_ref())
    }

    fn add(&mut self, packet: &Packet) {
        let elapsed = packet.time.wrapping_sub(*self.since.get_or_insert(packet.time));
        let (least, most) = (packet.codec.ticks(LEAST_SPAN), packet.codec.ticks(MOST_SPAN));
        if elapsed > 2 * most {
            // A late packet, or a clock that was set.
            if elapsed < 1 << 31 || 0u32.wrapping_sub(elapsed) > most {
                self.begin(packet.time);
            }
        } else if elapsed >= most || (packet.starts_gop && elapsed >= least) {
            let now = self.came.map(|came| came.over(elapsed, packet.codec));
            self.taken = Some(self.taken.map_or(now, |before| std::array::from_fn(|at| before[at].mean(now[at]))));
            self.begin(packet.time);
        } else if elapsed >= least && self.taken.is_none() {
            self.so_far = Some(self.came.map(|came| came.over(elapsed, packet.codec)));
        }
        for came in &mut self.came[packet.layer.place()..] {
            came.bytes += packet.payload.len() as u64 + OVERHEAD;
            came.frames += u32::from(packet.marker);
        }
    }

    fn begin(&mut self, time: u32) {
        (self.since, self.came) = (Some(time), Default::default());
    }
}

impl Came {
    /// What it takes when it came within so many ticks of a codec's clock.
    fn over(self, ticks: u32, codec: Codec) -> Taken {
        let clock = codec.clock_rate();
        Taken {
            rate: (8 * u64::from(clock)).saturating_mul(self.bytes) / u64::from(ticks),
            frames: f64::from(self.frames) * f64::from(clock) / f64::from(ticks),
        }
    }
}

impl Taken {
    fn mean(self, other: Self) -> Self {
        Self { rate: (self.rate + other.rate) / 2, frames: (self.frames + other.frames) / 2.0 }
    }
}
