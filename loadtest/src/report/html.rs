//! The page: one file that needs nothing else, no script either; light or dark as the reader's system is.

use super::chart::{Chart, Line};
use super::figures::{Figure, Standing, Timed, figures, headline, timed};
use super::{charts, tables};
use crate::outcome::Outcome;
use crate::units::count;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::time::{Duration, UNIX_EPOCH};

const STYLE: &str = include_str!("style.css");

/// The report of a run as a page.
pub fn html(outcome: &Outcome) -> String {
    let name = &outcome.scenario.name;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (name) " · load test" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (header(outcome))
                    (verdict(outcome))
                    (cards(&figures(outcome)))
                    (ramp(outcome))
                    (section("Over the run", "", &charts::over_time(outcome)))
                    (section("How times are spread", "Each curve says which share of all took no longer than the time below \
                        it.", &charts::distributions(outcome)))
                    (percentiles(&timed(&outcome.measures)))
                    (tables::failures(&outcome.measures))
                    div.pair { (tables::scenario(&outcome.scenario)) div { (tables::cost(outcome)) (tables::machines(outcome)) } }
                    (reading(&timed(&outcome.measures)))
                }
            }
        }
    };
    page.into_string()
}

fn header(outcome: &Outcome) -> Markup {
    let began = UNIX_EPOCH.checked_add(Duration::from_millis(outcome.began));
    // The calendar that it is written in ends with the year 9999.
    let began = began.filter(|_| outcome.began < 253_402_300_800_000);
    let began =
        began.map(|at| humantime::format_rfc3339_seconds(at).to_string().replace('T', " ").replace('Z', " UTC"));
    let length = humantime::format_duration(Duration::from_secs(outcome.seconds.clamp(0.0, 1e9).round() as u64));
    html! {
        header {
            p.eyebrow { "Load test" }
            h1 { (outcome.scenario.name) }
            p.quiet {
                @if let Some(began) = began { (began) " · " }
                (length) " · " (count(outcome.scenario.viewers.into())) " viewers, "
                (count(outcome.scenario.publishers.into())) " cameras · " (outcome.scenario.profile)
            }
        }
    }
}

fn verdict(outcome: &Outcome) -> Markup {
    let head = headline(outcome);
    let (class, mark) = match head.standing {
        Standing::Met => ("verdict good", "✓"),
        Standing::Missed => ("verdict bad", "✕"),
        Standing::Open => ("verdict", "•"),
    };
    html! {
        section class=(class) {
            span.mark aria-hidden="true" { (mark) }
            div {
                h2 { (head.title) }
                p { (head.detail) }
                @if !outcome.verdicts.is_empty() {
                    ul.objectives {
                        @for verdict in &outcome.verdicts {
                            li class=(if verdict.is_met { "good" } else { "bad" }) {
                                span { (if verdict.is_met { "✓ met" } else { "✕ missed" }) }
                                code { (verdict.objective) }
                                b { (verdict.measured) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cards(figures: &[Figure]) -> Markup {
    html! {
        @if !figures.is_empty() {
            section.cards aria-label="Key figures" {
                @for figure in figures {
                    @let (number, unit) = figure.value.split_once(' ').unwrap_or((&figure.value, ""));
                    div class=(if figure.is_bad { "card warn" } else { "card" }) {
                        h3 { (figure.name) }
                        p.value { (number) @if !unit.is_empty() { " " small { (unit) } } }
                        p.quiet { (figure.detail) }
                    }
                }
            }
        }
    }
}

fn section(title: &str, lead: &str, charts: &[Chart]) -> Markup {
    let drawn: Vec<Markup> = charts.iter().filter_map(figure).collect();
    html! {
        @if !drawn.is_empty() {
            section {
                h2 { (title) }
                @if !lead.is_empty() { p.quiet { (lead) } }
                div.charts { @for chart in drawn { (chart) } }
            }
        }
    }
}

fn figure(chart: &Chart) -> Option<Markup> {
    let svg = chart.svg()?;
    let has_values = |line: &&Line| line.points.iter().any(|(_, y)| y.is_some());
    let is_ramp = !chart.marks.is_empty();
    Some(html! {
        figure.card {
            figcaption {
                h3 { (chart.title) }
                p.legend {
                    @if is_ramp {
                        span.s1 { i.dot {} "objectives met" }
                        span.s2 { i.dot.hollow {} "missed" }
                    } @else {
                        @for (n, line) in chart.lines.iter().enumerate().filter(|(_, line)| has_values(line)) {
                            span class={ "s" (n + 1) } { i {} (line.name) }
                        }
                    }
                }
            }
            (PreEscaped(svg))
        }
    })
}

fn ramp(outcome: &Outcome) -> Markup {
    html! {
        @if !outcome.steps.is_empty() {
            section {
                h2 { "The ramp" }
                div.pair {
                    (tables::steps(&outcome.steps))
                    @if let Some(chart) = figure(&charts::ramp(outcome)) { (chart) }
                }
            }
        }
    }
}

fn percentiles(steps: &[Timed<'_>]) -> Markup {
    const PERCENTILES: [(f64, &str); 6] =
        [(50.0, "median"), (90.0, "p90"), (95.0, "p95"), (99.0, "p99"), (99.9, "p99.9"), (100.0, "largest")];
    html! {
        @if !steps.is_empty() {
            section {
                h2 { "Percentiles" }
                div.card.wide tabindex="0" role="region" aria-label="Percentiles of each step" {
                    table.numbers {
                        thead {
                            tr {
                                th scope="col" { "Step" }
                                th scope="col" { "values" }
                                @for (_, name) in PERCENTILES { th scope="col" { (name) } }
                            }
                        }
                        tbody {
                            @for step in steps {
                                tr {
                                    th scope="row" { (step.name) }
                                    td { (count(step.spread.count())) }
                                    @for (percent, _) in PERCENTILES {
                                        td { @if let Some(value) = step.spread.percentile(percent) { ((step.write)(value as f64)) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What is to be known of figures that are no steps.
const MEANINGS: [(&str, &str); 9] = [
    ("Percentile", "p99 of 5 ms: 99 of 100 took 5 ms or less. The median is p50."),
    (
        "Loss",
        "Packets that were to come and did not, in percent: before repair by themselves, after repair not by \
        retransmission either.",
    ),
    ("Freeze", "More than 200 ms without a complete frame, as a viewer would see it."),
    (
        "Server CPU",
        "Processor time of all the server's processes, in cores, while the most viewers were there: 1.00 is one \
        core all the time. Media threads are those that receive, forward and answer.",
    ),
    (
        "Packets per CPU-second",
        "Media packets to viewers for each second of a media thread's processor time; everything it \
        does is counted in.",
    ),
    ("CPU per viewer-second", "Processor time of media threads for each viewer and second."),
    ("CPU per join", "Processor time of the whole server, signaling included, for each join."),
    ("Memory per viewer", "Growth of the server's resident memory for each viewer."),
    (
        "Clocks",
        "Transit is measured between clocks. On one machine they are the same; several must be in step (NTP or PTP) \
        to well below what is measured.",
    ),
];

fn reading(steps: &[Timed<'_>]) -> Markup {
    html! {
        section {
            h2 { "How to read it" }
            dl.card.reading {
                @for step in steps { div { dt { (step.name) } dd { (step.meaning) } } }
                @for (name, meaning) in MEANINGS { div { dt { (name) } dd { (meaning) } } }
            }
        }
    }
}
