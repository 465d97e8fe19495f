//! What one core carries, and what it costs: a server with one shard on one core, the harness on the other. `cargo bench
//! --bench capacity -- NAME...` does a part of it.
#![allow(clippy::print_stdout)]

mod awake;
mod shards;
#[path = "../../tests/support/mod.rs"]
mod support;

use awake::Awake;
use loadtest::fleet::Fleet;
use loadtest::forces::Forces;
use loadtest::progress::Progress;
use loadtest::run::{self, Plan, Ramp};
use loadtest::scenario::Scenario;
use loadtest::slo;
use std::time::Duration;
use support::{Target, Window, figure, median, pin, sample, wait_for, window};

/// The parts, in their order.
const PARTS: [&str; 6] = ["shards", "viewers", "idle", "joins", "ramp", "linear"];
const PATIENCE: Duration = Duration::from_secs(60);
/// From the last join to a measurement of what goes on.
const SETTLE: Duration = Duration::from_secs(3);
/// Cameras of a few kindergartens: their keyframes come at different times.
const CAMERAS: u32 = 30;

fn main() -> anyhow::Result<()> {
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if asked == [awake::LOOP] {
        awake::stay();
        return Ok(());
    }
    if let Some(unknown) = asked.iter().find(|word| !PARTS.contains(&word.as_str())) {
        anyhow::bail!("'{unknown}' is none of {}", PARTS.join(", "));
    }
    loadtest::engine::raise_descriptor_limit()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for part in PARTS.into_iter().filter(|part| asked.is_empty() || asked.iter().any(|word| word == part)) {
        println!("-- {part}");
        // Two shards need both cores; what their harness does then is little.
        if part != "shards" {
            pin(support::HARNESS_CORE)?;
        }
        match part {
            "viewers" => runtime.block_on(viewers())?,
            "idle" => runtime.block_on(idle())?,
            "joins" => runtime.block_on(joins())?,
            "ramp" => runtime.block_on(ramp())?,
            "linear" => runtime.block_on(linear())?,
            _ => shards::measure()?,
        }
    }
    Ok(())
}

fn one_camera(viewers: u32) -> anyhow::Result<Scenario> {
    Ok(Scenario { viewers, profile: "1.1M".parse()?, ..Scenario::default() })
}

/// 2,000 viewers of 1.1 Mbit/s on one core, and the memory of each: all of one camera, whose every keyframe is 80,000
/// packets at once, and over the cameras of a few kindergartens.
async fn viewers() -> anyhow::Result<()> {
    two_thousand("one_camera_2000", 1).await?;
    two_thousand("viewers_2000", CAMERAS).await
}

async fn two_thousand(name: &str, publishers: u32) -> anyhow::Result<()> {
    const VIEWERS: u32 = 2000;
    let target = Target::start()?;
    let server = target.server()?;
    let fleet = target.fleet(&Scenario { publishers, ..one_camera(VIEWERS)? }).await?;
    let empty = sample(&server).await?;
    fleet.watch(VIEWERS as usize, 200.0);
    wait_for(&fleet, VIEWERS, PATIENCE).await?;
    // The cached GOPs of the last joins are still to leave.
    tokio::time::sleep(SETTLE).await;
    let window = window(&fleet, &server, Duration::from_secs(20)).await?;
    let seen = &window.tally.measures;
    println!(
        "{} packets expected, {} lost, {} repaired, {} trains dropped, {} opened, {} wrong, server {:.0} % of its core",
        seen.expected,
        seen.lost,
        seen.repaired,
        window.after.dropped - window.before.dropped,
        seen.opened,
        seen.wrong,
        window.process_us() / window.seconds() / 1e4
    );
    anyhow::ensure!(seen.wrong == 0, "viewers could not open what they were sent");
    figure(&format!("{name}_loss_pct"), seen.loss_percent(), "%");
    figure(&format!("{name}_raw_loss_pct"), seen.raw_loss_percent(), "%");
    figure(&format!("{name}_transit_p50_ms"), ms(seen.transit.percentile(50.0)), "ms");
    figure(&format!("{name}_transit_p99_ms"), ms(seen.transit.percentile(99.0)), "ms");
    if publishers == 1 {
        figure("viewer_rss_kib", (window.after.memory - empty.memory) / f64::from(VIEWERS) / 1024.0, "KiB");
    }
    fleet.end().await;
    Ok(())
}

/// Viewers that are connected and shown nothing.
async fn idle() -> anyhow::Result<()> {
    const VIEWERS: u32 = 2000;
    const LENGTH: Duration = Duration::from_secs(10);
    let scenario = Scenario { cameras_per_viewer: Some(0), ..one_camera(VIEWERS)? };
    let target = Target::start()?;
    let server = target.server()?;
    let fleet = target.fleet(&scenario).await?;
    let empty = window(&fleet, &server, LENGTH).await?;
    let before = sample(&server).await?;
    fleet.watch(VIEWERS as usize, 500.0);
    let joined = wait_for(&fleet, VIEWERS, PATIENCE).await?;
    let after = sample(&server).await?;
    let joins = Window { before, after, tally: fleet.take().await? };
    let full = window(&fleet, &server, LENGTH).await?;
    let idle = |window: &Window| window.process_us() / window.seconds();
    let each = (idle(&full) - idle(&empty)) / f64::from(VIEWERS);
    figure("idle_viewer_us_per_s", each, "us/s");
    // While they join, those that are there already cost what idle ones do: half of them, on average.
    let beside = joins.seconds() * (idle(&empty) + each * f64::from(VIEWERS) / 2.0);
    figure("join_cpu_us", (joins.process_us() - beside) / joined.joined as f64, "us");
    figure("join_shard_cpu_us", joins.shard_us() / joined.joined as f64, "us");
    fleet.end().await;
    Ok(())
}

