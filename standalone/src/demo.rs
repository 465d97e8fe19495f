//! Starts everything and connects it: media node, signaling, page, agent.

use crate::life::{Ends, first_node, when};
use crate::{Demo, issuer, keys, metrics, page};
use anyhow::Context;
use cluster::listen::{self, Listener};
use cluster::{Directory, InProcess, NodeClient};
use edge_agent::config::{self as edge, Camera, Transport};
use edge_agent::health::Board;
use protocol::CameraId;
use protocol::grant::{Jwks, Signer, Verifier};
use sfu::Node;
use signaling::{Signaling, Terms, Turn};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::sync::watch;
use url::Url;
use uuid::Uuid;

/// The demo's cameras keep their ids from start to start.
fn camera_id(number: u8) -> CameraId {
    let mut bytes = *Uuid::from_u128(0x0193_5f00_0000_7000_8000_0000_0000_0000).as_bytes();
    bytes[15] = number;
    CameraId(Uuid::from_bytes(bytes))
}

pub(crate) async fn run(demo: Demo) -> anyhow::Result<()> {
    anyhow::ensure!(
        demo.web.join("index.html").exists(),
        "{}: there is no page; `make demo` builds it, or `npm run build` in web/",
        demo.web.display()
    );
    // From now on, before anybody is told where the page is.
    let ends = Ends::signals()?;
    let signer = Arc::new(keys::load_or_make(&demo.data)?);
    let verifier = Arc::new(Verifier::new(keys::ISSUER, &Jwks { keys: vec![signer.jwk()] }));
    let cameras = cameras(&demo)?;
    let ids: Vec<CameraId> = cameras.iter().map(|c| c.id).collect();
    keys::remember_cameras(&demo.data, &ids)?;

    let directory: Arc<dyn Directory> = Arc::new(InProcess::new());
    let registry = prometheus::Registry::new();
    let listener = Listener::public(&listen::Config::plain(demo.listen))?;
    let url = listener.url();
    let nodes = NodeClient::new(None)?;
    let signaling =
        Signaling::new(terms(&demo)?, Arc::clone(&directory), Arc::clone(&verifier), nodes.clone(), &registry)?;
    let agent = agent_config(&signer, &url, cameras, &ids)?;
    let board = Board::new(&agent.cameras);
    let router = signaling.router().merge(metrics::router(registry, board.clone())?).merge(page::router(
        &demo.web,
        Arc::clone(&signer),
        &ids,
    ));

    let (stop, stopped) = watch::channel(false);
    tokio::spawn(signaling.follow());
    tokio::spawn(issuer::renew(signer, verifier, Arc::clone(&directory)));
    tokio::spawn(announce(url.clone(), Arc::clone(&directory)));
    let node = Node::run(node_config(&demo), directory, Some(&nodes), when(stopped.clone()));
    let serving = listener.serve(router, when(stopped.clone()));
    let agent = edge_agent::run(agent, board, when(stopped));
    tokio::select! {
        ended = async { tokio::try_join!(
            async { node.await.context("media node") },
            async { serving.await.context("signaling") },
            async { agent.await.context("edge agent") },
        ) } => ended.map(drop),
        never = ends.stop(stop) => never,
    }
}

/// Says where the page is as soon as a viewer could be placed.
#[allow(clippy::print_stdout)]
async fn announce(url: String, directory: Arc<dyn Directory>) {
    // A directory that does not answer keeps nobody from the page.
    let _ = first_node(&*directory).await;
    println!("Sunroom is at {url}/");
}

fn terms(demo: &Demo) -> anyhow::Result<Terms> {
    let Some(secret_file) = demo.turn_secret.clone() else { return Ok(Terms::default()) };
    let turn = Turn { urls: demo.turn.clone(), secret_file, lifetime_seconds: Turn::DAY };
    Ok(Terms { turn: Some(turn.servers()?), ..Terms::default() })
}

fn node_config(demo: &Demo) -> sfu::Config {
    let internal = listen::Config::plain(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let media = sfu::Media { linger_seconds: demo.linger, estimation: demo.estimation, ..sfu::Media::default() };
    sfu::Config { internal, media, ..sfu::Config::default() }
}

fn agent_config(signer: &Signer, url: &str, cameras: Vec<Camera>, ids: &[CameraId]) -> anyhow::Result<edge::Config> {
    Ok(edge::Config {
        signaling: Url::parse(url)?,
        ca_file: None,
        grant_file: None,
        grant: Some(issuer::publish_grant(signer, ids)?.into()),
        cameras,
    })
}

fn cameras(demo: &Demo) -> anyhow::Result<Vec<Camera>> {
    let camera = |number, name: &str, main: &str, sub: Option<&str>| -> anyhow::Result<Camera> {
        Ok(Camera {
            id: camera_id(number),
            name: name.to_owned(),
            main: main.parse()?,
            sub: sub.map(str::parse).transpose()?,
            transport: match demo.camera_transport {
                crate::Transport::Tcp => Transport::Tcp,
                crate::Transport::Udp => Transport::Udp,
            },
        })
    };
    anyhow::ensure!(demo.camera_sub.len() <= demo.camera.len(), "more --camera-sub than --camera");
    if !demo.camera.is_empty() {
        anyhow::ensure!(demo.camera.len() <= 64, "64 cameras at most");
        let numbered = (11..).zip(&demo.camera).enumerate();
        let named = numbered.map(|(at, (number, main))| {
            let name = format!("Camera {}", at + 1);
            camera(number, &name, main.as_str(), demo.camera_sub.get(at).map(Url::as_str))
        });
        return named.collect();
    }
    let (main, sub) = ("synthetic:1280x720", Some("synthetic:640x360"));
    Ok(vec![camera(1, "Playroom", main, sub)?, camera(2, "Garden", main, sub)?])
}
