//! How Chromium 156 estimates at the receiver what its network carries, and when it says so (REMB): by
//! draft-ietf-rmcat-gcc-02, section 5, with that browser's constants. Times are milliseconds, rates bit/s.

use std::collections::VecDeque;

/// Packets that leave within so long are one group.
const GROUP: f64 = 5.0;
/// Packets that a queue let through together belong to one group, until so long after its first.
const BURST: f64 = 100.0;
/// A pause after which it begins anew.
const PAUSE: f64 = 2000.0;
/// Span over which is measured what arrives.
const WINDOW: f64 = 1000.0;
/// How often it estimates and tells, where nothing is urgent.
const INTERVAL: f64 = 200.0;
/// What is told at once is below this share of what was told last.
const CLEAR_FALL: f64 = 0.97;
/// Without overuse, the first estimate comes so long after the first measurement.
const FIRST: f64 = 5000.0;
/// After overuse, this share of what arrives remains.
const DECREASE: f64 = 0.85;
/// By so much it grows in a second.
const INCREASE: f64 = 1.08;

/// How the network is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Usage {
    Normal,
    Over,
    Under,
}

/// See the module.
pub(crate) struct Estimator {
    groups: Groups,
    trend: Trend,
    detector: Detector,
    control: Control,
    arrived: VecDeque<(f64, u64)>,
    updated: Option<f64>,
    told: Option<(f64, f64)>,
}

impl Estimator {
    /// With so long a round trip.
    pub(crate) fn new(round_trip: f64) -> Self {
        Self {
            groups: Groups::default(),
            trend: Trend::new(),
            detector: Detector::new(),
            control: Control::new(round_trip),
            arrived: VecDeque::new(),
            updated: None,
            told: None,
        }
    }

    /// What it tells beside its reports.
    pub(crate) fn estimate(&self) -> Option<u64> {
        self.told.map(|(_, rate)| rate as u64)
    }

    /// A packet of so many bytes arrives, which left at `sent`, in 6.18 fixed point seconds. Returns what it tells now.
    pub(crate) fn packet(&mut self, now: f64, sent: u32, bytes: u64) -> Option<u64> {
        if self.arrived.back().is_some_and(|(at, _)| now - at > PAUSE) {
            (self.groups, self.trend, self.detector) = (Groups::default(), Trend::new(), Detector::new());
        }
        self.arrived.push_back((now, bytes));
        while self.arrived.pop_front_if(|(at, _)| *at <= now - WINDOW).is_some() {}
        if let Some(change) = self.groups.packet(now, sent, bytes) {
            self.trend.update(change, self.detector.usage);
            self.detector.detect(self.trend.offset, change.sent, self.trend.changes, now);
        }
        let incoming = self.incoming(now);
        let is_due = self.updated.is_none_or(|at| now - at > INTERVAL);
        let is_urgent =
            self.detector.usage == Usage::Over && incoming.is_some_and(|rate| self.control.may_fall(now, rate));
        if !is_due && !is_urgent {
            return None;
        }
        self.control.update(now, self.detector.usage, incoming);
        let rate = self.control.rate.filter(|_| self.control.is_begun)?;
        self.updated = Some(now);
        let is_told = self.told.is_some_and(|(at, last)| now - at < INTERVAL && rate >= CLEAR_FALL * last);
        if is_told {
            return None;
        }
        self.told = Some((now, rate));
        Some(rate as u64)
    }

    /// What arrives.
    fn incoming(&self, now: f64) -> Option<f64> {
        let first = self.arrived.front()?.0;
        let span = (now - first + 1.0).min(WINDOW);
        let bytes: u64 = self.arrived.iter().map(|(_, bytes)| bytes).sum();
        (self.arrived.len() > 1 && span > 1.0).then(|| 8000.0 * bytes as f64 / span)
    }
}

/// From one group of packets to the next.
#[derive(Clone, Copy)]
struct Change {
    sent: f64,
    arrived: f64,
    bytes: f64,
}

#[derive(Clone, Copy)]
struct Group {
    first_sent: f64,
    sent: f64,
    first_arrived: f64,
    arrived: f64,
    bytes: f64,
}

/// Packets by when they left.
#[derive(Default)]
struct Groups {
    present: Option<Group>,
    before: Option<Group>,
    /// The last send time in 1/2^18 s, and with its roll-overs.
    last: Option<(u32, i64)>,
}

impl Groups {
    /// When a packet left, on one line with those before it.
    fn unroll(&mut self, sent: u32) -> f64 {
        let ticks = match self.last {
            None => i64::from(sent),
            Some((last, ticks)) => {
                let ahead = i64::from(sent.wrapping_sub(last) & 0x00ff_ffff);
                ticks + if ahead < 1 << 23 { ahead } else { ahead - (1 << 24) }
            }
        };
        self.last = Some((sent, ticks));
        1000.0 * ticks as f64 / f64::from(1 << 18)
    }

