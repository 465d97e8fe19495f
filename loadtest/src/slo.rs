//! Service objectives: `loss<0.1%,transit_p99<100ms,first_p95<500ms`.
//!
//! What can be bounded: `loss`, `raw_loss`, `freeze` and `failed` in percent (never came; did not come by itself; time
//! without a frame; joins that failed), and the percentiles `http_pN`, `ice_pN`, `dtls_pN`, `first_pN` (first packet),
//! `keyframe_pN`, `transit_pN`, `jitter_pN`, `show_pN`, `late_pN` in `us`, `ms` or `s`.

use crate::measure::{Measures, Spread};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Objective {
    subject: Subject,
    /// In percent, or in microseconds.
    most: f64,
    /// As it was written.
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Subject {
    Loss,
    RawLoss,
    Freeze,
    Failed,
    Time(Step, f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Late,
    Http,
    Ice,
    Dtls,
    First,
    Keyframe,
    Transit,
    Jitter,
    Show,
}

const STEPS: [(&str, Step); 9] = [
    ("late", Step::Late),
    ("http", Step::Http),
    ("ice", Step::Ice),
    ("dtls", Step::Dtls),
    ("first", Step::First),
    ("keyframe", Step::Keyframe),
    ("transit", Step::Transit),
    ("jitter", Step::Jitter),
    ("show", Step::Show),
];

/// How an objective was met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The objective.
    pub objective: Objective,
    /// What was measured, with its unit; `nothing measured` is no success.
    pub measured: String,
    /// Whether it was met.
    pub is_met: bool,
}

/// The text is no objective.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no objective: {reason}")]
pub struct InvalidObjective {
    text: String,
    reason: &'static str,
}

/// Reads a list of objectives, with commas between.
pub fn parse(text: &str) -> Result<Vec<Objective>, InvalidObjective> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::parse).collect()
}

impl Objective {
    /// How it is met by what was measured.
    pub fn judge(&self, measures: &Measures) -> Verdict {
        let measured = match self.subject {
            Subject::Loss => Some(measures.loss_percent()).filter(|_| measures.expected > 0),
            Subject::RawLoss => Some(measures.raw_loss_percent()).filter(|_| measures.expected > 0),
            Subject::Freeze => Some(measures.freeze_percent()).filter(|_| measures.watched_us > 0),
            Subject::Failed => (measures.joins > 0).then(|| 100.0 * measures.failures() as f64 / measures.joins as f64),
            Subject::Time(step, percent) => spread(measures, step).percentile(percent).map(|us| us as f64),
        };
        let is_time = matches!(self.subject, Subject::Time(..));
        let unit = |value: f64| if is_time { format!("{:.2} ms", value / 1000.0) } else { format!("{value:.3} %") };
        Verdict {
            objective: self.clone(),
            measured: measured.map_or_else(|| "nothing measured".to_owned(), unit),
            is_met: measured.is_some_and(|value| value < self.most),
        }
    }
}

fn spread(measures: &Measures, step: Step) -> &Spread {
    match step {
        Step::Late => &measures.late,
        Step::Http => &measures.http,
        Step::Ice => &measures.ice,
        Step::Dtls => &measures.dtls,
        Step::First => &measures.first_packet,
        Step::Keyframe => &measures.first_keyframe,
        Step::Transit => &measures.transit,
        Step::Jitter => &measures.jitter,
        Step::Show => &measures.show,
    }
}

impl FromStr for Objective {
    type Err = InvalidObjective;

    fn from_str(text: &str) -> Result<Self, InvalidObjective> {
        let wrong = |reason| InvalidObjective { text: text.to_owned(), reason };
        let (name, bound) = text.split_once('<').ok_or_else(|| wrong("write NAME<BOUND, such as loss<0.1%"))?;
        let (name, bound) = (name.trim(), bound.trim());
        let subject = match name {
            "loss" => Subject::Loss,
            "raw_loss" => Subject::RawLoss,
            "freeze" => Subject::Freeze,
            "failed" => Subject::Failed,
            _ => time(name).ok_or_else(|| {
                wrong("known are loss, raw_loss, freeze, failed, and late, http, ice, dtls, first, keyframe, transit, jitter, show with _p and a percentile, such as transit_p99")
            })?,
        };
        let (number, factor) = match subject {
            Subject::Time(..) => {
                let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
                let found = units.iter().find_map(|(unit, factor)| Some((bound.strip_suffix(unit)?, *factor)));
                found.ok_or_else(|| wrong("a time is bounded in us, ms or s"))?
            }
            _ => (bound.strip_suffix('%').ok_or_else(|| wrong("this is bounded in percent, such as 0.1%"))?, 1.0),
        };
        let most: f64 = number.trim().parse().map_err(|_| wrong("the bound is no number"))?;
        if !(most.is_finite() && most > 0.0) {
            return Err(wrong("the bound must be above 0"));
        }
        Ok(Self { subject, most: most * factor, text: text.to_owned() })
    }
}

fn time(name: &str) -> Option<Subject> {
    let (step, percent) = name.split_once("_p")?;
    let step = STEPS.iter().find(|(known, _)| *known == step)?.1;
    let percent: f64 = percent.parse().ok()?;
    (percent > 0.0 && percent <= 100.0).then_some(Subject::Time(step, percent))
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Objective> for String {
    fn from(objective: Objective) -> Self {
        objective.text
    }
}

impl TryFrom<String> for Objective {
    type Error = InvalidObjective;

    fn try_from(text: String) -> Result<Self, InvalidObjective> {
        text.parse()
    }
}
