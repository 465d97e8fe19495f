//! Switching for a long time: 1,000 viewers over 30 cameras, each another one every 5 s, ten leaving and coming a second.
//! Memory stays where it was after the first minute, and nothing is left when all have gone.
#![allow(clippy::print_stdout)]

#[path = "../../tests/support/mod.rs"]
mod support;

use loadtest::measure::Measures;
use loadtest::scenario::Scenario;
use std::time::{Duration, Instant};
use support::{Target, figure, pin, sample};

/// How long it goes on when `SOAK_SECONDS` says nothing.
const SECONDS: u64 = 600;
/// When memory is looked at first.
const FIRST: Duration = Duration::from_secs(60);
/// How long what is left may take to go: connections that are closed linger.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> anyhow::Result<()> {
    pin(support::HARNESS_CORE)?;
    loadtest::engine::raise_descriptor_limit()?;
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let length = Duration::from_secs(seconds).max(2 * FIRST);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(soak(length))
}

async fn soak(length: Duration) -> anyhow::Result<()> {
    let scenario: Scenario = settings::from_yaml(include_str!("../../scenarios/zapping.yaml"))?;
    let target = Target::start()?;
    let server = target.server()?;
    let empty = sample(&server).await?;
    let fleet = target.fleet(&scenario).await?;
    let (begun, mut seen, mut first, mut last) = (Instant::now(), Measures::default(), None, empty);
    fleet.watch(scenario.viewers as usize, scenario.join_rate);
    while begun.elapsed() < length {
        tokio::time::sleep(Duration::from_secs(10)).await;
        seen.add(&fleet.take().await?.measures);
        last = sample(&server).await?;
        if begun.elapsed() >= FIRST {
            first.get_or_insert(last);
        }
        let (at, mib) = (begun.elapsed().as_secs(), last.memory / 1024.0 / 1024.0);
        println!(
            "{at:>4} s  {mib:.1} MiB, {} descriptors, {} tasks, {} connections",
            last.descriptors, last.tasks, last.connections
        );
    }
    fleet.end().await;
    println!("{} joins, {} switches, failures {:?}, {} wrong", seen.joins, seen.switches, seen.failed, seen.wrong);
    let first = first.unwrap_or(last);
    figure("soak_memory_growth_pct", 100.0 * (last.memory / first.memory - 1.0), "%");
    figure("soak_show_p95_ms", seen.show.percentile(95.0).map_or(f64::NAN, |us| us as f64 / 1000.0), "ms");
    figure("soak_loss_pct", seen.loss_percent(), "%");
    let left = settled(&server, &empty).await?;
    figure("soak_connections_left", left.connections, "connections");
    figure("soak_descriptors_left", left.descriptors - empty.descriptors, "descriptors");
    figure("soak_tasks_left", left.tasks - empty.tasks, "tasks");
    Ok(())
}

/// How the server is once it has settled, or after a minute.
async fn settled(
    server: &loadtest::server::Server,
    empty: &loadtest::server::Sample,
) -> anyhow::Result<loadtest::server::Sample> {
    let begun = Instant::now();
    loop {
        let now = sample(server).await?;
        let is_settled = now.connections == 0.0 && now.descriptors <= empty.descriptors && now.tasks <= empty.tasks;
        if is_settled || begun.elapsed() > PATIENCE {
            return Ok(now);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
