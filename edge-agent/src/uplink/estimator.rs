//! What the site's uplink carries, as one rate for all connections, for all cameras share it. Pure: time is an argument.
//!
//! A queue that stands and grows, or loss, shows that the uplink is full: what arrives meanwhile is what it carries. That
//! it carries more is found out by probes: numbered packets of no encoding, sent beside the pictures, step by step up to
//! what the next encoding needs.
//!
//! Invariants: the rate rises only to what arrived; a probe ends by itself; what nobody has overloaded has no limit.

use super::way::{Fate, Told, Way};
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

/// What is sent is judged over so long ...
const WINDOW: Duration = Duration::from_millis(600);
/// ... up to so long before the newest packet that was told of: connections are told at different moments ...
const LAG: Duration = Duration::from_millis(100);
/// ... if it covers so much, and so many packets: a few show that there is no queue, ...
const LEAST_WINDOW: Duration = Duration::from_millis(450);
const LEAST_PACKETS: usize = 4;
/// ... but not that the uplink is full.
const LEAST_TO_BE_FULL: usize = 20;
/// A moment.
const MOMENT: Duration = Duration::from_millis(150);
/// Fates that are kept, whatever is told.
const MAX_FATES: usize = 16_384;
/// A queue that never became shorter than this is one that stands ...
const STANDING: Duration = Duration::from_millis(50);
/// ... and fills the uplink where it grows by so much from one half of the window to the other ...
const GROWTH: Duration = Duration::from_millis(8);
/// ... or is so long and does not shrink.
const LONG: Duration = Duration::from_millis(250);
/// Below this there is none.
const NO_QUEUE: Duration = Duration::from_millis(30);
/// Loss of this share fills it too; beside a standing queue less is enough.
const TOO_LOSSY: f64 = 0.1;
const LOSSY: f64 = 0.02;
/// What of that which arrives is taken for what is carried: the rest lets the queue drain.
const BETA: f64 = 0.9;
/// So long after a reaction, what is told may be the time before it.
const REACTION: Duration = Duration::from_millis(1100);
/// No uplink is taken to carry less, in bit/s.
const LEAST: f64 = 100_000.0;
/// What leaves of pictures at a time: a little more than is taken to be carried, or it could never be found to be more.
const PACE: f64 = 1.1;
/// ... but so much, and no packet again, for so long after it was full: its queue is to drain.
const DRAIN_PACE: f64 = 0.75;
const DRAIN: Duration = Duration::from_secs(1);
/// What was not sent may be sent later, up to so long.
const SLACK: Duration = Duration::from_millis(20);
/// No packet waits longer for those before it.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Share of the rate for packets that are sent again.
const REPAIR: f64 = 0.15;
/// Bytes of such packets that may be saved up at least: those of a full one.
const REPAIR_SAVED: f64 = 1500.0;
/// A probe's step sends so many times what was sent before it, for so long at least and at most.
const PROBE_STEP: f64 = 1.5;
const PROBE_HOLD: (Duration, Duration) = (Duration::from_millis(800), Duration::from_millis(1800));
/// Share of a step's rate that has to arrive.
const PROBE_REACHED: f64 = 0.93;
/// A queue so much longer than before a step, or this loss, is the probe's doing.
const PROBE_QUEUE: Duration = Duration::from_millis(40);
const PROBE_LOST: f64 = 0.04;
/// Bytes of a probe that leave at a time, of each connection.
const PROBE_BURST: u64 = 8_000;
/// Pause after a reaction or a probe in vain: at first, and at most; and after a probe that reached its goal.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(16));
const AFTER_PROBE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct Estimator {
    ways: BTreeMap<u64, Way>,
    next_way: u64,
    /// What became of the packets of late, by connection.
    fates: VecDeque<(u64, Fate)>,
    /// In bit/s.
    limit: Option<f64>,
    /// Bytes that were sent in all.
    sent: u64,
    /// Until then what is told is not judged.
    settles: Option<Instant>,
    /// Until then its queue drains.
    drains: Option<Instant>,
    goal: Option<f64>,
    probe: Option<Probe>,
    next_probe: Option<Instant>,
    back_off: Duration,
    /// When the next packet of a picture may leave.
    free: Option<Instant>,
    /// Bytes that may be sent again now, and when that was reckoned.
    repair: (f64, Option<Instant>),
}

/// One step of a probe.
#[derive(Clone, Copy, Debug)]
struct Probe {
    since: Instant,
    /// Bytes that had been sent then.
    sent: u64,
    /// In bit/s.
    rate: f64,
    queue: Duration,
}

/// How the window was.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Measure {
    /// What arrived, in bit/s.
    arrived: f64,
    /// Share of bytes lost.
    lost: f64,
    /// Packets that were told of.
    packets: usize,
    /// Least queues of its two halves, of the connection where they were longest.
    queue: Option<(Duration, Duration)>,
    /// Least queue of the moment, of the connection where it is longest.
    recent: Duration,
}