/// 500 joins a second, as many leaving, while 500 watch: of streams of 100 kbit/s, so that joins are what the core is
/// busy with.
async fn joins() -> anyhow::Result<()> {
    const VIEWERS: u32 = 500;
    let scenario = Scenario { publishers: CAMERAS, churn: 500.0, profile: "100k".parse()?, ..one_camera(VIEWERS)? };
    let target = Target::start()?;
    let server = target.server()?;
    let fleet = target.fleet(&scenario).await?;
    fleet.watch(VIEWERS as usize, 500.0);
    wait_for_most(&fleet, VIEWERS).await?;
    let window = window(&fleet, &server, Duration::from_secs(10)).await?;
    let seen = &window.tally.measures;
    println!("{} joins begun, {} done, failures {:?}", seen.joins, seen.joined, seen.failed);
    figure("joins_per_s", seen.joined as f64 / window.seconds(), "1/s");
    figure("joins_first_p95_ms", ms(seen.first_packet.percentile(95.0)), "ms");
    figure("joins_late_p95_ms", ms(seen.late.percentile(95.0)), "ms");
    figure("joins_transit_p99_ms", ms(seen.transit.percentile(99.0)), "ms");
    figure("joins_loss_pct", seen.loss_percent(), "%");
    fleet.end().await;
    Ok(())
}

async fn wait_for_most(fleet: &Fleet, viewers: u32) -> anyhow::Result<()> {
    let begun = std::time::Instant::now();
    while fleet.take().await?.viewers < u64::from(viewers) * 9 / 10 {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "viewers do not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// How many viewers the core carries until an objective breaks.
async fn ramp() -> anyhow::Result<()> {
    let target = Target::start()?;
    let objectives = slo::parse("loss<0.1%,transit_p99<100ms,first_p95<500ms")?;
    let scenario = Scenario { publishers: CAMERAS, join_rate: 250.0, objectives, ..one_camera(0)? };
    let fleet = target.fleet(&scenario).await?;
    let plan =
        Plan { scenario, ramp: Some(Ramp { start: 1500, step: 250, most: 6000, hold: Duration::from_secs(10) }) };
    let forces = Forces::Here(Box::new(fleet));
    let outcome = run::run(&plan, forces, &target.server()?, &mut Progress::new(0), std::future::pending()).await?;
    let carried = outcome.steps.iter().filter(|step| step.is_met).map(|step| step.viewers).max().unwrap_or(0);
    figure("capacity_viewers", carried as f64, "viewers");
    Ok(())
}

/// Cost by the number of viewers, on a core that stays awake and on one that halts, and by the number of cameras.
async fn linear() -> anyhow::Result<()> {
    by_viewers().await?;
    let mut costs = Vec::new();
    for publishers in [1, 10, 100, 1000] {
        let window = steady(&Scenario { publishers, ..one_camera(1000)? }).await?;
        let each = window.shard_us() / (window.packets() + window.received());
        figure(&format!("cameras_{publishers}_us_per_packet"), each, "us");
        costs.push(each);
    }
    figure("cameras_cost_spread_pct", spread(&costs), "%");
    Ok(())
}

/// The machine has faster and slower minutes, so numbers of viewers take turns, and medians count.
async fn by_viewers() -> anyhow::Result<()> {
    const VIEWERS: [u32; 4] = [250, 500, 1000, 2000];
    const ROUNDS: usize = 5;
    /// Whole groups of pictures, since keyframes cost other than the rest.
    const LENGTH: Duration = Duration::from_secs(8);
    let (mut awake, mut halting) = (VIEWERS.map(|_| Vec::new()), VIEWERS.map(|_| Vec::new()));
    for _ in 0..ROUNDS {
        for (n, viewers) in VIEWERS.into_iter().enumerate() {
            let (target, fleet) = settled(&one_camera(viewers)?).await?;
            let server = target.server()?;
            halting[n].push(window(&fleet, &server, LENGTH).await?.us_per_packet());
            let _awake = Awake::keep()?;
            awake[n].push(window(&fleet, &server, LENGTH).await?.us_per_packet());
            fleet.end().await;
        }
    }
    for (name, costs) in [("viewers", awake), ("halting_viewers", halting)] {
        let costs = costs.map(|mut costs| median(&mut costs));
        for (viewers, cost) in VIEWERS.into_iter().zip(costs) {
            figure(&format!("{name}_{viewers}_us_per_packet"), cost, "us");
        }
        figure(&format!("{name}_cost_spread_pct"), spread(&costs), "%");
    }
    Ok(())
}

async fn steady(scenario: &Scenario) -> anyhow::Result<Window> {
    let (target, fleet) = settled(scenario).await?;
    let window = window(&fleet, &target.server()?, Duration::from_secs(8)).await?;
    fleet.end().await;
    Ok(window)
}

/// A server, and all viewers of a scenario watching it.
async fn settled(scenario: &Scenario) -> anyhow::Result<(Target, Fleet)> {
    let target = Target::start()?;
    let fleet = target.fleet(scenario).await?;
    fleet.watch(scenario.viewers as usize, 200.0);
    wait_for(&fleet, scenario.viewers, PATIENCE).await?;
    tokio::time::sleep(SETTLE).await;
    Ok((target, fleet))
}

fn spread(costs: &[f64]) -> f64 {
    let least = costs.iter().copied().fold(f64::MAX, f64::min);
    let most = costs.iter().copied().fold(0.0, f64::max);
    100.0 * (most / least - 1.0)
}

fn ms(us: Option<u64>) -> f64 {
    us.map_or(f64::NAN, |us| us as f64 / 1000.0)
}
