//! What a run does: how many publish and watch what, how they come, change and go. A scenario is a YAML file, or flags,
//! or a file with flags over it.

use crate::profile::Profile;
use crate::slo::Objective;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::time::Duration;

/// Most slots of a viewer.
pub const MAX_SLOTS: usize = 9;

/// See the module. Durations are written as `30s`, `5m`, `250ms`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// What reports call it.
    pub name: String,
    /// Cameras that are published, a virtual publisher each.
    pub publishers: u32,
    /// Viewers.
    pub viewers: u32,
    /// Slots of each viewer's page: 1, 4 or 9.
    pub layout: usize,
    /// How many of its slots show a camera; all of them by default.
    pub cameras_per_viewer: Option<usize>,
    /// Joins a second; they begin at their time, however many are under way.
    pub join_rate: f64,
    /// From the first join to the end.
    #[serde(serialize_with = "write_duration", deserialize_with = "read_duration")]
    pub duration: Duration,
    /// What a camera sends.
    pub profile: Profile,
    /// Largest encoding that viewers wish: `l`, `m` or `h`.
    pub rid: String,
    /// How often a viewer switches one of its slots to its next camera.
    #[serde(serialize_with = "write_optional", deserialize_with = "read_optional")]
    pub switch_every: Option<Duration>,
    /// Viewers that leave, and are replaced by new ones, each second.
    pub churn: f64,
    /// What it has to reach, where the call names nothing else.
    pub objectives: Vec<Objective>,
    /// Receivers take runs of packets from the kernel (GRO); `false` takes each packet by itself, as most clients do.
    pub gro: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "run".into(),
            publishers: 1,
            viewers: 100,
            layout: 1,
            cameras_per_viewer: None,
            join_rate: 50.0,
            duration: Duration::from_secs(30),
            profile: Profile::default(),
            rid: "h".into(),
            switch_every: None,
            churn: 0.0,
            objectives: Vec::new(),
            gro: true,
        }
    }
}

/// What is wrong with a scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct InvalidScenario {
    key: &'static str,
    reason: &'static str,
}

impl Scenario {
    /// How many slots of a viewer show a camera.
    pub fn shown(&self) -> usize {
        self.cameras_per_viewer.unwrap_or(self.layout).min(self.layout)
    }

    /// Whether it can be acted on.
    pub fn check(&self) -> Result<(), InvalidScenario> {
        let rid_is_known = ["l", "m", "h"].contains(&self.rid.as_str());
        let checks = [
            (matches!(self.layout, 1 | 4 | 9), "layout", "a page has 1, 4 or 9 slots"),
            (
                self.cameras_per_viewer.is_none_or(|n| n <= self.layout),
                "cameras_per_viewer",
                "no more than the layout has slots; raise layout",
            ),
            (self.publishers > 0, "publishers", "at least 1"),
            (self.publishers <= 100_000, "publishers", "100000 at most"),
            (self.viewers <= 1_000_000, "viewers", "1000000 at most"),
            (self.join_rate.is_finite() && self.join_rate > 0.0, "join_rate", "must be above 0"),
            (self.churn.is_finite() && self.churn >= 0.0, "churn", "must not be below 0"),
            (self.duration >= Duration::from_secs(1), "duration", "at least 1s"),
            (self.duration <= Duration::from_secs(20 * 3600), "duration", "20h at most: a grant lasts a day"),
            (self.switch_every.is_none_or(|t| t >= Duration::from_millis(100)), "switch_every", "at least 100ms"),
            (rid_is_known, "rid", "l, m or h"),
        ];
        let wrong = checks.into_iter().find(|(is_sound, _, _)| !is_sound);
        wrong.map_or(Ok(()), |(_, key, reason)| Err(InvalidScenario { key, reason }))
    }
}

pub(crate) fn write_duration<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

pub(crate) fn read_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    humantime::parse_duration(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn write_optional<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&duration.map(|d| humantime::format_duration(d).to_string()))
}

fn read_optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| humantime::parse_duration(&text).map_err(D::Error::custom)).transpose()
}
