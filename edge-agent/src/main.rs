//! `edge-agent run --config FILE`: the box at the site. `edge-agent check FILE...`: what to change at a camera.

use anyhow::Context;
use clap::{Parser, Subcommand};
use edge_agent::{check, config::Config, health::Board};
use serde_json::json;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};
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
    /// Says what should be changed at a camera, by a recording of it or by watching it for up to 15 s.
    ///
    /// The exit code is 0 without findings, 1 with findings, 2 when something cannot be read.
    Check {
        /// Files (H.264 or H.265 as a byte stream, in MP4 or in Matroska), or rtsp://user:password@host/path.
        #[arg(required = true)]
        sources: Vec<String>,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let usual = match arguments.command {
        Command::Run { .. } => "info,retina=warn,webrtc=warn,rtc=error,rtc_ice=warn,rtc_dtls=error",
        Command::Check { .. } => "error",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match arguments.command {
        Command::Run { config, check_config } => run(&config, check_config).await.map(|()| ExitCode::SUCCESS),
        Command::Check { sources, json } => check(&sources, json).await.map(ExitCode::from),
    }
}

async fn run(path: &Path, check_config: bool) -> anyhow::Result<()> {
    let config = Config::load(path).with_context(|| path.display().to_string())?;
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

/// Prints what is to be said of each source. The exit code.
async fn check(sources: &[String], as_json: bool) -> anyhow::Result<u8> {
    let (mut reports, mut unreadable) = (Vec::new(), Vec::new());
    for source in sources {
        let progress = |text: &str| drop(writeln!(io::stderr(), "{text}"));
        match check::check(source, progress).await {
            Ok(report) if as_json => reports.push(report),
            Ok(report) => {
                writeln!(io::stdout(), "{report}").context("standard output")?;
                reports.push(report);
            }
            Err(error) => {
                // An address may hold a password.
                let name = if source.contains("://") { "the stream" } else { source };
                let text = format!("{name} {error}");
                drop(writeln!(io::stderr(), "{text}"));
                unreadable.push(text);
            }
        }
    }
    if as_json {
        writeln!(io::stdout(), "{}", json!({ "sources": reports, "unreadable": unreadable }))
            .context("standard output")?;
    }
    let has_findings = reports.iter().any(|r| !r.findings.is_empty());
    Ok(if unreadable.is_empty() { u8::from(has_findings) } else { 2 })
}
