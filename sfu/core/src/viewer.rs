//! A viewer: its slots, what each is to show, what it is shown now, and its stream.

use crate::allocation::{Allotted, Version};
use crate::bandwidth::{Bandwidth, Estimation};
use crate::departures::Departures;
use crate::encoding::Source;
use crate::fanout::Outbound;
use crate::path::{Path, SentReports};
use crate::rewrite::Rewriter;
use crate::sdp::ViewerMedia;
use crate::srtp::Sealer;
use crate::transport_feedback::TransportFeedback;
use crate::types::{CameraKey, Packet, SlotId, SlotState, Ssrc, Subscription, TransportAddress};
use smallvec::SmallVec;
use std::time::{Duration, Instant};

/// Retransmissions that a viewer may ask for in a second, in packets ...
const RTX_PER_SECOND: u32 = 2000;
/// ... and no more than what its slots leave of what its network is taken to carry, within these shares of it ...
const RTX_SHARES: (f64, f64) = (0.1, 0.3);
/// ... but so many in any case.
const LEAST_RTX: u32 = 20;
/// A packet, in bits.
const PACKET: f64 = 9600.0;
/// How long a picture waits for its sound, at least: what a browser's jitter buffer and output hold of sound (in Chromium
/// 156 some 85 ms more than of a picture that is shown as it comes). Browsers leave differences below 30 ms as they are.
const SOUND_DELAY: Duration = Duration::from_millis(100);
/// How long a picture that waits may wait, at least: enough for lip-sync to follow a sound that the network delays further,
/// and for the receiver to allow for jitter.
const LEEWAY: Duration = Duration::from_millis(500);
/// Cached GOPs that a viewer may draw in a second: one for each slot and the sound.
const BURSTS_PER_SECOND: u32 = 17;
/// Reports speak of the bursts that a viewer begins with until so long after its first picture.
const FIRST_BURSTS: Duration = Duration::from_secs(3);
/// What takes more than this part of what the network is taken to carry leaves no room for more of it at a time.
const TIGHT: f64 = 1.0 / 1.5;
/// The shortest time between two cached GOPs that a slot gets because it lost the picture.
const REJOIN_INTERVAL: Duration = Duration::from_secs(2);

/// A slot of a viewer on this shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SlotAt {
    /// The viewer's place among the peers.
    pub(crate) place: u32,
    pub(crate) slot: SlotId,
}

/// What leads to a connected viewer.
pub(crate) struct Outward<'a> {
    /// Where it receives.
    pub(crate) to: TransportAddress,
    pub(crate) sealer: &'a mut Sealer,
    /// Where the slot's packets have transport-wide numbers.
    pub(crate) departures: Option<&'a mut Departures>,
}

/// How a slot is fed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Feed {
    /// The connection is not up, or nothing is published that it could be shown.
    Idle,
    /// Waits for a keyframe of the encoding it is to be shown.
    AwaitingKeyframe,
    /// Gets the cached GOP, this index next.
    CatchingUp {
        /// Index in the encoding's ring.
        next: u64,
    },
    /// Gets every packet as it comes.
    Live,
}

/// See the module.
pub(crate) struct Viewer {
    /// Its video m-lines.
    slots: SmallVec<[Slot; 1]>,
    audio: Option<Box<Slot>>,
    /// Where it receives: its peer's address.
    pub(crate) to: Option<TransportAddress>,
    /// Once connected. One key serves all streams: their SSRCs tell them apart.
    pub(crate) sealer: Option<Sealer>,
    /// When its first picture left.
    pub(crate) playing: Option<Instant>,
    /// What its slots were given takes, in bit/s.
    pub(crate) total: u64,
    /// When its bursts go on, and the number of the slot that had the last chunk.
    pub(crate) next_chunk: Instant,
    pub(crate) served: u8,
    path: Path,
    pub(crate) bandwidth: Bandwidth,
    /// Where its packets have transport-wide numbers.
    departures: Option<Box<Departures>>,
    rtx: Allowance,
    bursts: Allowance,
}

/// One m-line of a viewer.
pub(crate) struct Slot {
    pub(crate) wish: Option<Subscription>,
    /// What the viewer's network leaves it.
    pub(crate) allotted: Allotted,
    /// Slot of the encoding that it watches.
    pub(crate) watching: Option<usize>,
    /// Slot of the encoding that takes over with its next keyframe.
    pub(crate) coming: Option<usize>,
    pub(crate) feed: Feed,
    pub(crate) rewriter: Rewriter<Source>,
    pub(crate) out: Outbound,
    pub(crate) last_sent: Option<Instant>,
    /// Something has left since the feed began.
    pub(crate) has_sent: bool,
    /// Since when it is to show, or waits for, what it is to show.
    pub(crate) since: Instant,
    /// The smallest encoding of its camera, where that sends nothing, and until when it is left alone.
    pub(crate) dead: Option<(usize, Instant)>,
    /// When a smaller encoding was last tried in place of one that does not come.
    pub(crate) fell_back: Option<Instant>,
    /// The publishers' clocks that its receiver was told.
    pub(crate) reports: SentReports,
    /// What was last said of it.
    pub(crate) told: (Option<CameraKey>, SlotState),
    rejoined: Option<Instant>,
}

