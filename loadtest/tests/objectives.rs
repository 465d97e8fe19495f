//! Objectives: how they are written, and when they are met.

use loadtest::measure::{Measures, Spread};
use loadtest::slo::{self, Objective};

fn measures() -> Measures {
    let mut transit = Spread::default();
    (1..=100).for_each(|ms| transit.record(ms * 1000));
    Measures {
        joins: 200,
        joined: 198,
        failed: [("timeout".to_owned(), 2)].into(),
        expected: 10_000,
        lost: 50,
        repaired: 45,
        frozen_us: 2_000_000,
        watched_us: 100_000_000,
        transit,
        ..Measures::default()
    }
}

#[test]
fn each_is_judged_by_what_was_measured() {
    let cases = [
        ("loss<0.1%", "0.050 %", true),
        ("loss<0.05%", "0.050 %", false),
        ("raw_loss<0.4%", "0.500 %", false),
        ("freeze<2.5%", "2.000 %", true),
        ("failed<1%", "1.000 %", false),
        ("failed<1.1%", "1.000 %", true),
        ("transit_p50<51ms", "50.02 ms", true),
        ("transit_p99<0.05s", "99.01 ms", false),
        ("transit_p99.9<200000us", "100.03 ms", true),
        ("show_p95<1s", "nothing measured", false),
    ];
    let measures = measures();
    for (text, measured, is_met) in cases {
        let verdict = text.parse::<Objective>().expect("sound").judge(&measures);
        assert_eq!((verdict.measured.as_str(), verdict.is_met), (measured, is_met), "{text}");
        assert_eq!(verdict.objective.to_string(), text);
    }
}

#[test]
fn where_nothing_was_measured_nothing_is_met() {
    for text in ["loss<1%", "raw_loss<1%", "freeze<1%", "failed<1%", "transit_p99<1s"] {
        let verdict = text.parse::<Objective>().expect("sound").judge(&Measures::default());
        assert_eq!((verdict.measured.as_str(), verdict.is_met), ("nothing measured", false), "{text}");
    }
}

#[test]
fn every_step_can_be_bounded() {
    for step in ["late", "http", "ice", "dtls", "first", "keyframe", "transit", "jitter", "show"] {
        assert!(format!("{step}_p99.9<10ms").parse::<Objective>().is_ok(), "{step}");
    }
}

#[test]
fn a_list_is_read_with_spaces_and_empty_places() {
    let list = slo::parse(" loss<0.1%, transit_p99 < 100 ms ,,").expect("sound");
    let written: Vec<String> = list.iter().map(ToString::to_string).collect();
    assert_eq!(written, ["loss<0.1%", "transit_p99 < 100 ms"]);
    assert_eq!(slo::parse(""), Ok(Vec::new()));
}

#[test]
fn what_is_wrong_is_said() {
    let cases = [
        ("loss", "write NAME<BOUND"),
        ("loss>1%", "write NAME<BOUND"),
        ("losss<1%", "known are loss"),
        ("transit<1ms", "known are loss"),
        ("transit_p0<1ms", "known are loss"),
        ("transit_p101<1ms", "known are loss"),
        ("transit_pNaN<1ms", "known are loss"),
        ("transit_p99<1%", "a time is bounded in us, ms or s"),
        ("loss<1ms", "this is bounded in percent"),
        ("loss<x%", "the bound is no number"),
        ("loss<0%", "the bound must be above 0"),
        ("loss<NaN%", "the bound must be above 0"),
        ("loss<inf%", "the bound must be above 0"),
    ];
    for (text, reason) in cases {
        let said = slo::parse(text).expect_err(text).to_string();
        assert!(said.starts_with(&format!("'{text}' is no objective: {reason}")), "{said}");
    }
}

#[test]
fn a_verdict_survives_json() {
    let verdict = "transit_p99<100ms".parse::<Objective>().expect("sound").judge(&measures());
    let text = serde_json::to_string(&verdict).expect("plain data");
    assert!(text.contains("\"transit_p99<100ms\""));
    assert_eq!(serde_json::from_str::<slo::Verdict>(&text).expect("as it was written"), verdict);
}