impl Measure {
    fn is_full(&self) -> bool {
        let fills = |(before, now): (Duration, Duration)| {
            let grows = now > before + GROWTH || self.lost > LOSSY || (now > LONG && now + GROWTH >= before);
            before.min(now) > STANDING && grows
        };
        self.packets >= LEAST_TO_BE_FULL && (self.lost > TOO_LOSSY || self.queue.is_some_and(fills))
    }

    fn queue(&self) -> Duration {
        self.queue.map_or(Duration::ZERO, |(_, now)| now)
    }
}

impl Default for Estimator {
    fn default() -> Self {
        Self {
            ways: BTreeMap::new(),
            next_way: 0,
            fates: VecDeque::new(),
            limit: None,
            sent: 0,
            settles: None,
            drains: None,
            goal: None,
            probe: None,
            next_probe: None,
            back_off: BACK_OFF.0,
            free: None,
            repair: (0.0, None),
        }
    }
}

impl Estimator {
    /// What the uplink is taken to carry, in bit/s; `None` where it has never been full.
    pub fn limit(&self) -> Option<u64> {
        self.limit.map(|limit| limit as u64)
    }

    /// A connection begins; its number.
    pub fn open(&mut self, now: Instant) -> u64 {
        self.next_way += 1;
        self.ways.insert(self.next_way, Way::new(now));
        self.next_way
    }

    /// A connection is over.
    pub fn close(&mut self, way: u64) {
        self.ways.remove(&way);
    }

    /// A packet of so many bytes leaves; the number to write into it.
    pub fn send(&mut self, now: Instant, way: u64, bytes: u32) -> u16 {
        self.sent += u64::from(bytes);
        self.ways.get_mut(&way).map_or(0, |way| way.send(now, bytes))
    }

    /// What the far end of a connection tells.
    pub fn hear(&mut self, now: Instant, way: u64, told: impl IntoIterator<Item = Told>) {
        let Some(state) = self.ways.get_mut(&way) else { return };
        for told in told {
            self.fates.extend(state.hear(now, told).map(|fate| (way, fate)));
        }
        let excess = self.fates.len().saturating_sub(MAX_FATES);
        self.fates.drain(..excess);
    }

    /// What would have to be carried, in bit/s, for the next encoding; `None` where all is sent that is wanted.
    pub fn aim(&mut self, goal: Option<u64>) {
        self.goal = goal.map(|goal| goal as f64);
        self.probe = self.probe.filter(|_| goal.is_some());
    }

    /// Time passes: judges what was told.
    pub fn tick(&mut self, now: Instant) {
        let Some(measure) = self.measure(now) else {
            self.probe = self.probe.filter(|probe| now < probe.since + PROBE_HOLD.1);
            return;
        };
        if self.probe.is_some() {
            self.judge_probe(now, measure);
        } else if self.settles.is_none_or(|at| now >= at) {
            if measure.is_full() {
                self.lower(now, measure);
            } else if measure.queue() < NO_QUEUE {
                self.limit = self.limit.map(|limit| limit.max(measure.arrived));
                self.begin_probe(now, measure);
            }
        }
    }

    /// When so many bytes of a picture may leave; they are counted as if they did.
    pub fn pace(&mut self, now: Instant, bytes: usize) -> Instant {
        let Some(limit) = self.limit else { return now };
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        let at = self.free.map_or(earliest, |free| free.clamp(earliest, now + LONGEST_WAIT));
        let pace = if self.is_draining(now) { DRAIN_PACE } else { PACE };
        self.free = Some(at + Duration::from_secs_f64(8.0 * bytes as f64 / (pace * limit)));
        at
    }

    /// Whether a packet of so many bytes may be sent again.
    pub fn may_repair(&mut self, now: Instant, bytes: u32) -> bool {
        let Some(limit) = self.limit else { return true };
        let (left, at) = self.repair;
        let second = REPAIR * limit / 8.0;
        let passed = at.map_or(1.0, |at| now.saturating_duration_since(at).as_secs_f64());
        let left = (left + passed * second).min((second / 2.0).max(REPAIR_SAVED));
        let may = left >= f64::from(bytes) && !self.is_draining(now);
        self.repair = (if may { left - f64::from(bytes) } else { left }, Some(now));
        may
    }

    /// Whether a probe is under way.
    pub fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    /// Bytes that are to be sent now for the probe that is under way, beside the pictures.
    pub fn padding(&self, now: Instant) -> u64 {
        let Some(probe) = self.probe else { return 0 };
        let elapsed = now.saturating_duration_since(probe.since).as_secs_f64();
        ((probe.rate * elapsed / 8.0) as u64).saturating_sub(self.sent - probe.sent).min(PROBE_BURST)
    }

