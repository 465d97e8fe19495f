//! Reports: complete, sound and safe, of a full outcome and of an empty one.

use loadtest::measure::{Measures, Spread};
use loadtest::outcome::{Cost, Outcome, Second, ServerSecond, Step, VERSION};
use loadtest::report;
use loadtest::scenario::Scenario;
use loadtest::slo;
use std::path::Path;
use std::time::Duration;

fn empty() -> Outcome {
    Outcome {
        version: VERSION,
        scenario: Scenario::default(),
        began: 0,
        seconds: 0.0,
        machines: Vec::new(),
        measures: Measures::default(),
        series: Vec::new(),
        cost: None,
        verdicts: Vec::new(),
        steps: Vec::new(),
    }
}

/// Numbers from 0 to 1 that look random and are always the same.
fn noise() -> impl FnMut() -> f64 {
    let mut state = 88_172_645_463_325_252_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Times around a median in us, with a long tail.
fn times(count: u32, median: f64, noise: &mut dyn FnMut() -> f64) -> Spread {
    let mut spread = Spread::default();
    for _ in 0..count {
        let normal = (0..6).map(|_| noise()).sum::<f64>() - 3.0;
        let tail = if noise() > 0.98 { 4.0 + 6.0 * noise() } else { 1.0 };
        spread.record((median * (0.5 * normal).exp() * tail) as u64);
    }
    spread
}

fn measures() -> Measures {
    let mut noise = noise();
    let mut times = |count, median| times(count, median, &mut noise);
    let mut measures = Measures {
        joins: 4_100,
        joined: 4_093,
        late: times(4_100, 60.0),
        http: times(4_100, 1_900.0),
        ice: times(4_100, 700.0),
        dtls: times(4_100, 3_400.0),
        first_packet: times(4_093, 7_000.0),
        first_keyframe: times(4_093, 12_500.0),
        transit: times(60_000, 420.0),
        jitter: times(9_000, 300.0),
        show: times(800, 16_000.0),
        remb_kbps: times(5_000, 760.0),
        packets: 29_800_000,
        bytes: 33_000_000_000,
        expected: 29_801_200,
        lost: 1_550,
        repaired: 1_440,
        opened: 465_000,
        frames: 14_000_000,
        freezes: 17,
        frozen_us: 5_300_000,
        watched_us: 560_000_000_000,
        switches: 800,
        layer_switches: 12,
        published: 2_100_000,
        ..Measures::default()
    };
    measures.failed.insert("HTTP: 503 no node has room".into(), 5);
    measures.failed.insert("DTLS: no answer within 10 s <script>alert(1)</script>".into(), 2);
    measures
}

/// With few decimals, as JSON keeps them.
fn short(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn series(seconds: u32) -> Vec<Second> {
    let mut noise = noise();
    let second = |n: u32| {
        let at = f64::from(n + 1);
        let viewers = (at * 50.0).min(4_000.0);
        let is_joining = at < 81.0;
        let wobble = 0.97 + 0.06 * noise();
        let packets = viewers * 52.0 * wobble;
        let burst = if noise() > 0.96 { 3.0 * noise() } else { 0.0 };
        Second {
            at,
            viewers: viewers as u64,
            joining: if is_joining { 2 + (noise() * 3.0) as u64 } else { 0 },
            joined: if is_joining { 48 + (noise() * 5.0) as u64 } else { 0 },
            failed: u64::from(noise() > 0.98),
            packets: packets as u64,
            bytes: (packets * 1_110.0) as u64,
            loss_percent: short(burst * 0.001),
            raw_loss_percent: short(burst * 0.01),
            freezes: (burst * 2.0) as u64,
            transit_p50_ms: (n > 1).then(|| short(0.2 + viewers / 18_000.0 * wobble)),
            transit_p99_ms: (n > 1).then(|| short(0.9 + viewers / 1_300.0 * (wobble + burst))),
            first_p95_ms: is_joining.then(|| short(9.0 + 10.0 * noise())),
            remb_p50_kbps: (n > 3).then(|| short(700.0 + 100.0 * noise())),
            server: Some(ServerSecond {
                cores: short(0.1 + viewers / 2_900.0 * wobble),
                shard_cores: short(viewers / 3_200.0 * wobble),
                memory: 48_000_000 + (viewers * 71_000.0) as u64,
                packets: packets as u64,
                dropped: 0,
                connections: viewers as u64,
            }),
        }
    };
    (0..seconds).map(second).collect()
}

fn full() -> Outcome {
    let measures = measures();
    let objectives = slo::parse("loss<0.1%,transit_p99<100ms,first_p95<500ms,failed<1%").expect("sound");
    Outcome {
        scenario: Scenario {
            name: "City evening, <4,000> parents & staff".into(),
            publishers: 200,
            viewers: 4_000,
            layout: 4,
            cameras_per_viewer: Some(2),
            duration: Duration::from_secs(180),
            switch_every: Some(Duration::from_secs(20)),
            churn: 0.5,
            ..Scenario::default()
        },
        began: 1_790_000_000_000,
        seconds: 180.4,
        machines: vec![8, 16],
        verdicts: objectives.iter().map(|objective| objective.judge(&measures)).collect(),
        measures,
        series: series(180),
        cost: Some(Cost {
            profile: "camera-360p".into(),
            packet_us: 5.9,
            viewer_us_per_second: 307.0,
            viewer_packets_per_second: 52.0,
            viewer_bits_per_second: 510_000.0,
            camera_bits_per_second: 512_000.0,
            join_us: Some(2_300.0),
            viewer_bytes: Some(71_000.0),
            viewers: 4_000,
        }),
        ..empty()
    }
}

fn ramp() -> Outcome {
    let objectives = slo::parse("transit_p99<2ms,loss<0.1%").expect("sound");
    let step = |n: u64| {
        let mut noise = noise();
        let judged = Measures {
            expected: 1_000_000,
            lost: n * n * 11,
            transit: times(500, 90.0 * (n * n) as f64 / 8.0, &mut noise),
            ..Measures::default()
        };
        let verdicts: Vec<slo::Verdict> = objectives.iter().map(|objective| objective.judge(&judged)).collect();
        let is_met = verdicts.iter().all(|verdict| verdict.is_met);
        Step { viewers: n * 500, is_met, verdicts, shard_cores: Some(short(n as f64 * 0.16 + (n * n) as f64 * 0.002)) }
    };
    Outcome { steps: (1..=9).map(step).collect(), verdicts: Vec::new(), ..full() }
}

/// The page's tags are closed in their order, and nothing in it is loaded from elsewhere.
fn check_page(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1).filter(|tag| !tag.starts_with('!')) {
        let name = tag.trim_start_matches('/').split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let is_alone = matches!(name, "meta") || tag.split('>').next().is_some_and(|tag| tag.ends_with('/'));
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed");
        } else if !is_alone {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    for forbidden in ["<script", "http:", "https:", "url(", "@import", "<img", "<link", "NaN", "FEFD", "inf "] {
        let page = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

/// Leaves a page where somebody can look at it.
fn keep(name: &str, outcome: &Outcome) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    report::write(outcome, None, Some(&path)).expect("writable");
    std::fs::read_to_string(path).expect("it was written")
}

#[test]
fn a_full_outcome_makes_a_full_page() {
    let page = keep("report-run.html", &full());
    check_page(&page);
    assert_eq!(page.matches("role=\"img\"").count(), 12 + 6);
    assert_eq!(page.matches("role=\"img\" aria-label=\"").count(), 12 + 6);
    for wanted in [
        "All 4 objectives are met",
        "City evening, &lt;4,000&gt; parents &amp; staff",
        "2026-09-21 14:13:20 UTC",
        "&lt;script&gt;alert(1)",
        "169,492",
        "16 cores",
        "69.3",
        "p99.9",
        "prefers-color-scheme: dark",
        "minutes of the run",
    ] {
        assert!(page.contains(wanted), "{wanted}");
    }
}

#[test]
fn a_ramp_tells_its_capacity() {
    let page = keep("report-ramp.html", &ramp());
    check_page(&page);
    let met = ramp().steps.iter().take_while(|step| step.is_met).last().expect("some").viewers;
    let title = format!("Capacity: {},{:03} viewers", met / 1000, met % 1000);
    assert!(page.contains(&title), "{title}");
    assert!(page.contains("Processors by viewers"));
    assert!(report::summary(&ramp()).contains(&title));
    let without =
        Outcome { steps: ramp().steps.into_iter().map(|s| Step { shard_cores: None, ..s }).collect(), ..ramp() };
    assert!(!report::html(&without).contains("Processors by viewers"));
}

#[test]
fn an_empty_outcome_makes_a_page_without_plots() {
    let page = keep("report-empty.html", &empty());
    check_page(&page);
    assert!(!page.contains("<svg"));
    assert!(page.contains("Measured, without objectives"));
    assert!(report::summary(&empty()).starts_with("DONE  run: Measured, without objectives\n"));
}

#[test]
fn what_was_not_measured_is_left_out() {
    let quiet = Measures { show: Spread::default(), ..full().measures };
    let series =
        full().series.into_iter().map(|second| Second { server: None, first_p95_ms: None, ..second }).collect();
    let page = report::html(&Outcome { measures: quiet, series, cost: None, ..full() });
    check_page(&page);
    for absent in ["Switching to another camera", "Server's memory", "Server's processors", "What it cost"] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert_eq!(page.matches("<svg").count(), 12 - 4 + 6 - 1);
}

#[test]
fn one_second_and_senseless_values_make_a_page() {
    let one =
        Second { at: 1.0, transit_p50_ms: Some(f64::NAN), first_p95_ms: Some(f64::INFINITY), ..Second::default() };
    let odd = Second { at: f64::NAN, loss_percent: -1.0, packets: u64::MAX, bytes: u64::MAX, ..one.clone() };
    let mut measures = Measures::default();
    measures.transit.record(0);
    for series in [vec![one.clone()], vec![odd.clone()], vec![one, odd.clone(), odd]] {
        for seconds in [f64::NAN, f64::INFINITY, -1.0, 1.0] {
            let began = u64::MAX;
            let outcome = Outcome { series: series.clone(), seconds, began, measures: measures.clone(), ..full() };
            check_page(&report::html(&outcome).replace("inf ", ""));
            report::summary(&outcome);
        }
    }
}

#[test]
fn a_long_run_makes_no_larger_page() {
    let long = Outcome { series: series(20_000), seconds: 20_000.0, ..full() };
    let page = report::html(&long);
    check_page(&page);
    assert!(page.len() < 400_000, "{}", page.len());
    let points = page.split("points=\"").skip(1).filter_map(|rest| rest.split('"').next());
    assert!(points.map(|points| points.split_whitespace().count()).max() <= Some(602));
}

#[test]
fn the_summary_is_aligned() {
    let text = report::summary(&full());
    assert!(text.starts_with("PASS  City evening, <4,000> parents & staff: All 4 objectives are met\n"), "{text}");
    let figures: Vec<&str> = text.lines().skip(3).take_while(|line| !line.is_empty()).collect();
    assert!(figures.len() >= 13, "{text}");
    let ends: Vec<usize> = figures
        .iter()
        .map(|line| line.char_indices().rfind(|(at, _)| line[*at..].starts_with("  ")).map_or(0, |(at, _)| at))
        .collect();
    assert!(ends.iter().all(|at| *at > 0), "{text}");
    for wanted in
        ["Loss", "0.0004 %", "after repair, 0.0052 % before", "met     transit_p99<100ms", "5  HTTP: 503 no node"]
    {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
}

#[test]
fn an_outcome_survives_json() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for outcome in [full(), ramp(), empty()] {
        let (json, html) = (folder.path().join("run.json"), folder.path().join("run.html"));
        report::write(&outcome, Some(&json), Some(&html)).expect("writable");
        let text = std::fs::read_to_string(&json).expect("it was written");
        // Not by assert_eq: it would print every bucket.
        assert!(serde_json::from_str::<Outcome>(&text).expect("as it was written") == outcome);
        let page = std::fs::read_to_string(&html).expect("it was written");
        assert_eq!(page, report::html(&outcome));
    }
    let left = std::fs::read_dir(folder.path()).expect("it is there").count();
    assert_eq!(left, 2, "no part is left");
}

#[test]
fn a_report_that_cannot_be_written_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let error = report::write(&empty(), Some(&folder.path().join("none/run.json")), None).expect_err("no such folder");
    assert!(error.to_string().starts_with("cannot write "), "{error}");
    // A folder stands where the report should.
    let taken = folder.path().join("run.html");
    std::fs::create_dir(&taken).expect("writable");
    report::write(&empty(), None, Some(&taken)).expect_err("it is a folder");
    assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 1, "no part is left");
}
