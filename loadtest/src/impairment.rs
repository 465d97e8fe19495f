//! What a network does to datagrams: a rate with a queue, delay, jitter and loss, each as it changes with time.
//!
//! Pure: time is an argument and chance comes from a seed, so the same datagrams meet the same fate. Invariant: datagrams
//! of one link arrive in the order in which they came.

use crate::scenario::{read_duration, write_duration};
use crate::units;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::collections::VecDeque;
use std::time::Duration;

/// Bytes of an IPv4 and a UDP header, which a datagram takes of a link beside its own.
const HEADERS: usize = 28;
/// Most steps of a network.
const MAX_STEPS: usize = 10_000;
/// Longest delay, and longest jitter.
const MAX_DELAY: Duration = Duration::from_secs(10);
/// Longest queue, in KiB.
const MAX_QUEUE: usize = 16 * 1024;
/// Lowest rate, in bit/s: what carries nothing is a loss of 100 %.
const MIN_RATE: f64 = 1000.0;

/// A network, as a YAML file describes it. Durations are written as `30s`, `250ms`; rates as `600k`, `10M`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Impairment {
    /// What people call it.
    pub name: String,
    /// Where chance begins.
    pub seed: u64,
    /// All clients share one line, as those behind one router do; else each has its own.
    pub shared: bool,
    /// How it is and becomes, in the order of time. Before the first step nothing is impaired.
    pub steps: Vec<Step>,
}

/// From a moment on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Since the line's first datagram.
    #[serde(serialize_with = "write_duration", deserialize_with = "read_duration")]
    pub at: Duration,
    /// From clients to the server; goes on as before when absent.
    pub up: Option<Conditions>,
    /// From the server to clients; goes on as before when absent.
    pub down: Option<Conditions>,
}

/// How one direction is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conditions {
    /// Bit/s, IP headers counted; without, it is not limited.
    #[serde(serialize_with = "write_rate", deserialize_with = "read_rate")]
    pub rate: Option<f64>,
    /// What waits for the rate at most, in KiB; what comes above is dropped (drop-tail).
    pub queue_kib: usize,
    /// After the queue.
    #[serde(serialize_with = "write_duration", deserialize_with = "read_duration")]
    pub delay: Duration,
    /// Evenly from 0 to this on top of the delay. Nothing is overtaken, as on a radio link that sends again itself.
    #[serde(serialize_with = "write_duration", deserialize_with = "read_duration")]
    pub jitter: Duration,
    /// Lost at random after the queue, of 100.
    pub loss_percent: f64,
    /// How many in a row are lost on average (Gilbert, 1960), at least 1; without, each loss is by itself.
    pub burst: Option<f64>,
}

impl Default for Conditions {
    fn default() -> Self {
        let (delay, jitter) = (Duration::ZERO, Duration::ZERO);
        Self { rate: None, queue_kib: 64, delay, jitter, loss_percent: 0.0, burst: None }
    }
}

/// What is wrong with a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("steps[{step}].{key}: {reason}")]
pub struct InvalidImpairment {
    step: usize,
    key: &'static str,
    reason: &'static str,
}

impl Impairment {
    /// Nothing but a delay, each way.
    pub fn delay(delay: Duration) -> Self {
        let conditions = Some(Conditions { delay, ..Conditions::default() });
        let step = Step { at: Duration::ZERO, up: conditions, down: conditions };
        Self { steps: vec![step], ..Self::default() }
    }

    /// Whether it can be acted on.
    pub fn check(&self) -> Result<(), InvalidImpairment> {
        let fail = |step, key, reason| Err(InvalidImpairment { step, key, reason });
        if self.steps.len() > MAX_STEPS {
            return fail(MAX_STEPS, "at", "10,000 steps at most");
        }
        for (step, pair) in self.steps.windows(2).enumerate() {
            if pair[1].at <= pair[0].at {
                return fail(step + 1, "at", "must be later than the step before");
            }
        }
        for (number, step) in self.steps.iter().enumerate() {
            for conditions in step.up.iter().chain(&step.down) {
                if let Some((key, reason)) = conditions.fault() {
                    return fail(number, key, reason);
                }
            }
        }
        Ok(())
    }

    /// A line of this network, the `number`th.
    pub fn line(&self, number: u64) -> Line {
        let mut chance = fastrand::Rng::with_seed(self.seed.wrapping_add(number));
        let (up, down) = (chance.fork(), chance.fork());
        Line {
            up: Link::new(self.steps.iter().filter_map(|step| Some((step.at, step.up?))), up),
            down: Link::new(self.steps.iter().filter_map(|step| Some((step.at, step.down?))), down),
        }
    }
}

impl Conditions {
    /// A key that is wrong, and why.
    fn fault(&self) -> Option<(&'static str, &'static str)> {
        let loss = self.loss_percent / 100.0;
        let bears = |burst: f64| burst >= 1.0 && (loss >= 1.0 || loss <= burst / (1.0 + burst));
        let checks = [
            (
                self.rate.is_none_or(|rate| rate >= MIN_RATE),
                "rate",
                "at least 1k; for an outage write loss_percent: 100",
            ),
            ((2..=MAX_QUEUE).contains(&self.queue_kib), "queue_kib", "from 2 to 16,384"),
            (self.delay <= MAX_DELAY, "delay", "10s at most"),
            (self.jitter <= MAX_DELAY, "jitter", "10s at most"),
            ((0.0..=1.0).contains(&loss), "loss_percent", "from 0 to 100"),
            (self.burst.is_none_or(bears), "burst", "at least 1, and long enough for so much loss"),
        ];
        checks.iter().find(|(is_met, _, _)| !is_met).map(|(_, key, reason)| (*key, *reason))
    }
}

