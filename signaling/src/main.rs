//! `signaling`: reads its configuration, then serves until it is told to stop.

use anyhow::Context;
use clap::Parser;
use cluster::{InProcess, NodeClient, listen::Listener};
use signaling::{Config, Signaling, Terms, Turn};
use std::{path::PathBuf, sync::Arc};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Sunroom's signaling service: WHIP, WHEP, viewers' sessions and the agents' socket.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file.
    #[arg(long, default_value = "/etc/sunroom/signaling.yaml")]
    config: PathBuf,
    /// Read and check the configuration and the files that it names, then end.
    #[arg(long)]
    check_config: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    let config = Config::load(&arguments.config)?;
    let verifier = Arc::new(config.grants.verifier()?);
    let turn = config.turn.as_ref().map(Turn::servers).transpose()?;
    let nodes = NodeClient::new(config.node_identity.as_ref()).context("node_identity")?;
    if arguments.check_config {
        Listener::check_public(&config.listen).context("listen")?;
        Listener::check_internal(&config.internal).context("internal")?;
        return Ok(());
    }
    let public = Listener::public(&config.listen).context("listen")?;
    let internal = Listener::internal(&config.internal).context("internal")?;
    tracing::warn!("the directory is in this process only; nodes of other processes are not known here");
    if config.grants.loadtest_jwks_file.is_some() {
        tracing::warn!("grants of load tests are good here (grants.loadtest_jwks_file); leave that out in production");
    }
    let directory = Arc::new(InProcess::new());
    let registry = prometheus::Registry::new();
    let terms = Terms { cors: config.cors, limits: config.limits, turn };
    let service = Signaling::new(terms, directory, verifier, nodes, &registry)?;
    tracing::info!(public = public.url(), internal = internal.url(), "serving");
    service.serve(public, internal, terminated()).await.context("serving ended")
}

/// Ready when this process is asked to end.
async fn terminated() {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM is no forbidden signal");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
