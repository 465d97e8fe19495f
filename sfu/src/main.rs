//! The media node as a process of its own.

use anyhow::Context;
use clap::Parser;
use cluster::listen::Listener;
use sfu::{Config, Node};
use std::path::PathBuf;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;

/// A media node allocates for every packet that comes in: the C library takes an eighth of a busy shard's time for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sunroom's media node.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file; `SUNROOM_*` variables (levels joined by `__`) override it.
    #[arg(long, default_value = "/etc/sunroom/sfu.yaml")]
    config: PathBuf,
    /// Read the configuration, say what is wrong with it, and exit.
    #[arg(long)]
    check_config: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The DTLS library warns of every extension of every browser's that it does not know.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,rtc_dtls=error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let config: Config = settings::load(&arguments.config)?;
    config.check()?;
    if arguments.check_config {
        Listener::check_internal(&config.internal).context("internal")?;
        return Ok(());
    }
    let shutdown = async {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .expect("a signal handler can be set before any other");
        tokio::select! {
            _ = term.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    Node::run(config, Arc::new(cluster::InProcess::new()), None, shutdown).await?;
    Ok(())
}
