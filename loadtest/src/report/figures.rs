//! The key figures of a run, and whether it is a success: the same for the page and for the terminal.

use crate::measure::{Measures, Spread};
use crate::outcome::{Outcome, ServerSecond, Step};
use crate::units::{count, memory, number, percent, rate, time};

/// One key figure.
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) detail: String,
    /// Something that should not be.
    pub(super) is_bad: bool,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Met,
    Missed,
    /// There was nothing to be met.
    Open,
}

/// The verdict in words.
pub(super) struct Headline {
    pub(super) standing: Standing,
    pub(super) title: String,
    pub(super) detail: String,
}

/// A measured step, for tables.
pub(super) struct Timed<'a> {
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
    pub(super) spread: &'a Spread,
    /// How a value is written.
    pub(super) write: fn(f64) -> String,
}

/// The verdict: of a ramp its capacity, of another run whether each objective was met.
pub(super) fn headline(outcome: &Outcome) -> Headline {
    if !outcome.steps.is_empty() {
        return capacity(&outcome.steps);
    }
    let missed = outcome.verdicts.iter().filter(|verdict| !verdict.is_met).count();
    let all = outcome.verdicts.len();
    let (standing, title) = match (all, missed) {
        (0, _) => (Standing::Open, "Measured, without objectives".to_owned()),
        (1, 0) => (Standing::Met, "The objective is met".to_owned()),
        (_, 0) => (Standing::Met, format!("All {all} objectives are met")),
        (1, _) => (Standing::Missed, "The objective is missed".to_owned()),
        _ => (Standing::Missed, format!("{missed} of {all} objectives missed")),
    };
    let viewers = count(most_viewers(outcome));
    Headline { standing, title, detail: format!("with up to {viewers} viewers of {}", outcome.scenario.profile) }
}

fn capacity(steps: &[Step]) -> Headline {
    let met = steps.iter().take_while(|step| step.is_met).last();
    let why = |step: &Step| Some(format!("{} viewers were too many: {}", count(step.viewers), step.why_missed()?));
    let (standing, title) = match met {
        Some(step) => (Standing::Met, format!("Capacity: {} viewers", count(step.viewers))),
        None => (Standing::Missed, "No step of the ramp met its objectives".to_owned()),
    };
    let detail = steps
        .iter()
        .find_map(why)
        .unwrap_or_else(|| "every step met its objectives: the ramp ended before the capacity".to_owned());
    Headline { standing, title, detail }
}

/// The most viewers there were at a time.
pub(super) fn most_viewers(outcome: &Outcome) -> u64 {
    outcome.series.iter().map(|second| second.viewers).max().unwrap_or(0)
}

/// The key figures; what was not measured is not among them.
pub(super) fn figures(outcome: &Outcome) -> Vec<Figure> {
    let all = [viewers(outcome), delivery(&outcome.measures), server(outcome)];
    all.into_iter().flatten().flatten().collect()
}

fn figure(name: &'static str, value: String, detail: String) -> Figure {
    Figure { name, value, detail, is_bad: false }
}

fn viewers(outcome: &Outcome) -> Vec<Option<Figure>> {
    let (m, scenario) = (&outcome.measures, &outcome.scenario);
    let cameras = match scenario.shown() {
        1 => "one camera each".to_owned(),
        n => format!("{n} cameras each"),
    };
    let most = most_viewers(outcome);
    let failures = m.failures();
    let received = median(plateau(outcome).map(|second| (second.packets as f64, second.bytes as f64 * 8.0)));
    vec![
        (most > 0).then(|| figure("Viewers at most", count(most), cameras)),
        (m.joins > 0).then(|| Figure {
            is_bad: failures > 0,
            ..figure("Joins", count(m.joined), format!("of {} begun, {} failures", count(m.joins), count(failures)))
        }),
        received.map(|(packets, bits)| figure("Received", rate(bits), format!("{} packets/s", number(packets)))),
    ]
}

fn delivery(m: &Measures) -> Vec<Option<Figure>> {
    let two = |name, spread: &Spread, percentile: f64| {
        let (half, most) = (spread.percentile(50.0)?, spread.percentile(percentile)?);
        Some(figure(name, time(half as f64), format!("median; {} at p{percentile}", time(most as f64))))
    };
    vec![
        (m.expected > 0).then(|| {
            let before = percent(m.raw_loss_percent());
            Figure {
                is_bad: m.lost > m.repaired,
                ..figure("Loss", percent(m.loss_percent()), format!("after repair, {before} before"))
            }
        }),
        two("Transit", &m.transit, 99.0),
        two("First picture", &m.first_keyframe, 95.0),
        two("First packet", &m.first_packet, 95.0),
        two("Switch", &m.show, 95.0),
        (m.watched_us > 0).then(|| Figure {
            is_bad: m.freezes > 0,
            ..figure("Freezes", count(m.freezes), format!("{} of the time watched", percent(m.freeze_percent())))
        }),
        (m.wrong > 0).then(|| Figure {
            is_bad: true,
            ..figure("Wrong packets", count(m.wrong), format!("of {} looked into", count(m.opened)))
        }),
    ]
}

