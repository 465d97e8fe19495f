//! The command line.

use crate::engine::Network;
use crate::impairment::Impairment;
use crate::profile::Profile;
use crate::run::{Plan, Ramp};
use crate::scenario::Scenario;
use crate::slo::{self, Objective};
use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use protocol::grant::{LOADTEST_ISSUER, Signer};
use ring::{rand::SystemRandom, signature::Ed25519KeyPair};
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// Plans capacity: virtual cameras and viewers that speak the real protocols, thousands in a process.
#[derive(Parser)]
#[command(version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Load a server, and report what was measured.
    Run(Box<Run>),
    /// Wait for a `loadtest run --agents` on another machine, and do a part of it.
    Agent(AgentArguments),
    /// Turn a measured cost into nodes, cores, bandwidth and relay links.
    Plan(crate::plan::PlanArguments),
    /// Stand between peers and a media node as a network would, delaying and losing: for `loadtest run --via`.
    Relay(RelayArguments),
    /// Make the key that signs virtual peers' grants, and the key set that a server is to trust.
    Key(Key),
}

/// See [`Command::Run`].
#[derive(Args)]
pub struct Run {
    /// Base URL of the server's signaling.
    #[arg(long)]
    pub server: Url,
    /// Key that signs grants, as `loadtest key` makes it; the server must trust its key set.
    #[arg(long, required_unless_present = "agents")]
    pub grant_key: Option<PathBuf>,
    /// `/metrics` of a media node; once for each. Without, nothing is said of the server's side.
    #[arg(long)]
    pub metrics: Vec<Url>,
    /// PEM file of authorities that are trusted beside the web's.
    #[arg(long)]
    pub ca: Option<PathBuf>,
    /// A scenario (YAML); flags go over it.
    #[arg(long)]
    pub scenario: Option<PathBuf>,
    /// What is changed of the scenario.
    #[command(flatten)]
    pub changes: Changes,
    /// Objectives, such as `loss<0.1%,transit_p99<100ms,first_p95<500ms`; those of the scenario by default.
    #[arg(long, value_parser = slo::parse)]
    pub slo: Option<Objectives>,
    /// Raise viewers step by step until an objective breaks: `START:STEP:MOST`, such as `500:250:5000`.
    #[arg(long, value_parser = ramp)]
    pub ramp: Option<Ramp>,
    /// How long each step of a ramp is measured.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub hold: Duration,
    /// Agents on other machines that do it instead of this process: base URLs, with commas between.
    #[arg(long, value_delimiter = ',')]
    pub agents: Vec<Url>,
    /// Certificate, key and CA that are shown to agents off loopback.
    #[arg(long, num_args = 3, value_names = ["CERT", "KEY", "CA"])]
    pub agent_identity: Option<Vec<PathBuf>>,
    /// Address of this machine that viewers come from, in place of the one that leads to the server.
    #[arg(long)]
    pub from: Option<IpAddr>,
    /// Where viewers' media goes in place of the server's own address: a `loadtest relay`.
    #[arg(long, conflicts_with = "agents")]
    pub via: Option<SocketAddr>,
    /// Where the JSON report goes.
    #[arg(long)]
    pub report: Option<PathBuf>,
    /// Where the HTML report goes.
    #[arg(long)]
    pub html: Option<PathBuf>,
}

/// A list of objectives.
pub type Objectives = Vec<Objective>;

/// Parts of a scenario. What is left out stays as the scenario, or the usual, has it.
#[derive(Args, Default)]
pub struct Changes {
    /// Cameras that are published (usual: 1).
    #[arg(long)]
    pub publishers: Option<u32>,
    /// Viewers (usual: 100).
    #[arg(long)]
    pub viewers: Option<u32>,
    /// Slots of a viewer's page: 1, 4 or 9 (usual: 1).
    #[arg(long)]
    pub layout: Option<usize>,
    /// Slots that show a camera (usual: all).
    #[arg(long)]
    pub cameras_per_viewer: Option<usize>,
    /// Joins a second (usual: 50).
    #[arg(long)]
    pub join_rate: Option<f64>,
    /// From the first join to the end (usual: 30s).
    #[arg(long, value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// What cameras send: camera-360p, camera-720p or FILE.h264 (usual: camera-360p).
    #[arg(long)]
    pub profile: Option<Profile>,
    /// What cameras send: made pictures at this rate, such as 1.1M.
    #[arg(long, conflicts_with = "profile")]
    pub bitrate: Option<Profile>,
    /// Largest encoding that viewers wish: l, m or h (usual: h).
    #[arg(long)]
    pub rid: Option<String>,
    /// How often each viewer switches a slot to another camera (usual: never).
    #[arg(long, value_parser = humantime::parse_duration)]
    pub switch_every: Option<Duration>,
    /// Viewers that leave, and are replaced, each second (usual: 0).
    #[arg(long)]
    pub churn: Option<f64>,
    /// Receive each packet by itself, as most clients do, in place of runs (GRO).
    #[arg(long)]
    pub plain: bool,
}

/// See [`Command::Agent`].
#[derive(Args)]
pub struct AgentArguments {
    /// Where `loadtest run` reaches it: loopback, or an address with --tls.
    #[arg(long, default_value = "127.0.0.1:7500")]
    pub listen: SocketAddr,
    /// Certificate, key, and the CA of whom may command it. Off loopback nobody else may.
    #[arg(long, num_args = 3, value_names = ["CERT", "KEY", "CLIENT_CA"])]
    pub tls: Option<Vec<PathBuf>>,
    /// Key that signs grants, as `loadtest key` makes it.
    #[arg(long)]
    pub grant_key: PathBuf,
    /// PEM file of authorities that are trusted beside the web's.
    #[arg(long)]
    pub ca: Option<PathBuf>,
}

