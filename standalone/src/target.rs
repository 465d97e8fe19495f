//! What a load test is pointed at: a media node and signaling, without page, agent or data directory. Invariant: it
//! trusts a load test's issuer alone, so no real camera can be published into it.

use crate::life::{Ends, first_node, when};
use anyhow::Context;
use cluster::listen::{self, Listener};
use cluster::{Directory, InProcess, NodeClient};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use protocol::grant::{Jwks, LOADTEST_ISSUER, Verifier};
use sfu::{Media, Node};
use signaling::{Signaling, Terms};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

#[derive(clap::Args)]
pub(crate) struct Target {
    /// The load test's public keys (JSON, RFC 7517).
    #[arg(long, value_name = "FILE")]
    loadtest_keys: PathBuf,
    /// Where signaling is served, with its own /metrics; a loopback address. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where the node's API and /metrics are served; a loopback address. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    internal: SocketAddr,
    /// Media threads; 0 is one a core.
    #[arg(long, default_value_t = 1)]
    shards: u16,
    /// Where the media sockets listen.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    media_bind: IpAddr,
    /// What viewers and publishers are told to send to; repeat for more. Default: what media is bound to, or the
    /// addresses of the machine's interfaces where that is all of them.
    #[arg(long, value_name = "IP")]
    advertise: Vec<IpAddr>,
    /// Most payload that one encoding keeps for joins and retransmissions.
    #[arg(long, value_name = "BYTES", default_value_t = Media::default().ring_bytes)]
    ring_bytes: usize,
    /// How long a camera's encoding stays wanted after its last viewer, in seconds.
    #[arg(long, default_value_t = Media::default().linger_seconds)]
    linger: u64,
    /// How it is estimated what viewers' networks carry.
    #[arg(long, value_enum, default_value_t)]
    estimation: sfu::Estimation,
    /// The one core that the whole process runs on.
    #[arg(long, value_name = "N")]
    core: Option<usize>,
    /// End when standard input does, so that nothing stays behind of a load test that died.
    #[arg(long)]
    until_stdin_closes: bool,
}

impl Target {
    /// Keeps this thread, and all that it will start, to the core that was asked for.
    pub(crate) fn pin(&self) -> anyhow::Result<()> {
        let Some(core) = self.core else { return Ok(()) };
        let mut only = CpuSet::new();
        let pinned = only.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &only));
        pinned.with_context(|| format!("--core {core}: there is no such core, or it is not for this process"))
    }

    fn verifier(&self) -> anyhow::Result<Verifier> {
        let path = self.loadtest_keys.display();
        let text = std::fs::read(&self.loadtest_keys).with_context(|| format!("--loadtest-keys: {path}"))?;
        let keys: Jwks = serde_json::from_slice(&text).with_context(|| format!("{path}: not a JWKS"))?;
        anyhow::ensure!(!keys.keys.is_empty(), "{path}: it holds no key, so no grant could ever be good");
        Ok(Verifier::new(LOADTEST_ISSUER, &keys))
    }

    fn node(&self) -> sfu::Config {
        let advertise = match self.advertise.as_slice() {
            [] if !self.media_bind.is_unspecified() => vec![self.media_bind],
            asked => asked.to_vec(),
        };
        let media = Media {
            bind: self.media_bind,
            shards: self.shards,
            advertise,
            ring_bytes: self.ring_bytes,
            linger_seconds: self.linger,
            estimation: self.estimation,
            ..Media::default()
        };
        sfu::Config { internal: listen::Config::plain(self.internal), media, ..sfu::Config::default() }
    }
}

pub(crate) async fn run(target: Target) -> anyhow::Result<()> {
    let ends = Ends::signals()?;
    let ends = if target.until_stdin_closes { ends.or_input()? } else { ends };
    let directory: Arc<dyn Directory> = Arc::new(InProcess::new());
    let verifier = Arc::new(target.verifier()?);
    let registry = prometheus::Registry::new();
    let nodes = NodeClient::new(None)?;
    let signaling = Signaling::new(Terms::default(), Arc::clone(&directory), verifier, nodes.clone(), &registry)?;
    let router = signaling.router().merge(signaling.internal_router()).fallback(signaling::not_found);
    let listener = Listener::public(&listen::Config::plain(target.listen))?;
    let url = listener.url();

    let (stop, stopped) = watch::channel(false);
    tokio::spawn(signaling.follow());
    let node = Node::run(target.node(), Arc::clone(&directory), Some(&nodes), when(stopped.clone()));
    let serving = listener.serve(router, when(stopped));
    tokio::select! {
        ended = async { tokio::try_join!(
            async { node.await.context("media node") },
            async { serving.await.context("signaling") },
            announce(&url, &*directory),
        ) } => ended.map(drop),
        never = ends.stop(stop) => never,
    }
}

/// Says where both are as soon as a viewer could be placed.
async fn announce(url: &str, directory: &dyn Directory) -> anyhow::Result<()> {
    let node = first_node(directory).await?;
    let mut out = io::stdout().lock();
    writeln!(out, "signaling {url}\nmetrics {}/metrics", node.url)?;
    Ok(out.flush()?)
}
