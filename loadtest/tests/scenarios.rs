//! Scenarios: how they are written, and what is wrong with some.

use loadtest::scenario::Scenario;
use loadtest::slo;
use std::time::Duration;

#[test]
fn a_scenario_is_read_from_yaml() {
    let text = "
name: walls
publishers: 20
viewers: 500
layout: 9
cameras_per_viewer: 4
join_rate: 12.5
duration: 2m 30s
profile: camera-720p
rid: l
switch_every: 250ms
churn: 3
objectives: [freeze<1%, transit_p99<150ms]
gro: false
";
    let scenario: Scenario = settings::from_yaml(text).expect("sound");
    let wanted = Scenario {
        name: "walls".into(),
        publishers: 20,
        viewers: 500,
        layout: 9,
        cameras_per_viewer: Some(4),
        join_rate: 12.5,
        duration: Duration::from_secs(150),
        profile: "camera-720p".parse().expect("a profile"),
        rid: "l".into(),
        switch_every: Some(Duration::from_millis(250)),
        churn: 3.0,
        objectives: slo::parse("freeze<1%,transit_p99<150ms").expect("objectives"),
        gro: false,
    };
    assert_eq!(scenario, wanted);
    assert_eq!(scenario.check(), Ok(()));
    let json = serde_json::to_string(&scenario).expect("plain data");
    assert_eq!(serde_json::from_str::<Scenario>(&json).expect("as it was written"), wanted);
}

#[test]
fn an_empty_scenario_is_the_default_one() {
    let scenario: Scenario = settings::from_yaml("# nothing\n").expect("sound");
    assert_eq!(scenario, Scenario::default());
    assert_eq!(scenario.check(), Ok(()));
    let json = serde_json::to_string(&scenario).expect("plain data");
    assert_eq!(serde_json::from_str::<Scenario>(&json).expect("as it was written"), scenario);
}

#[test]
fn what_is_mistyped_is_named() {
    let cases = [
        ("viewrs: 5\n", "unknown key 'viewrs' in the configuration: did you mean 'viewers'?"),
        ("join-rate: 5\n", "unknown key 'join-rate' in the configuration: did you mean 'join_rate'?"),
        ("profile: 2160p\n", "profile in the configuration: '2160p' is no profile: write camera-360p, "),
        ("duration: 5\n", "duration in the configuration: "),
        ("duration: soon\n", "duration in the configuration: "),
        (
            "objectives: [\"transit_p99<soon\"]\n",
            "objectives.0 in the configuration: 'transit_p99<soon' is no objective: ",
        ),
        ("viewers: -1\n", "viewers in the configuration: "),
    ];
    for (text, wanted) in cases {
        let said = settings::from_yaml::<Scenario>(text).expect_err(text).to_string();
        assert!(said.starts_with(wanted), "{said}");
    }
}

#[test]
fn what_cannot_be_done_is_named() {
    let sound = Scenario::default;
    let cases = [
        (Scenario { layout: 2, ..sound() }, "layout: "),
        (Scenario { cameras_per_viewer: Some(2), ..sound() }, "cameras_per_viewer: "),
        (Scenario { publishers: 0, ..sound() }, "publishers: "),
        (Scenario { viewers: 1_000_001, ..sound() }, "viewers: "),
        (Scenario { join_rate: f64::NAN, ..sound() }, "join_rate: "),
        (Scenario { join_rate: 0.0, ..sound() }, "join_rate: "),
        (Scenario { churn: -1.0, ..sound() }, "churn: "),
        (Scenario { duration: Duration::ZERO, ..sound() }, "duration: "),
        (Scenario { switch_every: Some(Duration::ZERO), ..sound() }, "switch_every: "),
        (Scenario { rid: "x".into(), ..sound() }, "rid: "),
    ];
    for (scenario, wanted) in cases {
        let said = scenario.check().expect_err(wanted).to_string();
        assert!(said.starts_with(wanted), "{said}");
    }
}

#[test]
fn the_scenarios_that_come_along_are_sound_and_name_what_they_have_to_reach() {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios")).expect("a folder");
    let paths = files.map(|file| file.expect("a file").path());
    let scenarios: Vec<_> = paths.filter(|path| path.extension().is_some_and(|kind| kind == "yaml")).collect();
    assert!(scenarios.len() >= 4, "{scenarios:?}");
    for path in scenarios {
        let scenario: Scenario = settings::load(&path).expect("sound");
        assert_eq!(scenario.check(), Ok(()));
        assert!(!scenario.objectives.is_empty(), "{}", scenario.name);
    }
}
