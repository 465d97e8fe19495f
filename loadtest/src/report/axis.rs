//! Where axes begin and end, and what stands at their ticks. Invariant: six ticks at most, so that labels never meet.

use crate::units;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// Steps of a time axis, in seconds: what people count in.
const TIMES: [f64; 19] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0,
    14_400.0, 21_600.0, 43_200.0,
];
/// Most ticks, but for the first.
const MOST: f64 = 5.0;

/// One axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// From its beginning to its end, in its own measure.
    pub(super) range: Range<f64>,
    /// Ticks: where, and what stands there.
    pub(super) ticks: Vec<(f64, String)>,
    /// What it counts, with the unit.
    pub(super) name: String,
}

impl Axis {
    /// Of values from 0, or from what is below it, to `most`.
    pub(super) fn values(least: f64, most: f64, name: &str) -> Self {
        let most = if most > least.min(0.0) { most } else { 1.0 };
        let step = round_step((most - least.min(0.0)) / MOST);
        let first = (least.min(0.0) / step).floor();
        let last = (most / step - 1e-9).ceil();
        let count = (last - first).round() as i32;
        let ticks = (0..=count).map(|n| (first + f64::from(n)) * step).map(|at| (at, label(at, step)));
        Self { range: first * step..last * step, ticks: ticks.collect(), name: name.to_owned() }
    }

    /// Of the seconds of a run.
    pub(super) fn run(seconds: f64) -> Self {
        let seconds = seconds.max(1.0);
        let fitting = TIMES.into_iter().find(|step| seconds / step <= MOST);
        let step = fitting.unwrap_or_else(|| (seconds / MOST / 43_200.0).ceil() * 43_200.0);
        let (unit, name) = match step {
            s if s >= 3600.0 => (3600.0, "hours of the run"),
            s if s >= 60.0 => (60.0, "minutes of the run"),
            _ => (1.0, "seconds of the run"),
        };
        let count = (seconds / step + 1e-9) as i32;
        let ticks = (0..=count).map(|n| f64::from(n) * step).map(|at| (at, label(at / unit, step / unit)));
        Self { range: 0.0..seconds, ticks: ticks.collect(), name: name.to_owned() }
    }

    /// Of logarithms (to the base of 10) of microseconds.
    pub(super) fn log_time(least: f64, most: f64) -> Self {
        let (first, last) = (least.floor(), most.ceil().max(least.floor() + 1.0));
        let decades = (last - first) as i32;
        let every = (f64::from(decades) / MOST).ceil() as i32;
        let within: &[f64] = match decades {
            1 => &[1.0, 2.0, 5.0],
            2 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let at = |n: i32| within.iter().map(move |factor| first + f64::from(n) + factor.log10());
        let places = (0..=decades).filter(|n| n % every == 0).flat_map(at).filter(|at| *at <= last + 1e-9);
        let ticks = places.map(|at| (at, round_time(10_f64.powf(at)))).collect();
        Self { range: first..last, ticks, name: "time, logarithmic".to_owned() }
    }

    /// Of percent, all of them.
    pub(super) fn shares(name: &str) -> Self {
        let ticks = [0, 25, 50, 75, 100].map(|share| (f64::from(share), share.to_string()));
        Self { range: 0.0..100.0, ticks: ticks.to_vec(), name: name.to_owned() }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Plotters asks for light lines too; there are none between the ticks.
        let ticks = self.ticks.iter().filter(|_| !hint.weight().allow_light_points());
        ticks.map(|(at, _)| *at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, at: &f64) -> String {
        let tick = self.ticks.iter().find(|(tick, _)| tick == at);
        tick.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

/// The next larger of 1, 2 or 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| step <= factor * power * (1.0 + 1e-9)).unwrap_or(10.0);
    factor * power
}

/// `20k`, `1,500`, `0.25`: with as many decimals as the step needs.
fn label(value: f64, step: f64) -> String {
    let scales = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    // A step that is itself in thousands, or values too long to read.
    let scale = scales
        .into_iter()
        .find(|(scale, _)| step >= scale * 0.999 || (step >= scale * 0.1 && value.abs() >= scale * 10.0));
    let (factor, unit) = scale.unwrap_or((1.0, ""));
    if value == 0.0 {
        return "0".to_owned();
    }
    let decimals = (-(step / factor).log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{:.decimals$}{unit}", value / factor)
}

fn round_time(us: f64) -> String {
    let text = units::time(us);
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> String {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round() {
        let cases = [
            (Axis::values(0.0, 0.0, ""), "0 0.2 0.4 0.6 0.8 1.0"),
            (Axis::values(0.0, 7.3, ""), "0 2 4 6 8"),
            (Axis::values(0.0, 500.0, ""), "0 100 200 300 400 500"),
            (Axis::values(0.0, 0.031, ""), "0 0.01 0.02 0.03 0.04"),
            (Axis::values(0.0, 4_800.0, ""), "0 1k 2k 3k 4k 5k"),
            (Axis::values(0.0, 23_456.0, ""), "0 5k 10k 15k 20k 25k"),
            (Axis::values(-3.0, 10.0, ""), "-5 0 5 10"),
            (Axis::run(0.0), "0 1"),
            (Axis::run(30.0), "0 10 20 30"),
            (Axis::run(180.0), "0 1 2 3"),
            (Axis::run(5400.0), "0 30 60 90"),
            (Axis::run(72_000.0), "0 4 8 12 16 20"),
            (Axis::log_time(2.3, 2.9), "100 µs 200 µs 500 µs 1 ms"),
            (Axis::log_time(2.0, 4.0), "100 µs 300 µs 1 ms 3 ms 10 ms"),
            (Axis::log_time(0.0, 5.5), "1 µs 100 µs 10 ms 1 s"),
        ];
        for (axis, wanted) in cases {
            assert_eq!(labels(&axis), wanted);
        }
    }

    #[test]
    fn no_axis_is_empty_or_crowded() {
        let values: [f64; 9] = [1e-9, 0.1, 1.0, 3.0, 9.99, 10.0, 1234.5, 1e6, 4.2e12];
        let axes = values.into_iter().flat_map(|most| {
            let logarithm = most.log10();
            [
                Axis::values(0.0, most, ""),
                Axis::run(most),
                Axis::log_time(logarithm, logarithm),
                Axis::log_time(0.0, logarithm),
            ]
        });
        for axis in axes {
            assert!(axis.range.start < axis.range.end, "{axis:?}");
            assert!((1..=7).contains(&axis.ticks.len()), "{axis:?}");
        }
    }
}
