//! `edge-agent run --config FILE`: the box at the site.

use anyhow::Context;
use clap::{Parser, Subcommand};
use edge_agent::{config::Config, health::Board};
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Pulls a site's cameras and publishes what is wanted.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the agent until it is told to stop (SIGTERM, SIGINT).
    Run {
        /// The configuration file.
        #[arg(long, default_value = "/etc/sunroom/edge-agent.yaml")]
        config: PathBuf,
        /// Only says whether the configuration is sound.
        #[arg(long)]
        check_config: bool,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,webrtc=warn,rtc=error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let Command::Run { config: path, check_config } = Arguments::parse().command;
    let config = Config::load(&path).with_context(|| path.display().to_string())?;
    if check_config {
        tracing::info!(cameras = config.cameras.len(), "the configuration is sound");
        return Ok(());
    }
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let stopped = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let board = Board::new(&config.cameras);
    edge_agent::run(config, board, stopped).await.context("edge agent")
}