/// See [`Command::Relay`].
#[derive(Args)]
pub struct RelayArguments {
    /// Where viewers send to.
    #[arg(long, default_value = "127.0.0.1:7501")]
    pub listen: SocketAddr,
    /// The media node's UDP address.
    #[arg(long)]
    pub to: SocketAddr,
    /// The network (YAML), such as those in `loadtest/networks`.
    #[arg(long, required_unless_present = "delay")]
    pub network: Option<PathBuf>,
    /// In place of a network: how long each datagram is held, each way.
    #[arg(long, value_parser = humantime::parse_duration, conflicts_with = "network")]
    pub delay: Option<Duration>,
}

/// See [`Command::Key`].
#[derive(Args)]
pub struct Key {
    /// Where the key goes, readable by its owner alone. A file that is there is left as it is.
    #[arg(long, default_value = "loadtest.p8")]
    pub out: PathBuf,
    /// Where the key set (JWKS) goes: `grants.loadtest_jwks_file` of a server's configuration.
    #[arg(long, default_value = "loadtest.jwks")]
    pub jwks: PathBuf,
}

fn ramp(text: &str) -> Result<Ramp, String> {
    let numbers = text.split(':').map(str::parse).collect::<Result<Vec<u32>, _>>().map_err(|e| e.to_string())?;
    match numbers.as_slice() {
        [start, step, most] if *start > 0 && *step > 0 && most >= start => {
            Ok(Ramp { start: *start, step: *step, most: *most, hold: Duration::ZERO })
        }
        _ => Err("write START:STEP:MOST, such as 500:250:5000".into()),
    }
}

impl RelayArguments {
    /// The network that it is to be.
    pub fn impairment(&self) -> anyhow::Result<Impairment> {
        let network = match &self.network {
            Some(path) => settings::load(path)?,
            None => Impairment::delay(self.delay.unwrap_or_default()),
        };
        network.check()?;
        Ok(network)
    }
}

impl Run {
    /// What is to be done and met.
    pub fn plan(&self) -> anyhow::Result<Plan> {
        let scenario = match &self.scenario {
            Some(path) => settings::load(path)?,
            None => Scenario::default(),
        };
        let mut scenario = self.changes.over(scenario);
        if let Some(objectives) = &self.slo {
            scenario.objectives.clone_from(objectives);
        }
        scenario.check()?;
        anyhow::ensure!(
            self.ramp.is_none() || !scenario.objectives.is_empty(),
            "--ramp ends when an objective breaks: name some by --slo"
        );
        let ramp = self.ramp.map(|ramp| Ramp { hold: self.hold.max(Duration::from_secs(1)), ..ramp });
        Ok(Plan { scenario, ramp })
    }

    /// How viewers are connected.
    pub fn network(&self) -> Network {
        Network { from: self.from, via: self.via, ..Network::default() }
    }

    /// What is shown to agents.
    pub fn identity(&self) -> Option<cluster::tls::Identity> {
        let [cert, key, ca] = self.agent_identity.as_deref()? else { return None };
        Some(cluster::tls::Identity { cert: cert.clone(), key: key.clone(), ca: ca.clone() })
    }
}

impl AgentArguments {
    /// Where it listens.
    pub fn config(&self) -> cluster::listen::Config {
        let files = |files: &Vec<PathBuf>| match files.as_slice() {
            [cert, key, ca] => {
                Some(cluster::tls::Files { cert: cert.clone(), key: key.clone(), client_ca: Some(ca.clone()) })
            }
            _ => None,
        };
        cluster::listen::Config { addr: self.listen, tls: self.tls.as_ref().and_then(files) }
    }
}

impl Changes {
    /// The scenario with these changes.
    pub fn over(&self, mut scenario: Scenario) -> Scenario {
        fn set<T: Clone>(place: &mut T, change: Option<&T>) {
            if let Some(change) = change {
                *place = change.clone();
            }
        }
        set(&mut scenario.publishers, self.publishers.as_ref());
        set(&mut scenario.viewers, self.viewers.as_ref());
        set(&mut scenario.layout, self.layout.as_ref());
        set(&mut scenario.join_rate, self.join_rate.as_ref());
        set(&mut scenario.duration, self.duration.as_ref());
        set(&mut scenario.profile, self.profile.as_ref().or(self.bitrate.as_ref()));
        set(&mut scenario.rid, self.rid.as_ref());
        set(&mut scenario.churn, self.churn.as_ref());
        scenario.cameras_per_viewer = self.cameras_per_viewer.or(scenario.cameras_per_viewer);
        scenario.switch_every = self.switch_every.or(scenario.switch_every);
        scenario.gro &= !self.plain;
        scenario
    }
}

/// The key of a file.
pub fn read_key(path: &Path) -> anyhow::Result<Vec<u8>> {
    let key = std::fs::read(path).with_context(|| format!("{}: `loadtest key` makes one", path.display()))?;
    Signer::new(LOADTEST_ISSUER, &key).with_context(|| format!("{}", path.display()))?;
    Ok(key)
}

impl Key {
    /// Makes both files.
    pub fn make(&self) -> anyhow::Result<()> {
        if !self.out.exists() {
            let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok().context("no randomness for a key")?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.out)?;
            file.write_all(key.as_ref())?;
        }
        let signer = Signer::new(LOADTEST_ISSUER, &read_key(&self.out)?)?;
        let keys = protocol::grant::Jwks { keys: vec![signer.jwk()] };
        std::fs::write(&self.jwks, serde_json::to_vec_pretty(&keys)?)
            .with_context(|| format!("{}", self.jwks.display()))
    }
}