/// Both directions of a client's way to the server.
#[derive(Debug)]
pub struct Line {
    /// From the client to the server.
    pub up: Link,
    /// From the server to the client.
    pub down: Link,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, at this time of its line.
    Arrives(Duration),
    /// It finds the queue full.
    Dropped,
    /// It is lost on the way.
    Lost,
}

/// What a link did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams that came.
    pub came: u64,
    /// Those that found the queue full.
    pub dropped: u64,
    /// Those that were lost after it.
    pub lost: u64,
    /// Longest time in the queue.
    pub longest_wait: Duration,
}

impl std::fmt::Display for Traffic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let share = |part: u64| units::percent(100.0 * part as f64 / self.came.max(1) as f64);
        let (came, wait) = (units::count(self.came), units::time(self.longest_wait.as_secs_f64() * 1e6));
        let (lost, dropped) = (share(self.lost), share(self.dropped));
        write!(f, "{came} datagrams, {lost} lost, {dropped} found the queue full, longest wait {wait}")
    }
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.came += other.came;
        self.dropped += other.dropped;
        self.lost += other.lost;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
    }
}

/// One direction.
#[derive(Debug)]
pub struct Link {
    /// From when on it is how; the first from the beginning on.
    steps: Vec<(Duration, Conditions)>,
    chance: fastrand::Rng,
    /// What waits: when it has left, and its bytes.
    queue: VecDeque<(Duration, usize)>,
    waiting: usize,
    /// When all that waits has left.
    free: Duration,
    /// When the newest datagram arrives.
    newest: Duration,
    is_bursting: bool,
    traffic: Traffic,
}

impl Link {
    fn new(steps: impl Iterator<Item = (Duration, Conditions)>, chance: fastrand::Rng) -> Self {
        let steps = std::iter::once((Duration::ZERO, Conditions::default())).chain(steps).collect();
        let (free, newest) = (Duration::ZERO, Duration::ZERO);
        let queue = VecDeque::new();
        Self { steps, chance, queue, waiting: 0, free, newest, is_bursting: false, traffic: Traffic::default() }
    }

    /// What it did so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// What becomes of a datagram of so many bytes that comes at `at`, not before the one before it.
    pub fn pass(&mut self, at: Duration, bytes: usize) -> Fate {
        self.traffic.came += 1;
        let bytes = bytes + HEADERS;
        let now = self.step(at);
        let (is_limited, room) = (self.steps[now].1.rate.is_some(), self.steps[now].1.queue_kib * 1024);
        while let Some((_, gone)) = self.queue.pop_front_if(|(leaves, _)| *leaves <= at) {
            self.waiting -= gone;
        }
        if is_limited && self.waiting + bytes > room {
            self.traffic.dropped += 1;
            return Fate::Dropped;
        }
        let begins = self.free.max(at);
        self.free = self.leaves(begins, bytes);
        self.waiting += bytes;
        self.queue.push_back((self.free, bytes));
        self.traffic.longest_wait = self.traffic.longest_wait.max(begins - at);
        let conditions = self.steps[self.step(self.free)].1;
        if self.is_lost(&conditions) {
            self.traffic.lost += 1;
            return Fate::Lost;
        }
        let jitter = conditions.jitter.mul_f64(self.chance.f64());
        self.newest = self.newest.max(self.free + conditions.delay + jitter);
        Fate::Arrives(self.newest)
    }

    /// The step that holds at this time.
    fn step(&self, at: Duration) -> usize {
        self.steps.partition_point(|(from, _)| *from <= at) - 1
    }

    /// When so many bytes have left that begin to at `begins`, the rate changing meanwhile.
    fn leaves(&self, begins: Duration, bytes: usize) -> Duration {
        let (mut at, mut bits) = (begins, bytes as f64 * 8.0);
        loop {
            let step = self.step(at);
            let Some(rate) = self.steps[step].1.rate else { return at };
            let leaves = at + Duration::from_secs_f64(bits / rate);
            match self.steps.get(step + 1) {
                Some((end, _)) if leaves > *end => {
                    bits -= rate * (*end - at).as_secs_f64();
                    at = *end;
                }
                _ => return leaves,
            }
        }
    }

    fn is_lost(&mut self, conditions: &Conditions) -> bool {
        let loss = conditions.loss_percent / 100.0;
        let Some(burst) = conditions.burst.filter(|_| loss < 1.0) else { return self.chance.f64() < loss };
        // Of two states, one loses everything: it is left after `burst` datagrams and held for `loss` of the time.
        let changes = if self.is_bursting { 1.0 / burst } else { loss / (burst * (1.0 - loss)) };
        if self.chance.f64() < changes {
            self.is_bursting = !self.is_bursting;
        }
        self.is_bursting
    }
}

// The signature is serde's.
#[allow(clippy::ref_option)]
fn write_rate<S: Serializer>(rate: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    rate.serialize(serializer)
}

/// As people write a rate.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenRate {
    Bits(f64),
    Text(String),
}

fn read_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let written = Option::<WrittenRate>::deserialize(deserializer)?;
    let read = |written| match written {
        WrittenRate::Bits(rate) => Ok(rate),
        WrittenRate::Text(text) => {
            units::parse_rate(&text).ok_or_else(|| format!("'{text}' is no rate: write 600k or 10M"))
        }
    };
    written.map(read).transpose().map_err(D::Error::custom)
}
