//! Which charts a report has.

use super::chart::{Across, Chart, Line};
use crate::measure::Spread;
use crate::outcome::{Outcome, Second};

/// How the run went, second by second.
pub(super) fn over_time(outcome: &Outcome) -> Vec<Chart> {
    let series = &outcome.series;
    let across = Across::Run(outcome.seconds);
    let chart = |title, unit, lines: Vec<Line>| Chart { title, unit, across, lines, marks: Vec::new() };
    let line = |name, of: &dyn Fn(&Second) -> Option<f64>| Line {
        name,
        points: series.iter().map(|second| (second.at, of(second))).collect(),
    };
    let count = |value: u64| Some(value as f64);
    let lost = series.iter().any(|second| second.packets > 0);
    let loss = |value: f64| Some(value).filter(|_| lost);
    vec![
        chart(
            "Viewers",
            "viewers",
            vec![line("whose media flows", &|s| count(s.viewers)), line("joining", &|s| count(s.joining))],
        ),
        chart(
            "Joins",
            "joins and calls a second",
            vec![line("complete", &|s| count(s.joined)), line("failed", &|s| count(s.failed))],
        ),
        chart("Packets received", "packets/s", vec![line("packets", &|s| count(s.packets))]),
        chart("Bandwidth received", "Mbit/s", vec![line("UDP payload", &|s| Some(s.bytes as f64 * 8e-6))]),
        chart(
            "Transit",
            "ms",
            vec![line("median", &|s| s.transit_p50_ms), line("99th percentile", &|s| s.transit_p99_ms)],
        ),
        chart(
            "Loss",
            "% of packets",
            vec![line("after repair", &|s| loss(s.loss_percent)), line("before repair", &|s| loss(s.raw_loss_percent))],
        ),
        chart(
            "First packet",
            "ms from the call",
            vec![line("95th percentile of each second's joins", &|s| s.first_p95_ms)],
        ),
        chart("Freezes", "freezes that ended each second", vec![line("freezes", &|s| count(s.freezes))]),
        chart(
            "Server's processors",
            "cores",
            vec![
                line("all processes", &|s| Some(s.server?.cores)),
                line("of these, media threads", &|s| Some(s.server?.shard_cores)),
            ],
        ),
        chart("Server's memory", "MiB", vec![line("resident", &|s| Some(s.server?.memory as f64 / 1_048_576.0))]),
        chart("Packets sent by the server", "packets/s", vec![line("packets", &|s| count(s.server?.packets))]),
        chart("What viewers can receive (REMB)", "kbit/s", vec![line("median", &|s| s.remb_p50_kbps)]),
    ]
}

/// How the times are spread.
pub(super) fn distributions(outcome: &Outcome) -> Vec<Chart> {
    let m = &outcome.measures;
    let chart = |title, lines: &[(&'static str, &Spread)]| Chart {
        title,
        unit: "% that took no longer",
        across: Across::Time,
        lines: lines.iter().map(|(name, spread)| Line { name, points: cumulative(spread) }).collect(),
        marks: Vec::new(),
    };
    vec![
        chart("Transit of frames", &[("transit", &m.transit)]),
        chart("First picture", &[("first packet", &m.first_packet), ("first keyframe", &m.first_keyframe)]),
        chart("Steps of a join", &[("HTTP", &m.http), ("ICE", &m.ice), ("DTLS", &m.dtls)]),
        chart("Switching to another camera", &[("until its picture shows", &m.show)]),
        chart("Joins begun late by the load test itself", &[("late", &m.late)]),
        chart("Jitter", &[("interarrival jitter", &m.jitter)]),
    ]
}

/// CPU by viewers, for a ramp.
pub(super) fn ramp(outcome: &Outcome) -> Chart {
    let steps = || outcome.steps.iter().filter_map(|step| Some((step.viewers as f64, step.shard_cores?, step.is_met)));
    Chart {
        title: "Processors by viewers",
        unit: "cores of media threads",
        across: Across::Viewers,
        lines: vec![Line {
            name: "steps",
            points: steps().map(|(viewers, cores, _)| (viewers, Some(cores))).collect(),
        }],
        marks: steps().collect(),
    }
}

fn cumulative(spread: &Spread) -> Vec<(f64, Option<f64>)> {
    let all = spread.count() as f64;
    let mut sum = 0;
    let mut points: Vec<(f64, Option<f64>)> = Vec::new();
    for (value, count) in spread.recorded() {
        let at = (value.max(1) as f64).log10();
        if points.is_empty() {
            points.push((at, Some(0.0)));
        }
        sum += count;
        points.push((at, Some(100.0 * sum as f64 / all)));
    }
    points
}