impl Viewer {
    pub(crate) fn new(now: Instant, media: &ViewerMedia, first_sequence: u16) -> Self {
        let slots = media.slots.iter().map(|slot| Slot::new(now, Outbound::video(slot), first_sequence)).collect();
        let sound = |audio| Box::new(Slot::new(now, Outbound::audio(audio), first_sequence));
        let audio = media.audio.as_ref().map(sound);
        let (rtx, bursts) = (Allowance::default(), Allowance::default());
        let departures = media.is_numbered().then(|| Box::new(Departures::new(now)));
        let estimation = if departures.is_some() { Estimation::Twcc } else { Estimation::Remb };
        let (path, bandwidth) = (Path::default(), Bandwidth::new(estimation));
        let (to, sealer, playing, total, next_chunk, served) = (None, None, None, 0, now, 0);
        Self { slots, audio, to, sealer, playing, total, next_chunk, served, path, bandwidth, departures, rtx, bursts }
    }

    /// The ids of its slots.
    pub(crate) fn slot_ids(&self) -> Vec<SlotId> {
        let videos = (0..self.slots.len()).map(|number| SlotId::Video(number as u8));
        videos.chain(self.audio.as_ref().map(|_| SlotId::Audio)).collect()
    }

    pub(crate) fn slot(&self, id: SlotId) -> Option<&Slot> {
        match id {
            SlotId::Video(number) => self.slots.get(usize::from(number)),
            SlotId::Audio => self.audio.as_deref(),
        }
    }

    pub(crate) fn slot_mut(&mut self, id: SlotId) -> Option<&mut Slot> {
        match id {
            SlotId::Video(number) => self.slots.get_mut(usize::from(number)),
            SlotId::Audio => self.audio.as_deref_mut(),
        }
    }

    /// Once it is connected: what leads to it, and one of its slots.
    pub(crate) fn outward(&mut self, id: SlotId) -> Option<(Outward<'_>, &mut Slot)> {
        let slot = match id {
            SlotId::Video(number) => self.slots.get_mut(usize::from(number)),
            SlotId::Audio => self.audio.as_deref_mut(),
        };
        let slot = slot?;
        let departures = self.departures.as_deref_mut().filter(|_| slot.out.is_numbered());
        Some((Outward { to: self.to?, sealer: self.sealer.as_mut()?, departures }, slot))
    }

    /// The slot whose stream has this SSRC.
    pub(crate) fn slot_of(&self, ssrc: Ssrc) -> Option<SlotId> {
        let video =
            self.slots.iter().position(|slot| slot.out.ssrc() == ssrc).map(|number| SlotId::Video(number as u8));
        video.or_else(|| self.audio.as_ref().filter(|slot| slot.out.ssrc() == ssrc).map(|_| SlotId::Audio))
    }

    /// Its video slots.
    pub(crate) fn videos(&self) -> &[Slot] {
        &self.slots
    }

    /// The SSRCs of its streams.
    pub(crate) fn ssrcs(&self) -> Vec<Ssrc> {
        self.slots.iter().chain(self.audio.as_deref()).map(|slot| slot.out.ssrc()).collect()
    }

    /// Says how long pictures are to wait: those whose sound is heard for it, all of them for what is lost and comes again.
    /// Others are shown as they come.
    pub(crate) fn hold_pictures(&mut self) {
        let heard = self.audio.as_ref().and_then(|sound| sound.wish).map(|wish| wish.camera);
        let repair = self.path.wait();
        for slot in &mut self.slots {
            let is_heard = heard.is_some() && slot.wish.map(|wish| wish.camera) == heard;
            let least = if is_heard { repair.max(SOUND_DELAY) } else { repair };
            let most = if least.is_zero() { Duration::ZERO } else { LEEWAY.max(2 * least) };
            slot.out.set_playout_delay(least, most);
        }
    }

    /// What it reports of a stream of ours: what its network lost of that, where that is known; answers the round trip,
    /// where it tells.
    pub(crate) fn report(
        &mut self,
        now: Instant,
        id: SlotId,
        fraction_lost: Option<u8>,
        last_report: u32,
        delay: u32,
    ) -> Option<Duration> {
        let round_trip = self.slot(id).and_then(|slot| slot.reports.round_trip(last_report, delay, now));
        if fraction_lost.is_some_and(|lost| self.path.report(lost, round_trip)) {
            self.hold_pictures();
        }
        round_trip
    }

