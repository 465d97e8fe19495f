//! A server on a core of its own and a harness on the other, and networks of its own: what tests and benches share.
#![allow(dead_code)] // each of them uses a part

pub(crate) mod lab;

use anyhow::Context;
use loadtest::api::{Api, http_client};
use loadtest::engine::Network;
use loadtest::fleet::{Fleet, Share, Tally};
use loadtest::measure::Measures;
use loadtest::scenario::Scenario;
use loadtest::server::{Sample, Server};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use protocol::grant::{Jwks, LOADTEST_ISSUER, Signer};
use ring::{rand::SystemRandom, signature::Ed25519KeyPair};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};
use url::Url;

/// The server's core, and the harness's.
pub(crate) const SERVER_CORE: usize = 0;
pub(crate) const HARNESS_CORE: usize = 1;

/// Binds this thread, and those that it starts, to a core.
pub(crate) fn pin(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &cores).with_context(|| format!("core {core}"))
}

/// A running server, which ends with this.
pub(crate) struct Target {
    child: Child,
    _stdin: ChildStdin,
    _folder: tempfile::TempDir,
    key: Vec<u8>,
    pub(crate) signaling: Url,
    pub(crate) metrics: Url,
}

/// The server's program: built beside this one.
fn program() -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe()?.parent().and_then(Path::parent).context("no folder")?.join("standalone");
    anyhow::ensure!(beside.exists(), "{}: not built; the make target builds it first", beside.display());
    Ok(beside)
}

impl Target {
    /// On the server's core, with one shard.
    pub(crate) fn start() -> anyhow::Result<Self> {
        Self::estimating("remb")
    }

    /// The same, which estimates so what viewers' networks carry.
    pub(crate) fn estimating(estimation: &str) -> anyhow::Result<Self> {
        let core = SERVER_CORE.to_string();
        Self::with(&["--core", &core, "--shards", "1", "--media-bind", "127.0.0.1", "--estimation", estimation])
    }

    /// With these arguments.
    pub(crate) fn with(arguments: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok().context("no randomness")?;
        let keys = Jwks { keys: vec![Signer::new(LOADTEST_ISSUER, key.as_ref())?.jwk()] };
        let jwks = folder.path().join("loadtest.jwks");
        std::fs::write(&jwks, serde_json::to_vec(&keys)?)?;
        let mut child = Command::new(program()?)
            .args(["target", "--until-stdin-closes", "--loadtest-keys"])
            .arg(&jwks)
            .args(arguments)
            .env("RUST_LOG", "error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().context("no stdin")?;
        let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let mut said = |what: &str| -> anyhow::Result<Url> {
            let line = lines.next().context("the server ended")??;
            Ok(line.strip_prefix(what).with_context(|| format!("'{line}' is not {what}"))?.trim().parse()?)
        };
        let (signaling, metrics) = (said("signaling")?, said("metrics")?);
        Ok(Self { child, _stdin: stdin, _folder: folder, key: key.as_ref().to_vec(), signaling, metrics })
    }

    /// What reads its metrics.
    pub(crate) fn server(&self) -> anyhow::Result<Server> {
        Ok(Server::new(http_client(None)?, vec![self.metrics.clone()]))
    }

    /// The key whose grants it trusts.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Its public API, for a run of its own.
    pub(crate) fn api(&self) -> anyhow::Result<Api> {
        self.api_at(self.signaling.clone())
    }

    /// Another server's public API, by this one's key.
    pub(crate) fn api_at(&self, signaling: Url) -> anyhow::Result<Api> {
        let signer = Signer::new(LOADTEST_ISSUER, &self.key)?;
        let run = uuid::Uuid::new_v4().as_u128() as u32;
        Ok(Api::new(signaling, None, signer, run, Duration::from_secs(3600))?)
    }

    /// A fleet with its cameras published.
    pub(crate) async fn fleet(&self, scenario: &Scenario) -> anyhow::Result<Fleet> {
        self.fleet_on(scenario, Network::default()).await
    }

    /// The same, on another network.
    pub(crate) async fn fleet_on(&self, scenario: &Scenario, network: Network) -> anyhow::Result<Fleet> {
        let api = self.api()?;
        let mut fleet = Fleet::new(api, Share::deal(scenario, 1).remove(0), network)?;
        fleet.publish().await?;
        Ok(fleet)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Its stdin closes with this, and so it ends; a server that hangs is not waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the server used between two moments, and what was measured meanwhile.
pub(crate) struct Window {
    pub(crate) before: Sample,
    pub(crate) after: Sample,
    pub(crate) tally: Tally,
}

impl Window {
    pub(crate) fn seconds(&self) -> f64 {
        (self.after.at - self.before.at).as_secs_f64()
    }

    pub(crate) fn packets(&self) -> f64 {
        self.after.packets_out - self.before.packets_out
    }

    pub(crate) fn received(&self) -> f64 {
        self.after.packets_in - self.before.packets_in
    }

    pub(crate) fn shard_us(&self) -> f64 {
        self.after.shard_us - self.before.shard_us
    }

    pub(crate) fn process_us(&self) -> f64 {
        self.after.process_us - self.before.process_us
    }

    pub(crate) fn packets_per_cpu_second(&self) -> f64 {
        self.packets() / self.shard_us() * 1e6
    }

    pub(crate) fn us_per_packet(&self) -> f64 {
        self.shard_us() / self.packets()
    }
}

pub(crate) async fn sample(server: &Server) -> anyhow::Result<Sample> {
    server.sample().await?.context("a node's metrics")
}

/// Looks at the server for so long.
pub(crate) async fn window(fleet: &Fleet, server: &Server, length: Duration) -> anyhow::Result<Window> {
    fleet.take().await?;
    let before = sample(server).await?;
    tokio::time::sleep(length).await;
    let after = sample(server).await?;
    Ok(Window { before, after, tally: fleet.take().await? })
}

/// Waits until so many viewers have what they are to have, and returns what was measured until then.
pub(crate) async fn wait_for(fleet: &Fleet, viewers: u32, patience: Duration) -> anyhow::Result<Measures> {
    let begun = Instant::now();
    let mut measures = Measures::default();
    loop {
        let tally = fleet.take().await?;
        measures.add(&tally.measures);
        if tally.viewers >= u64::from(viewers) && tally.joining == 0 {
            return Ok(measures);
        }
        anyhow::ensure!(
            begun.elapsed() < patience,
            "{} of {viewers} viewers after {patience:?}; failures: {:?}",
            tally.viewers,
            measures.failed
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the server has so many connections.
pub(crate) async fn wait_for_connections(target: &Target, connections: f64) -> anyhow::Result<()> {
    let server = target.server()?;
    wait_until(Duration::from_secs(30), async || {
        let has = sample(&server).await?.connections;
        Ok(if has == connections { Ok(()) } else { Err(format!("{has} connections, not {connections}")) })
    })
    .await
}

/// Looks again and again until there is what is looked for; what there is instead is the error in the end.
pub(crate) async fn wait_until<T>(
    patience: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Result<T, String>>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        match look().await? {
            Ok(found) => return Ok(found),
            Err(instead) => anyhow::ensure!(begun.elapsed() < patience, "{instead} after {patience:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The median.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints a figure.
#[allow(clippy::print_stdout)]
pub(crate) fn figure(name: &str, value: f64, unit: &str) {
    let digits = if value.abs() >= 1000.0 { 0 } else { 3 };
    println!("figure {name} {value:.digits$} {unit}");
}