    fn packet(&mut self, now: f64, sent: u32, bytes: u64) -> Option<Change> {
        let sent = self.unroll(sent);
        let alone = Group { first_sent: sent, sent, first_arrived: now, arrived: now, bytes: bytes as f64 };
        let Some(present) = &mut self.present else {
            self.present = Some(alone);
            return None;
        };
        if sent < present.first_sent {
            return None;
        }
        let (since_sent, since_arrived) = (sent - present.sent, now - present.arrived);
        let is_burst = since_sent == 0.0
            || (since_arrived < since_sent && since_arrived <= GROUP && now - present.first_arrived < BURST);
        if is_burst || sent - present.first_sent <= GROUP {
            present.sent = present.sent.max(sent);
            present.arrived = now;
            present.bytes += bytes as f64;
            return None;
        }
        let change = self.before.map(|before| Change {
            sent: present.sent - before.sent,
            arrived: present.arrived - before.arrived,
            bytes: present.bytes - before.bytes,
        });
        self.before = self.present.replace(alone);
        change
    }
}

/// By how much each group takes longer than the one before it: a Kalman filter.
struct Trend {
    changes: u32,
    slope: f64,
    offset: f64,
    before: f64,
    covariance: [[f64; 2]; 2],
    mean_noise: f64,
    noise: f64,
    periods: VecDeque<f64>,
}

impl Trend {
    fn new() -> Self {
        Self {
            changes: 0,
            slope: 8.0 / 512.0,
            offset: 0.0,
            before: 0.0,
            covariance: [[100.0, 0.0], [0.0, 0.1]],
            mean_noise: 0.0,
            noise: 50.0,
            periods: VecDeque::new(),
        }
    }

    fn update(&mut self, change: Change, usage: Usage) {
        self.changes = (self.changes + 1).min(1000);
        self.periods.push_back(change.sent);
        if self.periods.len() > 60 {
            self.periods.pop_front();
        }
        let period = self.periods.iter().copied().fold(f64::MAX, f64::min);
        let e = &mut self.covariance;
        e[0][0] += 1e-13;
        e[1][1] += 1e-3;
        let is_turning = match usage {
            Usage::Over => self.offset < self.before,
            Usage::Under => self.offset > self.before,
            Usage::Normal => false,
        };
        if is_turning {
            e[1][1] += 10.0 * 1e-3;
        }
        let h = [change.bytes, 1.0];
        let eh = [e[0][0] * h[0] + e[0][1] * h[1], e[1][0] * h[0] + e[1][1] * h[1]];
        let residual = change.arrived - change.sent - self.slope * h[0] - self.offset;
        if usage == Usage::Normal {
            let most = 3.0 * self.noise.sqrt();
            let alpha: f64 = if self.changes > 300 { 0.002 } else { 0.01 };
            let beta = (1.0 - alpha).powf(period * 30.0 / 1000.0);
            let seen = residual.clamp(-most, most);
            self.mean_noise = beta * self.mean_noise + (1.0 - beta) * seen;
            self.noise = (beta * self.noise + (1.0 - beta) * (self.mean_noise - seen).powi(2)).max(1.0);
        }
        let total = self.noise + h[0] * eh[0] + h[1] * eh[1];
        let k = [eh[0] / total, eh[1] / total];
        let rest = [[1.0 - k[0] * h[0], -k[0] * h[1]], [-k[1] * h[0], 1.0 - k[1] * h[1]]];
        let product = |row: usize, column: usize| rest[row][0] * e[0][column] + rest[row][1] * e[1][column];
        *e = [[product(0, 0), product(0, 1)], [product(1, 0), product(1, 1)]];
        self.slope += k[0] * residual;
        self.before = self.offset;
        self.offset += k[1] * residual;
    }
}

/// What the trend says of how the network is used, by a threshold that adapts.
struct Detector {
    usage: Usage,
    threshold: f64,
    updated: Option<f64>,
    /// How long, and how often in a row, the trend lay above the threshold.
    over: Option<f64>,
    times: u32,
    before: f64,
}

impl Detector {
    fn new() -> Self {
        Self { usage: Usage::Normal, threshold: 12.5, updated: None, over: None, times: 0, before: 0.0 }
    }

