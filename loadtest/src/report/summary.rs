//! The terminal's closing lines.

use super::figures::{Standing, figures, headline};
use crate::outcome::Outcome;
use std::fmt::Write;

/// The key figures as an aligned table, after the verdict; every line ends.
pub fn summary(outcome: &Outcome) -> String {
    let head = headline(outcome);
    let mark = match head.standing {
        Standing::Met => "PASS",
        Standing::Missed => "FAIL",
        Standing::Open => "DONE",
    };
    let mut text = String::new();
    let _ = writeln!(text, "{mark}  {}: {}\n      {}\n", outcome.scenario.name, head.title, head.detail);
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let figures = figures(outcome);
    let name = width(&mut figures.iter().map(|figure| figure.name.chars().count()));
    let value = width(&mut figures.iter().map(|figure| figure.value.chars().count()));
    for figure in &figures {
        let note = if figure.is_bad { "  !" } else { "" };
        let line = format!("  {:name$}  {:>value$}  {}{note}", figure.name, figure.value, figure.detail);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if !outcome.verdicts.is_empty() {
        text.push('\n');
    }
    let written: Vec<String> = outcome.verdicts.iter().map(|verdict| verdict.objective.to_string()).collect();
    let objective = width(&mut written.iter().map(|text| text.chars().count()));
    for (verdict, written) in outcome.verdicts.iter().zip(&written) {
        let mark = if verdict.is_met { "met   " } else { "MISSED" };
        let _ = writeln!(text, "  {mark}  {written:objective$}  {}", verdict.measured);
    }
    if outcome.measures.failures() > 0 {
        text.push_str("\n  Failures\n");
    }
    for (reason, count) in &outcome.measures.failed {
        let _ = writeln!(text, "  {count:>8}  {reason}");
    }
    text
}
