//! All of Sunroom in one process, on embedded defaults: for one site, and for trying it out.
//!
//! It only starts the services and connects them. What may never be here: something that a service needs when it runs
//! on its own.

mod demo;
mod issuer;
mod keys;
mod life;
mod metrics;
mod page;
mod target;

use anyhow::Context;
use clap::{Parser, Subcommand};
use protocol::grant::Audience;
use protocol::{CameraId, Rid};
use signaling::TurnUrl;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::runtime::Runtime;
use url::Url;
use uuid::Uuid;

/// A media node allocates for every packet that comes in: the C library takes an eighth of a busy shard's time for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// All of Sunroom in one process.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything, with a page that needs no account, on loopback.
    Demo(Demo),
    /// Print a grant to view, or to publish, signed with the key of a data directory.
    Grant(Grant),
    /// Start a media node and signaling for a load test, and print where they are.
    Target(target::Target),
}

#[derive(clap::Args)]
struct Demo {
    /// Where page and API are served; a loopback address. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// RTSP URL of a camera's main stream, with user name and password where it asks for them; once for each camera.
    /// Without any, two synthetic cameras.
    #[arg(long)]
    camera: Vec<Url>,
    /// RTSP URL of the sub stream of the camera that stands at the same place; once for each camera.
    #[arg(long, requires = "camera")]
    camera_sub: Vec<Url>,
    /// How RTP comes from the cameras.
    #[arg(long, value_enum, default_value_t = Transport::Tcp)]
    camera_transport: Transport,
    /// Where keys are kept.
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// How long a camera's encoding keeps flowing after its last viewer, in seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    linger: u64,
    /// How it is estimated what viewers' networks carry.
    #[arg(long, value_enum, default_value_t)]
    estimation: sfu::Estimation,
    /// TURN server for viewers whose network lets no UDP through (RFC 7065), such as
    /// `turn:turn.example:3478?transport=tcp`; once for each.
    #[arg(long, requires = "turn_secret")]
    turn: Vec<TurnUrl>,
    /// File with the secret that is shared with the TURN servers (coturn's `static-auth-secret`).
    #[arg(long, requires = "turn")]
    turn_secret: Option<PathBuf>,
    /// The built page.
    #[arg(long, default_value = "web/dist")]
    web: PathBuf,
}

/// How RTP comes from a camera.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Transport {
    /// Within the RTSP connection.
    Tcp,
    /// By datagrams.
    Udp,
}

#[derive(clap::Args)]
struct Grant {
    /// Where the demo keeps its keys.
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// A camera it names; repeat for more. Default: all of the demo's.
    #[arg(long)]
    camera: Vec<CameraId>,
    /// To publish these cameras, as an agent or any WHIP client does, in place of viewing them.
    #[arg(long, requires = "camera")]
    publish: bool,
    /// Whether sound may be heard, or published.
    #[arg(long)]
    audio: bool,
    /// The largest encoding that may be seen, or published.
    #[arg(long, default_value = "h")]
    max: Rid,
    /// How long it lasts, at most 24.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=24))]
    hours: u64,
}

fn main() -> anyhow::Result<()> {
    // The WebRTC stack tells of every step, and its DTLS warns of every extension of a browser's that it does not know.
    let usual = "info,retina=warn,webrtc=warn,rtc=error,rtc_ice=warn,rtc_dtls=error";
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| usual.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let command = Arguments::parse().command;
    if let Command::Target(target) = &command {
        // Before the runtime's threads begin: they stay where this one is.
        target.pin()?;
    }
    Runtime::new()?.block_on(run(command))
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Demo(demo) => Box::pin(demo::run(demo)).await,
        Command::Grant(grant) => print_grant(&grant),
        Command::Target(target) => Box::pin(target::run(target)).await,
    }
}

#[allow(clippy::print_stdout)]
fn print_grant(ask: &Grant) -> anyhow::Result<()> {
    let signer = keys::existing(&ask.data)?;
    let known = keys::cameras(&ask.data)?;
    let cameras = if ask.camera.is_empty() { known } else { ask.camera.clone() };
    let aud = if ask.publish { Audience::Publish } else { Audience::View };
    // Each publisher is an agent of its own: a second one of the same subject would take the first one's place.
    let sub = if ask.publish { format!("publisher-{}", Uuid::new_v4()) } else { "grant".to_owned() };
    let terms = issuer::Terms { aud, sub: &sub, max: &ask.max, audio: ask.audio, hours: ask.hours };
    let token = issuer::grant(&signer, &terms, &cameras).context("signing")?;
    println!("{token}");
    Ok(())
}
