//! Plans, against figures computed by hand.

use clap::Parser;
use loadtest::outcome::Cost;
use loadtest::plan::{self, Assumptions, Bound, Plan, PlanArguments};
use std::path::Path;

/// 2 us a packet, 50 packets a second of 1200 bytes, a camera as much: 506.4 kbit/s on the wire.
fn cost() -> Cost {
    Cost {
        profile: "480k".into(),
        packet_us: 2.0,
        viewer_us_per_second: 100.0,
        viewer_packets_per_second: 50.0,
        viewer_bits_per_second: 480_000.0,
        camera_bits_per_second: 480_000.0,
        join_us: Some(1000.0),
        viewer_bytes: Some(100_000.0),
        viewers: 500,
    }
}

fn close(found: f64, wanted: f64, what: &str) {
    assert!((found - wanted).abs() <= wanted.abs() * 1e-4 + 1e-9, "{what}: {found} instead of {wanted}");
}

#[test]
fn a_city_is_bound_by_its_links() {
    let plan = Plan::new(Assumptions::new(60_000, 6_000, cost())).expect("sound");
    close(plan.stream.wire_bits, 506_400.0, "480,000 + 50 x 66 x 8");
    close(plan.viewers_per_camera, 10.0, "60,000 / 6,000");
    close(plan.media_cores, 6.0, "60,000 x 100 us");
    close(plan.join_cores.expect("measured"), 0.2, "60,000 / 300 s x 1000 us");
    close(plan.viewer_bits, 30.384e9, "60,000 x 506,400");
    close(plan.camera_bits, 3.0384e9, "6,000 x 506,400");
    close(plan.memory_bytes.expect("measured"), 6e9, "60,000 x 100,000");
    assert_eq!(plan.sites, 600);
    close(plan.site_bits, 5.064e6, "10 x 506,400");

    let fleet = &plan.together;
    assert_eq!((fleet.nodes_by_cpu, fleet.nodes_by_link, fleet.nodes_by_memory), (1, 5, Some(1)), "30.384 / 7");
    assert_eq!((fleet.nodes, fleet.nodes_with_spare, fleet.binds), (5, 6, Bound::Link));
    assert_eq!((fleet.relay_links, fleet.relay_hops, fleet.nodes_per_camera), (0.0, 0, 1.0));
    close(fleet.cores, 6.2, "6 + 0.2");

    // With 5 nodes, 41.2 Gbit/s want 6; with 6, 43.1 want 7; with 7, 44.7 want 7.
    let fleet = &plan.spread;
    assert_eq!((fleet.nodes, fleet.binds), (7, Bound::Link));
    close(fleet.nodes_per_camera, 5.501587, "7 (1 - (6/7)^10)");
    close(fleet.relay_links, 28_293.88, "6,000 x 6 (1 - (6/7)^10)");
    close(fleet.relay_bits, 14.32802e9, "links x 506,400");
    close(fleet.relay_cores, 5.658776, "2 x links x 50 x 2 us");
    close(fleet.egress_bits, 44.71202e9, "to viewers + relays");
    close(fleet.ingress_bits, 17.36642e9, "from cameras + relays");
    assert_eq!(fleet.relay_hops, 2, "4.7 links a camera: 4, and the rest behind them");
}

#[test]
fn what_binds_is_what_there_is_least_of() {
    let sound = || Assumptions::new(100_000, 1_000, cost());
    let cases = [
        // 10 cores and 0.333 for joins, in nodes of 1 core of which 0.5 is usable.
        (Assumptions { cores_per_node: 1, usable_cores: 0.5, node_link_bits: 1e12, ..sound() }, 21, Bound::Cpu),
        // 50.64 Gbit/s in links of 25 Gbit/s, all of them usable.
        (Assumptions { node_link_bits: 25e9, usable_link: 1.0, ..sound() }, 3, Bound::Link),
        // 10 GB in nodes of 1 GB, half of it usable.
        (Assumptions { node_memory_bytes: 1e9, usable_memory: 0.5, ..sound() }, 20, Bound::Memory),
    ];
    for (assumptions, nodes, binds) in cases {
        let plan = Plan::new(assumptions).expect("sound");
        assert_eq!((plan.together.nodes, plan.together.binds), (nodes, binds));
        assert!(plan.spread.nodes >= nodes);
    }
}