fn server(outcome: &Outcome) -> Vec<Option<Figure>> {
    let used =
        median(plateau(outcome).filter_map(|second| second.server).map(|s: ServerSecond| (s.cores, s.shard_cores)));
    let cost = outcome.cost.as_ref();
    let positive = |value: f64| Some(value).filter(|value| *value > 0.0);
    vec![
        used.map(|(cores, shards)| {
            figure("Server CPU", format!("{} cores", number(cores)), format!("{} in media threads", number(shards)))
        }),
        cost.and_then(|cost| positive(cost.packet_us)).map(|us| {
            figure("Packets per CPU-second", count((1e6 / us).round() as u64), format!("{} of a core each", time(us)))
        }),
        cost.and_then(|cost| positive(cost.viewer_us_per_second)).map(|us| {
            let viewers = count((1e6 / us).floor() as u64);
            figure("CPU per viewer-second", time(us), format!("{viewers} viewers on a whole core"))
        }),
        cost.and_then(|cost| cost.join_us).and_then(positive).map(|us| {
            figure(
                "CPU per join",
                time(us),
                format!("{} joins a second on a whole core", count((1e6 / us).floor() as u64)),
            )
        }),
        cost.and_then(|cost| cost.viewer_bytes).map(|bytes| {
            let most = outcome.series.iter().filter_map(|second| second.server).map(|s| s.memory).max();
            let all = most.map_or_else(String::new, |most| format!("{} in all, at most", memory(most as f64)));
            figure("Memory per viewer", memory(bytes), all)
        }),
    ]
}

/// The seconds with (nearly) the most viewers.
fn plateau(outcome: &Outcome) -> impl Iterator<Item = &crate::outcome::Second> {
    let most = most_viewers(outcome) as f64;
    outcome.series.iter().filter(move |second| most > 0.0 && second.viewers as f64 >= 0.95 * most)
}

/// The median of each.
fn median(pairs: impl Iterator<Item = (f64, f64)>) -> Option<(f64, f64)> {
    let (mut left, mut right): (Vec<f64>, Vec<f64>) = pairs.unzip();
    left.sort_by(f64::total_cmp);
    right.sort_by(f64::total_cmp);
    Some((*left.get(left.len() / 2)?, *right.get(right.len() / 2)?))
}

/// The steps that were measured, each with its meaning.
pub(super) fn timed(m: &Measures) -> Vec<Timed<'_>> {
    let all = [
        timed_by(
            "Late",
            "How late joins began, after their time in the schedule: above some ms, the harness is at its limits.",
            &m.late,
            time,
        ),
        timed_by("HTTP", "From the call with the offer to its answer.", &m.http, time),
        timed_by("ICE", "From the answer to the first answered ICE check.", &m.ice, time),
        timed_by("DTLS", "From there to the end of the DTLS handshake.", &m.dtls, time),
        timed_by("First packet", "From the call to the first packet of media.", &m.first_packet, time),
        timed_by(
            "First picture",
            "From the call to the first complete keyframe; a decoder adds its own few ms.",
            &m.first_keyframe,
            time,
        ),
        timed_by(
            "Transit",
            "From the publisher's send of a frame's last packet to the kernel's receipt at the viewer.",
            &m.transit,
            time,
        ),
        timed_by("Jitter", "Interarrival jitter of each slot, once a second (RFC 3550).", &m.jitter, time),
        timed_by(
            "Switch",
            "From the call that switches a slot to the first complete frame of its new camera.",
            &m.show,
            time,
        ),
        timed_by(
            "REMB",
            "What viewers said they can receive, once a second; low values are the ones to look at.",
            &m.remb_kbps,
            kbps,
        ),
    ];
    all.into_iter().filter(|step| step.spread.count() > 0).collect()
}

fn kbps(value: f64) -> String {
    rate(value * 1000.0)
}

fn timed_by<'a>(name: &'static str, meaning: &'static str, spread: &'a Spread, write: fn(f64) -> String) -> Timed<'a> {
    Timed { name, meaning, spread, write }
}
