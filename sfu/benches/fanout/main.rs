//! Packets forwarded per CPU-second of a shard, next to the bare ceiling of the same machine.
//!
//! A real node with one shard, a real publisher, 200 real viewers on loopback: ICE, DTLS, SRTP, a socket each. Windows
//! of the node and of the ceiling alternate, so that what else the machine does hits both; CPU time is counted, not
//! wall time, and the median of the windows is printed.
#![allow(clippy::print_stdout)]
#![allow(clippy::disallowed_methods)] // plain threads that keep a stream's pace

mod ceiling;
#[allow(dead_code, missing_docs, unreachable_pub)] // the tests' peer, of which this uses a part
#[path = "../../core/tests/net/peer.rs"]
mod peer;
mod publisher;
mod receivers;

use anyhow::Context;
use cluster::{InProcess, listen::Config as Listen};
use peer::{Identity, Peer};
use protocol::grant::CameraGrant;
use protocol::node::{Answer, Publish, Show, View};
use protocol::{CameraId, ConnectionId, Rid, SessionId};
use publisher::Publisher;
use receivers::Receivers;
use sfu::{Config, Media, Node};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

const VIEWERS: usize = 200;
const WINDOWS: usize = 5;
const WINDOW: Duration = Duration::from_secs(3);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Frames of a 30 fps stream of 1.1 Mbit/s: payload lengths of each frame's packets.
fn frame(number: usize) -> &'static [usize] {
    const KEY: [usize; 40] = [1160; 40];
    const DELTA: [usize; 4] = [1088, 1088, 1088, 688];
    if number.is_multiple_of(60) { &KEY } else { &DELTA }
}

const FRAME_TIME: Duration = Duration::from_micros(33_333);

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // A free port now is one that the node can have a moment later.
    let internal = TcpListener::bind((LOOPBACK, 0))?.local_addr()?;
    let media = Media { bind: LOOPBACK, shards: 1, advertise: vec![LOOPBACK], ..Media::default() };
    let config = Config { internal: Listen::plain(internal), media, ..Config::default() };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let node = runtime.spawn(Node::run(config, Arc::new(InProcess::new()), async {
        let _ = stopped.await;
    }));
    let api = Api { runtime: &runtime, client: plain_client()?, base: format!("http://{internal}") };
    api.wait_until_ready()?;
    measure(&api)?;
    drop(stop);
    runtime.block_on(node)??;
    Ok(())
}

fn plain_client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().tls_backend_preconfigured(cluster::tls::client(None)?).build()?)
}