#[test]
fn one_camera_for_everybody_is_carried_to_every_node() {
    let plan = Plan::new(Assumptions::new(200_000, 1, cost())).expect("sound");
    // 101.28 Gbit/s to viewers in 7 Gbit/s: 15 nodes, and 14 streams between them.
    for fleet in [&plan.together, &plan.spread] {
        assert_eq!(fleet.nodes, 15);
        close(fleet.relay_links, 14.0, "every node but the origin");
        assert_eq!(fleet.relay_hops, 2, "4 + 16 >= 14");
    }
}

#[test]
fn cameras_nobody_watches_cost_nothing() {
    let plan = Plan::new(Assumptions::new(100, 5_000, cost())).expect("sound");
    assert_eq!((plan.watched, plan.viewers_per_camera), (100.0, 1.0));
    close(plan.camera_bits, 100.0 * 506_400.0, "100 cameras");
    assert_eq!((plan.together.nodes, plan.spread.nodes), (1, 1));
    assert_eq!((plan.together.relay_links, plan.spread.relay_links), (0.0, 0.0), "one node needs no relay");
}

#[test]
fn walls_are_planned_from_single_pictures_and_the_other_way_round() {
    let single = Assumptions { cameras_per_viewer: 4, ..Assumptions::new(1_000, 100, cost()) };
    let plan = Plan::new(single).expect("sound");
    close(plan.media_cores, 0.4, "4,000 streams x 100 us");
    close(plan.memory_bytes.expect("measured"), 4e8, "four times as much a viewer");
    let wall = Assumptions { measured_cameras_per_viewer: 4, ..Assumptions::new(1_000, 100, cost()) };
    let plan = Plan::new(wall).expect("sound");
    close(plan.media_cores, 0.025, "1,000 streams x 25 us");
    close(plan.stream.wire_bits, 126_600.0, "a quarter");
    close(plan.camera_wire_bits, 506_400.0, "cameras send what they sent");
    close(plan.memory_bytes.expect("measured"), 1e8, "a viewer is not taken to need less");
}

#[test]
fn what_was_not_measured_is_left_out_and_said() {
    let cost = Cost { join_us: None, viewer_bytes: None, ..cost() };
    let plan = Plan::new(Assumptions::new(1_000, 10, cost)).expect("sound");
    assert_eq!((plan.join_cores, plan.memory_bytes, plan.together.nodes_by_memory), (None, None, None));
    close(plan.together.cores, 0.1, "media alone");
    let text = plan.text();
    assert_eq!(text.matches("not measured").count(), 4, "{text}");
}

