//! Packets forwarded per CPU-second of a shard, next to the bare ceiling of the same machine.
//!
//! A server with one shard on one core, the harness on the other: 500 viewers of one 1.1 Mbit/s stream, 30 frames a second,
//! AES-128-GCM. Windows of the server and of the ceiling alternate, on the same core and to the same receivers, so that
//! what else the machine does hits both; CPU time is counted, not wall time, and the median of the windows is printed.
#![allow(clippy::print_stdout)]
#![allow(clippy::disallowed_methods)] // a thread that keeps a film's pace

mod ceiling;
#[path = "../../tests/support/mod.rs"]
mod support;

use loadtest::measure::Measures;
use loadtest::scenario::Scenario;
use std::time::Duration;
use support::{Target, figure, median, pin, wait_for, window};

const VIEWERS: u32 = 500;
const WINDOWS: usize = 5;
const WINDOW: Duration = Duration::from_secs(4);

fn main() -> anyhow::Result<()> {
    pin(support::HARNESS_CORE)?;
    loadtest::engine::raise_descriptor_limit()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let with_runs = measure(true, "remb").await?;
        figure("fanout_packets_per_cpu_s", with_runs.fanout, "1/s");
        figure("ceiling_packets_per_cpu_s", with_runs.ceiling, "1/s");
        figure("fanout_ratio", with_runs.ratio, "1");
        let told = measure(true, "twcc").await?;
        figure("fanout_twcc_packets_per_cpu_s", told.fanout, "1/s");
        figure("ceiling_twcc_packets_per_cpu_s", told.ceiling, "1/s");
        figure("fanout_twcc_ratio", told.ratio, "1");
        let plain = measure(false, "remb").await?;
        figure("fanout_plain_packets_per_cpu_s", plain.fanout, "1/s");
        figure("ceiling_plain_packets_per_cpu_s", plain.ceiling, "1/s");
        figure("fanout_plain_ratio", plain.ratio, "1");
        Ok(())
    })
}

struct Figures {
    fanout: f64,
    ceiling: f64,
    ratio: f64,
}

/// `estimation` is how the server estimates what viewers' networks carry: what they tell it differs.
async fn measure(gro: bool, estimation: &str) -> anyhow::Result<Figures> {
    let scenario = Scenario { viewers: VIEWERS, profile: "1.1M".parse()?, gro, ..Scenario::default() };
    let film = scenario.profile.film()?.encodings.remove(0);
    let target = Target::estimating(estimation)?;
    let server = target.server()?;
    let fleet = target.fleet(&scenario).await?;
    fleet.watch(VIEWERS as usize, 200.0);
    wait_for(&fleet, VIEWERS, Duration::from_secs(30)).await?;
    let (mut fanout, mut bare, mut ratios, mut seen) = (Vec::new(), Vec::new(), Vec::new(), Measures::default());
    for _ in 0..WINDOWS {
        let window = window(&fleet, &server, WINDOW).await?;
        fleet.silence(true);
        let (receivers, film) = (fleet.addresses().await?, film.clone());
        let ceiling = std::thread::spawn(move || {
            pin(support::SERVER_CORE)?;
            ceiling::packets_per_cpu_second(&film, &receivers, WINDOW)
        });
        while !ceiling.is_finished() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let ceiling = ceiling.join().map_err(|_| anyhow::anyhow!("the ceiling's thread panicked"))??;
        fleet.take().await?;
        fleet.silence(false);
        tokio::time::sleep(Duration::from_millis(500)).await;
        seen.add(&window.tally.measures);
        fanout.push(window.packets_per_cpu_second());
        bare.push(ceiling);
        ratios.push(window.packets_per_cpu_second() / ceiling);
    }
    fleet.end().await;
    println!(
        "{} packets received, {} lost, {} opened and checked, {} wrong, {} receivers, {estimation}",
        seen.packets,
        seen.lost,
        seen.opened,
        seen.wrong,
        if gro { "GRO" } else { "plain" }
    );
    anyhow::ensure!(seen.wrong == 0, "viewers could not open what they were sent");
    anyhow::ensure!(seen.lost == seen.repaired, "packets were lost");
    anyhow::ensure!(seen.opened * 100 >= seen.packets, "too few packets were opened");
    Ok(Figures { fanout: median(&mut fanout), ceiling: median(&mut bare), ratio: median(&mut ratios) })
}
