//! What was measured: counters and histograms that add up, over seconds, threads and machines.
//!
//! Invariant: a [`Measures`] holds what happened since the one before it was taken; adding all of them up gives the run.

use base64::{Engine, engine::general_purpose::STANDARD};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as HistogramDeserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use std::collections::BTreeMap;
use std::time::Duration;

/// Largest value that is told apart from larger ones: ten minutes in microseconds.
const MOST: u64 = 600_000_000;

/// How values are spread: a histogram with three significant digits. Serialised in HdrHistogram's V2 format, deflated, as
/// base64, which that project's tools read.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread(Histogram<u64>);

impl Default for Spread {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, MOST, 3).expect("the bounds are sound"))
    }
}

impl Spread {
    /// Takes one value in; what is above ten minutes counts as that.
    pub fn record(&mut self, value: u64) {
        self.0.saturating_record(value);
    }

    /// Takes a time in, in microseconds.
    pub fn record_time(&mut self, time: Duration) {
        self.record(time.as_micros() as u64);
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The value that so many percent of the values do not exceed; `None` without values.
    pub fn percentile(&self, percent: f64) -> Option<u64> {
        (self.count() > 0).then(|| self.0.value_at_percentile(percent))
    }

    /// Mean; `None` without values.
    pub fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.0.mean())
    }

    /// The values between two, both included, that occurred, with how often: for plots.
    pub fn recorded(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter_recorded().map(|value| (value.value_iterated_to(), value.count_at_value()))
    }

    /// Adds another's values.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }
}

impl Serialize for Spread {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.0, &mut bytes).map_err(S::Error::custom)?;
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Spread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        let read: Histogram<u64> = HistogramDeserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|e| D::Error::custom(format!("{e:?}")))?;
        let mut spread = Self::default();
        spread.0.add(read).map_err(|e| D::Error::custom(format!("{e:?}")))?;
        Ok(spread)
    }
}

/// Everything that virtual viewers and publishers measure. Times are microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measures {
    /// Joins that were begun.
    pub joins: u64,
    /// Joins that led to a complete keyframe.
    pub joined: u64,
    /// Joins, and other calls, that failed, by reason.
    pub failed: BTreeMap<String, u64>,
    /// How late joins began, after their time in the schedule.
    pub late: Spread,
    /// From the call of the offer to its answer.
    pub http: Spread,
    /// From the answer to the first answered ICE check.
    pub ice: Spread,
    /// From there to the end of the DTLS handshake.
    pub dtls: Spread,
    /// From the call to the first packet of media.
    pub first_packet: Spread,
    /// From the call to the first complete keyframe.
    pub first_keyframe: Spread,
    /// From a publisher's sending of a frame's last packet to its receipt by a viewer, of frames published after the
    /// viewer asked for the camera. One frame in seven is looked at.
    pub transit: Spread,
    /// Interarrival jitter of each slot, once a second (RFC 3550, section 6.4.1).
    pub jitter: Spread,
    /// From the call that switches a slot to the first complete frame of its new camera.
    pub show: Spread,
    /// What viewers said they can receive (REMB), in kbit/s, once a second.
    pub remb_kbps: Spread,
    /// Media packets that came as they were first sent.
    pub packets: u64,
    /// Bytes of UDP payload that came.
    pub bytes: u64,
    /// Media packets that were to come.
    pub expected: u64,
    /// Of those, packets that did not come in time by themselves.
    pub lost: u64,
    /// Of those, packets that came as retransmissions.
    pub repaired: u64,
    /// Packets that were decrypted and looked into.
    pub opened: u64,
    /// Of those, packets that were not what they should be.
    pub wrong: u64,
    /// Complete frames.
    pub frames: u64,
    /// Times that no frame was complete for more than 200 ms.
    pub freezes: u64,
    /// How long those were, all together.
    pub frozen_us: u64,
    /// How long slots have been watched, all together, each from its first keyframe on.
    pub watched_us: u64,
    /// Slots that were switched to another camera.
    pub switches: u64,
    /// Times that a slot's camera came in another encoding than before.
    pub layer_switches: u64,
    /// Media packets that publishers sent.
    pub published: u64,
}

impl Measures {
    /// Adds what another measured.
    pub fn add(&mut self, other: &Self) {
        for (reason, count) in &other.failed {
            *self.failed.entry(reason.clone()).or_default() += count;
        }
        for (ours, theirs) in self.spreads_mut().into_iter().zip(other.spreads()) {
            ours.add(theirs);
        }
        for (ours, theirs) in self.counters_mut().into_iter().zip(other.counters()) {
            *ours += theirs;
        }
    }

    /// Adds what another measured of joins, and its failures.
    pub fn add_joins(&mut self, other: &Self) {
        let Self { joins, joined, failed, late, http, ice, dtls, first_packet, first_keyframe, .. } = other.clone();
        self.add(&Self {
            joins,
            joined,
            failed,
            late,
            http,
            ice,
            dtls,
            first_packet,
            first_keyframe,
            ..Self::default()
        });
    }

    /// Counts a failure.
    pub fn fail(&mut self, reason: &str) {
        *self.failed.entry(reason.to_owned()).or_default() += 1;
    }

    /// All failures.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Packets that never came, in percent of those that were to come.
    pub fn loss_percent(&self) -> f64 {
        percent(self.lost.saturating_sub(self.repaired), self.expected)
    }

    /// Packets that did not come by themselves, in percent of those that were to come.
    pub fn raw_loss_percent(&self) -> f64 {
        percent(self.lost, self.expected)
    }

    /// Time without a frame for more than 200 ms, in percent of watching.
    pub fn freeze_percent(&self) -> f64 {
        percent(self.frozen_us, self.watched_us)
    }

    fn spreads(&self) -> [&Spread; 10] {
        [
            &self.late,
            &self.http,
            &self.ice,
            &self.dtls,
            &self.first_packet,
            &self.first_keyframe,
            &self.transit,
            &self.jitter,
            &self.show,
            &self.remb_kbps,
        ]
    }

    fn spreads_mut(&mut self) -> [&mut Spread; 10] {
        [
            &mut self.late,
            &mut self.http,
            &mut self.ice,
            &mut self.dtls,
            &mut self.first_packet,
            &mut self.first_keyframe,
            &mut self.transit,
            &mut self.jitter,
            &mut self.show,
            &mut self.remb_kbps,
        ]
    }

    fn counters(&self) -> [u64; 16] {
        [
            self.joins,
            self.joined,
            self.packets,
            self.bytes,
            self.expected,
            self.lost,
            self.repaired,
            self.opened,
            self.wrong,
            self.frames,
            self.freezes,
            self.frozen_us,
            self.watched_us,
            self.switches,
            self.layer_switches,
            self.published,
        ]
    }

    fn counters_mut(&mut self) -> [&mut u64; 16] {
        [
            &mut self.joins,
            &mut self.joined,
            &mut self.packets,
            &mut self.bytes,
            &mut self.expected,
            &mut self.lost,
            &mut self.repaired,
            &mut self.opened,
            &mut self.wrong,
            &mut self.frames,
            &mut self.freezes,
            &mut self.frozen_us,
            &mut self.watched_us,
            &mut self.switches,
            &mut self.layer_switches,
            &mut self.published,
        ]
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}