fn measure(api: &Api<'_>) -> anyhow::Result<()> {
    let identity = Identity::new();
    let camera = CameraId("01935f00-0000-7000-8000-000000000001".parse()?);
    let (peer, socket) = api.connect(&identity, |offer, n| api.publish(camera, n, offer), publisher::offer, 0)?;
    let publisher = Publisher::start(peer, socket);
    let viewers = (1..=VIEWERS).map(|n| api.connect(&identity, |o, n| api.view(camera, n, o), receivers::offer, n));
    let receivers = Receivers::start(viewers.collect::<anyhow::Result<_>>()?)?;
    receivers.wait_for_all(Duration::from_secs(20)).context("not every viewer got the stream")?;

    let (mut fanout, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..WINDOWS {
        let before = api.figures()?;
        std::thread::sleep(WINDOW);
        let after = api.figures()?;
        publisher.pause(true);
        receivers.look_inside(false);
        let ceiling = ceiling::packets_per_cpu_second(receivers.addresses(), WINDOW)?;
        receivers.look_inside(true);
        publisher.pause(false);
        let node = (after.packets - before.packets) / (after.cpu_seconds - before.cpu_seconds);
        fanout.push(node);
        bare.push(ceiling);
        ratios.push(node / ceiling);
    }
    let seen = receivers.stop();
    publisher.stop();
    println!("{} packets opened and checked, {} wrong, {} received", seen.opened, seen.wrong, seen.received);
    anyhow::ensure!(seen.opened > 0 && seen.wrong == 0, "viewers could not open what they were sent");
    println!("figure fanout_packets_per_cpu_s {:.0} 1/s", median(&mut fanout));
    println!("figure ceiling_packets_per_cpu_s {:.0} 1/s", median(&mut bare));
    println!("figure fanout_ratio {:.2} 1", median(&mut ratios));
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What the node counted.
struct Figures {
    packets: f64,
    cpu_seconds: f64,
}

/// The node API.
struct Api<'a> {
    runtime: &'a tokio::runtime::Runtime,
    client: reqwest::Client,
    base: String,
}

impl Api<'_> {
    fn wait_until_ready(&self) -> anyhow::Result<()> {
        for _ in 0..200 {
            if self.get("/readyz").is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        anyhow::bail!("the node did not start")
    }

    fn get(&self, path: &str) -> anyhow::Result<String> {
        let url = format!("{}{path}", self.base);
        Ok(self.runtime.block_on(async { self.client.get(url).send().await?.error_for_status()?.text().await })?)
    }

    fn figures(&self) -> anyhow::Result<Figures> {
        let text = self.get("/metrics")?;
        let value = |name: &str| -> anyhow::Result<f64> {
            let line = text.lines().find(|l| l.starts_with(name)).with_context(|| format!("no {name}"))?;
            Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
        };
        let cpu_seconds = value("sunroom_sfu_cpu_microseconds_total")? / 1e6;
        Ok(Figures { packets: value("sunroom_sfu_packets_sent_total")?, cpu_seconds })
    }

    fn post<T: serde::Serialize>(&self, path: &str, ask: &T) -> anyhow::Result<String> {
        let url = format!("{}{path}", self.base);
        let call = async { self.client.post(url).json(ask).send().await?.error_for_status()?.json::<Answer>().await };
        Ok(self.runtime.block_on(call)?.answer)
    }

    fn publish(&self, camera: CameraId, n: usize, offer: String) -> anyhow::Result<String> {
        let (connection, session) = (ConnectionId::from_random([n as u8; 16]), SessionId::from_random([n as u8; 16]));
        let ask = Publish { connection, session, camera, max: Rid::high(), audio: false, until: 4_000_000_000, offer };
        self.post("/v1/publishers", &ask)
    }

    fn view(&self, camera: CameraId, n: usize, offer: String) -> anyhow::Result<String> {
        let id: [u8; 16] = std::array::from_fn(|i| (n >> (8 * (i % 4))) as u8);
        let (connection, session) = (ConnectionId::from_random(id), SessionId::from_random(id));
        let ask = View {
            connection,
            session,
            granted: vec![CameraGrant { id: camera, max: Rid::high(), audio: false }],
            slots: 1,
            show: vec![Some(Show { camera, max: Rid::high() })],
            listen: None,
            until: 4_000_000_000,
            offer,
        };
        self.post("/v1/viewers", &ask)
    }

    /// Connects one peer over a socket of its own.
    fn connect(
        &self,
        identity: &Identity,
        post: impl Fn(String, usize) -> anyhow::Result<String>,
        offer: fn(&str) -> String,
        n: usize,
    ) -> anyhow::Result<(Peer, UdpSocket)> {
        let answer = post(offer(&identity.fingerprint().to_string()), n)?;
        let candidate = answer.lines().find(|l| l.starts_with("a=candidate")).context("no candidate")?;
        let words: Vec<&str> = candidate.split(' ').collect();
        let server = SocketAddr::new(words[4].parse()?, words[5].parse()?);
        let socket = UdpSocket::bind((LOOPBACK, 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let mut peer = Peer::new(identity, socket.local_addr()?, server, &answer);
        peer.check();
        let mut buffer = [0; 2048];
        let begun = std::time::Instant::now();
        let mut is_checked = false;
        while !peer.is_connected() {
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(10), "peer {n} did not connect");
            for datagram in std::mem::take(&mut peer.out) {
                socket.send(&datagram)?;
            }
            if let Ok(len) = socket.recv(&mut buffer) {
                peer.receive(std::time::Instant::now(), &buffer[..len]);
                if !std::mem::replace(&mut is_checked, true) {
                    peer.handshake(std::time::Instant::now());
                }
            }
            peer.handle_timeout(std::time::Instant::now());
        }
        Ok((peer, socket))
    }
}