    fn detect(&mut self, offset: f64, sent: f64, changes: u32, now: f64) {
        if changes < 2 {
            return;
        }
        let trend = f64::from(changes.min(60)) * offset;
        if trend > self.threshold {
            let over = self.over.map_or(sent / 2.0, |over| over + sent);
            (self.over, self.times) = (Some(over), self.times + 1);
            if over > 10.0 && self.times > 1 && offset >= self.before {
                (self.over, self.times, self.usage) = (Some(0.0), 0, Usage::Over);
            }
        } else {
            (self.over, self.times) = (None, 0);
            self.usage = if trend < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.before = offset;
        let elapsed = (now - self.updated.replace(now).unwrap_or(now)).min(100.0);
        if trend.abs() <= self.threshold + 15.0 {
            let k = if trend.abs() < self.threshold { 0.039 } else { 0.0087 };
            self.threshold = (self.threshold + k * (trend.abs() - self.threshold) * elapsed).clamp(6.0, 600.0);
        }
    }
}

/// What the link carried when it was overused, in kbit/s.
#[derive(Default)]
struct Capacity {
    mean: Option<f64>,
    deviation: f64,
}

impl Capacity {
    fn overused(&mut self, rate: f64) {
        let sample = rate / 1000.0;
        let deviation = if self.mean.is_some() { self.deviation } else { 0.4 };
        let mean = self.mean.map_or(sample, |mean| 0.95 * mean + 0.05 * sample);
        let error = (mean - sample).powi(2) / mean.max(1.0);
        (self.mean, self.deviation) = (Some(mean), (0.95 * deviation + 0.05 * error).clamp(0.4, 2.5));
    }

    /// Which of -1 below, 0 within and 1 above what is known a rate is.
    fn compare(&self, rate: f64) -> i8 {
        let Some(mean) = self.mean else { return 0 };
        let spread = 3.0 * (self.deviation * mean).sqrt();
        let kbit = rate / 1000.0;
        i8::from(kbit > mean + spread) - i8::from(kbit < mean - spread)
    }
}

/// The estimate: up slowly, down by a share.
struct Control {
    rate: Option<f64>,
    is_begun: bool,
    is_holding: bool,
    capacity: Capacity,
    round_trip: f64,
    measured: Option<f64>,
    changed: Option<f64>,
}

impl Control {
    fn new(round_trip: f64) -> Self {
        let capacity = Capacity::default();
        Self { rate: None, is_begun: false, is_holding: true, capacity, round_trip, measured: None, changed: None }
    }

    fn may_fall(&self, now: f64, incoming: f64) -> bool {
        let interval = self.round_trip.clamp(10.0, 200.0);
        self.changed.is_none_or(|at| now - at >= interval) || self.rate.is_some_and(|rate| incoming < rate / 2.0)
    }

    fn update(&mut self, now: f64, usage: Usage, incoming: Option<f64>) {
        let Some(incoming) = incoming else { return };
        let first = *self.measured.get_or_insert(now);
        if !self.is_begun && now - first > FIRST {
            (self.rate, self.is_begun) = (Some(incoming), true);
        }
        match usage {
            Usage::Over => self.decrease(now, incoming),
            Usage::Normal if self.is_begun => self.increase(now, incoming),
            Usage::Under if self.is_begun => self.is_holding = true,
            Usage::Normal | Usage::Under => {}
        }
    }

    fn increase(&mut self, now: f64, incoming: f64) {
        let Some(rate) = self.rate else { return };
        if std::mem::take(&mut self.is_holding) {
            self.changed = Some(now);
        }
        if self.capacity.compare(incoming) > 0 {
            self.capacity = Capacity::default();
        }
        let most = 1.5 * incoming + 10_000.0;
        let elapsed = self.changed.map_or(1.0, |at| (now - at) / 1000.0);
        if rate < most {
            let more = if self.capacity.mean.is_some() {
                elapsed * self.packet_per_response(rate)
            } else {
                (rate * (INCREASE.powf(elapsed.min(1.0)) - 1.0)).max(1000.0)
            };
            self.rate = Some((rate + more).min(most));
        }
        self.changed = Some(now);
    }

    /// One packet more in each response time, in bit/s a second.
    fn packet_per_response(&self, rate: f64) -> f64 {
        let frame = rate / 30.0;
        let packet = frame / (frame / (8.0 * 1200.0)).ceil().max(1.0);
        (1000.0 * packet / (self.round_trip + 100.0)).max(4000.0)
    }

    fn decrease(&mut self, now: f64, incoming: f64) {
        let rate = self.rate.unwrap_or(f64::MAX);
        let mut lower = DECREASE * incoming;
        if let (true, Some(mean)) = (lower > rate, self.capacity.mean) {
            lower = DECREASE * 1000.0 * mean;
        }
        self.rate = Some(rate.min(lower).max(5000.0));
        if self.capacity.compare(incoming) < 0 {
            self.capacity = Capacity::default();
        }
        self.capacity.overused(incoming);
        (self.is_begun, self.is_holding, self.changed) = (true, true, Some(now));
    }
}
