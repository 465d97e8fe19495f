//! The page's plain tables.

use crate::measure::Measures;
use crate::outcome::{Outcome, Step};
use crate::scenario::Scenario;
use crate::units::{count, memory, number, rate, time};
use maud::{Markup, html};

/// Most reasons that are listed.
const MOST_REASONS: usize = 50;

/// Failures by their reason, most frequent first.
pub(super) fn failures(measures: &Measures) -> Markup {
    let mut reasons: Vec<(&String, u64)> = measures.failed.iter().map(|(reason, count)| (reason, *count)).collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let more = reasons.len().saturating_sub(MOST_REASONS);
    html! {
        @if !reasons.is_empty() {
            section {
                h2 { "Failures" }
                div.card.wide {
                    table {
                        thead { tr { th scope="col" { "Reason" } th.number scope="col" { "times" } } }
                        tbody {
                            @for (reason, times) in reasons.into_iter().take(MOST_REASONS) {
                                tr { td { (reason) } td.number { (count(times)) } }
                            }
                        }
                    }
                    @if more > 0 { p.quiet { "and " (more) " reasons more" } }
                }
            }
        }
    }
}

/// Steps of a ramp.
pub(super) fn steps(steps: &[Step]) -> Markup {
    html! {
        div.card.wide {
            table {
                thead {
                    tr {
                        th.number scope="col" { "Viewers" }
                        th scope="col" { "Objectives" }
                        th.number scope="col" { "Media cores" }
                    }
                }
                tbody {
                    @for step in steps {
                        tr {
                            td.number { (count(step.viewers)) }
                            td {
                                @if step.is_met { span.good { "✓ met" } } @else { span.bad { "✕ missed" } }
                                @for missed in step.verdicts.iter().filter(|verdict| !verdict.is_met) {
                                    span.missed { code { (missed.objective) } " was " (missed.measured) }
                                }
                            }
                            td.number { @if let Some(cores) = step.shard_cores { (number(cores)) } @else { "–" } }
                        }
                    }
                }
            }
        }
    }
}

/// What was done.
pub(super) fn scenario(scenario: &Scenario) -> Markup {
    let shown = scenario.shown();
    let slots = format!("{} slots, {shown} of them with a camera", scenario.layout);
    let switching =
        scenario.switch_every.map_or_else(|| "never".to_owned(), |t| humantime::format_duration(t).to_string());
    let receiving = if scenario.gro { "in runs (GRO)" } else { "one by one" };
    let rows = [
        ("Cameras", count(scenario.publishers.into())),
        ("Each sends", scenario.profile.to_string()),
        ("Viewers", count(scenario.viewers.into())),
        ("A viewer's page", if scenario.layout == 1 { "one camera".to_owned() } else { slots }),
        ("Largest encoding wished", scenario.rid.clone()),
        ("Joins", format!("{} each second", number(scenario.join_rate))),
        ("Duration", humantime::format_duration(scenario.duration).to_string()),
        ("A viewer switches a slot", switching),
        ("Replaced by others", format!("{} viewers each second", number(scenario.churn))),
        ("Packets are received", receiving.to_owned()),
    ];
    table("Scenario", &rows)
}

/// What the load cost.
pub(super) fn cost(outcome: &Outcome) -> Markup {
    let Some(cost) = &outcome.cost else { return html! {} };
    let unknown = || "not measured".to_owned();
    let rows = [
        ("Measured over", format!("{} viewers of {}", count(cost.viewers), cost.profile)),
        ("CPU per packet", time(cost.packet_us)),
        ("CPU per viewer and second", time(cost.viewer_us_per_second)),
        ("CPU per join", cost.join_us.map_or_else(unknown, time)),
        ("Memory per viewer", cost.viewer_bytes.map_or_else(unknown, memory)),
        (
            "To each viewer",
            format!("{}, {} packets/s", rate(cost.viewer_bits_per_second), number(cost.viewer_packets_per_second)),
        ),
        ("From each camera", rate(cost.camera_bits_per_second)),
    ];
    table("What it cost the server", &rows)
}

/// Where viewers ran.
pub(super) fn machines(outcome: &Outcome) -> Markup {
    let row = |(n, cores): (usize, &usize)| (n + 1, format!("{cores} {}", if *cores == 1 { "core" } else { "cores" }));
    html! {
        @if !outcome.machines.is_empty() {
            section {
                h2 { "Machines that viewers ran on" }
                div.card.wide {
                    table {
                        tbody {
                            @for (n, cores) in outcome.machines.iter().enumerate().map(row) {
                                tr { th scope="row" { "Machine " (n) } td { (cores) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn table(title: &str, rows: &[(&str, String)]) -> Markup {
    html! {
        section {
            h2 { (title) }
            div.card.wide {
                table {
                    tbody { @for (name, value) in rows { tr { th scope="row" { (name) } td { (value) } } } }
                }
            }
        }
    }
}