#[test]
fn assumptions_that_make_no_plan_are_named() {
    let sound = || Assumptions::new(1_000, 10, cost());
    let cases = [
        (Assumptions { viewers: 0, ..sound() }, "viewers: from 1"),
        (Assumptions { cameras: 0, ..sound() }, "cameras: from 1"),
        (Assumptions { cameras_per_viewer: 0, ..sound() }, "cameras_per_viewer: at least 1"),
        (Assumptions { cameras_per_viewer: 11, ..sound() }, "cameras_per_viewer: no more than there are cameras"),
        (Assumptions { measured_cameras_per_viewer: 0, ..sound() }, "measured_cameras_per_viewer: "),
        (
            Assumptions { cost: Cost { packet_us: 0.0, ..cost() }, ..sound() },
            "cost.packet_us: the run measured nothing",
        ),
        (
            Assumptions { cost: Cost { viewer_us_per_second: f64::NAN, ..cost() }, ..sound() },
            "cost.viewer_us_per_second: ",
        ),
        (
            Assumptions { cost: Cost { viewer_bits_per_second: -1.0, ..cost() }, ..sound() },
            "cost.viewer_bits_per_second: ",
        ),
        (Assumptions { cost: Cost { join_us: Some(f64::INFINITY), ..cost() }, ..sound() }, "cost.join_us: "),
        (Assumptions { cores_per_node: 0, ..sound() }, "cores_per_node: "),
        (Assumptions { usable_cores: 0.0, ..sound() }, "usable_cores: "),
        (Assumptions { usable_cores: 60.0, ..sound() }, "usable_cores: a share above 0, 1 at most"),
        (Assumptions { usable_link: f64::NAN, ..sound() }, "usable_link: "),
        (Assumptions { node_link_bits: 0.0, ..sound() }, "node_link_bits: "),
        (Assumptions { joins_per_second: -1.0, ..sound() }, "joins_per_second: "),
        (Assumptions { relay_fan_out: 1, ..sound() }, "relay_fan_out: "),
        (Assumptions { cameras_per_site: 0, ..sound() }, "cameras_per_site: "),
    ];
    for (assumptions, wanted) in cases {
        let said = Plan::new(assumptions).expect_err(wanted).to_string();
        assert!(said.starts_with(wanted), "{said}");
    }
}

#[test]
fn the_text_has_every_result() {
    let text = Plan::new(Assumptions::new(60_000, 6_000, cost())).expect("sound").text();
    for wanted in
        ["6 to 8 nodes of 16 cores for 60,000 viewers of 6,000 cameras (480k)", "30.4 Gbit/s", "28,294", "506 kbit/s"]
    {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    plan: PlanArguments,
}

fn run(report: &Path, flags: &[&str]) -> Result<String, String> {
    let report = report.to_str().expect("plain");
    let given = ["plan", "--cost", report, "--viewers", "1000", "--cameras", "10"];
    let cli = Cli::try_parse_from(given.iter().chain(flags)).map_err(|e| e.to_string())?;
    plan::run(&cli.plan).map_err(|e| format!("{e:#}"))
}

#[test]
fn a_plan_is_made_from_a_report() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run.json");
    let write = |report: serde_json::Value| std::fs::write(&path, report.to_string()).expect("writable");
    let scenario = loadtest::scenario::Scenario { layout: 4, cameras_per_viewer: Some(2), ..Default::default() };
    write(serde_json::json!({"version": 1, "scenario": scenario, "cost": cost()}));
    let text = run(&path, &["--node-link", "2.5G", "--join-window", "10s"]).expect("a plan");
    for wanted in ["each with 2 of 480k", "2.50 Gbit/s", "joins a second at the peak"] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    assert!(!text.contains("Warning"), "{text}");
    assert!(!run(&path, &["--profile", "0.48M"]).expect("the same profile").contains("Warning"));

    let scaled = run(&path, &["--profile", "960k"]).expect("a plan");
    assert!(scaled.starts_with("Warning: measured with 480k, planned for 960k"), "{scaled}");
    assert!(scaled.contains("bandwidth by bits (x 2.0"), "{scaled}");

    let cases: [(&[&str], &str); 5] = [
        (&["--node-link", "fast"], "such as 10G"),
        (&["--join-window", "0s"], "--join-window: must be above 0"),
        (&["--cameras-per-viewer", "11"], "cameras_per_viewer: no more than there are cameras"),
        (&["--usable", "60"], "usable_cores: a share above 0, 1 at most"),
        (&["--profile", "VHS"], "'VHS' is no profile"),
    ];
    for (flags, wanted) in cases {
        let said = run(&path, flags).expect_err(wanted);
        assert!(said.contains(wanted), "{said}");
    }
    write(serde_json::json!({"version": 1, "scenario": scenario, "cost": null}));
    assert!(run(&path, &[]).expect_err("no cost").contains("the run measured no cost"));
    write(serde_json::json!([]));
    assert!(run(&path, &[]).expect_err("no report").contains("is no report of a run"));
    assert!(run(&folder.path().join("none"), &[]).expect_err("no file").contains("cannot read "));
}