    /// How the window up to the newest packets was; `None` where too little is known.
    fn measure(&mut self, now: Instant) -> Option<Measure> {
        let newest = self.fates.iter().map(|(_, fate)| fate.at).max()?.min(now);
        if now > newest + WINDOW + WINDOW {
            self.fates.clear();
            return None;
        }
        let end = newest.checked_sub(LAG)?;
        let begin = end.checked_sub(WINDOW)?;
        self.fates.retain(|(_, fate)| fate.at > begin);
        let window = || self.fates.iter().filter(|(_, fate)| fate.at <= end);
        let first = window().map(|(_, fate)| fate.at).min()?;
        let span = end - if first < begin + WINDOW / 4 { begin } else { first };
        let packets = window().count();
        if span < LEAST_WINDOW || packets < LEAST_PACKETS {
            return None;
        }
        let middle = end - span / 2;
        let mut halves = BTreeMap::<u64, [Option<Duration>; 2]>::new();
        // What a shaper lets through before it shapes says nothing of what is carried.
        let settled = if span < WINDOW { end - span * 2 / 3 } else { begin };
        let seconds = (end - settled).as_secs_f64();
        let (mut arrived, mut came, mut lost) = (0.0, 0.0, 0.0);
        for (way, fate) in window() {
            let Some(queue) = fate.queue else {
                lost += f64::from(fate.bytes);
                continue;
            };
            came += f64::from(fate.bytes);
            arrived += if fate.at > settled { f64::from(fate.bytes) } else { 0.0 };
            let half = &mut halves.entry(*way).or_default()[usize::from(fate.at > middle)];
            *half = Some(half.map_or(queue, |least| least.min(queue)));
        }
        // A connection that begins while a queue stands knows no shorter one.
        let queue = halves.into_values().filter_map(|[before, now]| before.zip(now)).max_by_key(|(_, now)| *now);
        let mut recent = BTreeMap::<u64, Duration>::new();
        for (way, fate) in self.fates.iter().filter(|(_, fate)| newest - fate.at.min(newest) < MOMENT) {
            let Some(queue) = fate.queue else { continue };
            recent.entry(*way).and_modify(|least| *least = queue.min(*least)).or_insert(queue);
        }
        let recent = recent.into_values().max().unwrap_or_default();
        Some(Measure { arrived: 8.0 * arrived / seconds, lost: lost / (came + lost), packets, queue, recent })
    }

    fn is_draining(&self, now: Instant) -> bool {
        self.drains.is_some_and(|until| now < until)
    }

    fn lower(&mut self, now: Instant, measure: Measure) {
        let carried = BETA * measure.arrived;
        // Where it is full though no more was to be sent, pictures take more than they are taken to.
        let limit = self.limit.map_or(carried, |limit| if carried < limit { carried } else { BETA * limit });
        self.limit = Some(limit.max(LEAST));
        self.drains = Some(now + DRAIN);
        tracing::debug!(?measure, limit, "the uplink is full");
        self.pause(now);
    }

    /// What is told for a while is the time before; no probe begins for longer.
    fn pause(&mut self, now: Instant) {
        self.settles = Some(now + REACTION);
        self.next_probe = Some(now + self.back_off);
    }

    fn begin_probe(&mut self, now: Instant, measure: Measure) {
        let goal = self.goal.zip(self.limit).filter(|(goal, limit)| goal > limit).map(|(goal, _)| goal);
        let is_time = self.next_probe.is_none_or(|at| now >= at);
        if let (Some(goal), true) = (goal, is_time && measure.lost < LOSSY) {
            self.step(now, goal, measure);
        }
    }

    fn step(&mut self, now: Instant, goal: f64, measure: Measure) {
        let rate = (measure.arrived * PROBE_STEP).max(self.limit.unwrap_or_default()).min(goal);
        self.probe = Some(Probe { since: now, sent: self.sent, rate, queue: measure.recent });
        tracing::debug!(rate, goal, "a probe");
    }

    fn judge_probe(&mut self, now: Instant, measure: Measure) {
        let Some(probe) = self.probe else { return };
        let elapsed = now.saturating_duration_since(probe.since);
        if measure.recent > probe.queue + PROBE_QUEUE || measure.lost > PROBE_LOST || elapsed > PROBE_HOLD.1 {
            self.probe = None;
            tracing::debug!(?measure, "a probe in vain");
            self.back_off = (2 * self.back_off).min(BACK_OFF.1);
            self.pause(now);
        } else if elapsed >= PROBE_HOLD.0 && measure.arrived >= PROBE_REACHED * probe.rate {
            self.limit = self.limit.map(|limit| limit.max(measure.arrived));
            let goal = self.goal.unwrap_or_default();
            if probe.rate < PROBE_REACHED * goal {
                return self.step(now, goal, measure);
            }
            self.probe = None;
            self.back_off = BACK_OFF.0;
            self.next_probe = Some(now + AFTER_PROBE);
        }
    }
}