    /// What its reports of all streams say together. True when its network carries another rate than before.
    pub(crate) fn received(&mut self, now: Instant, lost: Option<u8>, round_trip: Option<Duration>) -> bool {
        let sent = self.sent();
        let is_late = round_trip.is_some_and(|measured| self.bandwidth.round_trip(now, sent, measured));
        // What the first bursts lose says nothing of what is carried.
        let is_first = self.playing.is_none_or(|since| now < since + FIRST_BURSTS);
        let lost = lost.filter(|_| !is_first);
        lost.is_some_and(|lost| self.bandwidth.loss(now, sent, lost)) || is_late
    }

    /// What it says that it can take, in bit/s. True when its network carries another rate than before.
    pub(crate) fn estimate(&mut self, now: Instant, estimate: u64) -> bool {
        let sent = self.sent();
        self.bandwidth.estimate(now, sent, estimate)
    }

    /// What it tells of how packets arrive; answers their rate in bit/s, and whether its network carries another one.
    pub(crate) fn arrived(&mut self, now: Instant, told: TransportFeedback<'_>) -> Option<(u64, bool)> {
        let sent = self.sent();
        let arriving = self.departures.as_mut()?.hear(told)?;
        Some((arriving.rate, self.bandwidth.arrived(now, sent, arriving)))
    }

    /// It is elsewhere: the way to it is another.
    pub(crate) fn moved(&mut self) {
        self.bandwidth.moved();
        if let Some(departures) = &mut self.departures {
            departures.moved();
        }
    }

    /// It misses so many packets.
    pub(crate) fn missed(&mut self, now: Instant, packets: usize) {
        if self.bandwidth.is_probing() {
            let sent = self.sent();
            self.bandwidth.missed(now, sent, packets);
        }
    }

    /// Whether its network is taken to carry little more than what its slots take.
    pub(crate) fn is_tight(&self) -> bool {
        self.total as f64 > TIGHT * self.bandwidth.rate() as f64
    }

    /// Bytes that were sent to it.
    pub(crate) fn sent(&self) -> u64 {
        self.slots.iter().chain(self.audio.as_deref()).map(|slot| slot.out.bytes()).sum()
    }

    /// Whether one more retransmission is within its allowance.
    pub(crate) fn may_retransmit(&mut self, now: Instant) -> bool {
        let rate = self.bandwidth.rate() as f64;
        let left = (1.0 - self.total as f64 / rate).clamp(RTX_SHARES.0, RTX_SHARES.1);
        let most = (rate * left / PACKET) as u32;
        let most = most.clamp(LEAST_RTX, RTX_PER_SECOND);
        self.rtx.take(now, most)
    }

    /// Whether one more cached GOP is; a slot that gets none waits for the next keyframe.
    pub(crate) fn may_burst(&mut self, now: Instant) -> bool {
        self.bursts.take(now, BURSTS_PER_SECOND)
    }
}

impl Slot {
    /// Whether it is yet to catch up with what plays.
    pub(crate) fn is_behind(&self) -> bool {
        matches!(self.feed, Feed::CatchingUp { .. })
    }

    fn new(now: Instant, out: Outbound, first_sequence: u16) -> Self {
        Self {
            wish: None,
            allotted: Allotted::UpTo(Version::BEST),
            watching: None,
            coming: None,
            feed: Feed::Idle,
            rewriter: Rewriter::new(first_sequence),
            out,
            last_sent: None,
            has_sent: false,
            since: now,
            dead: None,
            fell_back: None,
            reports: SentReports::default(),
            told: (None, SlotState::Empty),
            rejoined: None,
        }
    }

    /// Begins to show `source` from its packet `first` on, whose newest has the time `newest`.
    pub(crate) fn start(&mut self, now: Instant, source: Source, first: &Packet, newest: u32) {
        let idle = self.last_sent.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.rewriter.start(source, first.number(source.up_to), first.time, newest, first.codec.ticks(idle));
        self.has_sent = false;
    }

    /// Whether it may get the cached GOP again.
    pub(crate) fn may_rejoin(&mut self, now: Instant) -> bool {
        let may = self.rejoined.is_none_or(|at| now >= at + REJOIN_INTERVAL);
        if may {
            self.rejoined = Some(now);
        }
        may
    }
}

/// So many a second.
#[derive(Default)]
struct Allowance {
    taken: u32,
    since: Option<Instant>,
}

impl Allowance {
    fn take(&mut self, now: Instant, a_second: u32) -> bool {
        if self.since.is_none_or(|at| now.saturating_duration_since(at) >= Duration::from_secs(1)) {
            (self.since, self.taken) = (Some(now), 0);
        }
        self.taken = self.taken.saturating_add(1);
        self.taken <= a_second
    }
}
