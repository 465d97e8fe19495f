//! The node as a process: its API, its figures, and what the kernel says of it.

use crate::datagrams::Recorded;
use crate::peer::{Identity, Peer};
use crate::{publisher, viewers};
use cluster::listen::Config as Listen;
use protocol::grant::CameraGrant;
use protocol::node::{Answer, Publish, Show, View};
use protocol::{CameraId, ConnectionId, Rid, SessionId};
use sfu::{Config, Media};
use sfu_core::TransportAddress;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(20);
const UNTIL: u64 = 4_000_000_000;

pub(crate) struct Node {
    process: Child,
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    base: String,
    media: Option<SocketAddr>,
}

/// How a node is.
pub(crate) struct Figures {
    pub(crate) refused: u64,
    pub(crate) connections: u64,
    /// Datagrams that the media socket had no room for.
    pub(crate) drops: u64,
    pub(crate) rss_kib: u64,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Node {
    pub(crate) fn start() -> Self {
        // A free port now is one that the node can have a moment later.
        let internal = TcpListener::bind((LOOPBACK, 0)).and_then(|l| l.local_addr()).expect("a free port");
        let media = Media {
            bind: LOOPBACK,
            shards: 1,
            advertise: vec![LOOPBACK],
            // Small, so that the cache is full, and memory settled, soon.
            ring_bytes: 512 * 1024,
            ..Media::default()
        };
        let config = Config { internal: Listen::plain(internal), media, ..Config::default() };
        // JSON is YAML. The file is read before the node is ready, and gone after that.
        let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file for settings");
        serde_json::to_writer(&mut file, &config).expect("settings");
        let process = Command::new(env!("CARGO_BIN_EXE_sfu"))
            .arg("--config")
            .arg(file.path())
            .env("RUST_LOG", "error")
            .spawn()
            .expect("the node starts");
        let tls = cluster::tls::client(None).expect("a client's configuration");
        // A connection that stood idle during the attack may be gone; none is kept.
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).pool_max_idle_per_host(0).build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let node = Self {
            process,
            runtime,
            client: client.expect("a client"),
            base: format!("http://{internal}"),
            media: None,
        };
        let begun = Instant::now();
        while node.get("/readyz").is_err() {
            assert!(begun.elapsed() < PATIENCE, "the node did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        node
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Where its media port is.
    pub(crate) fn media(&self) -> SocketAddr {
        self.media.expect("somebody has connected")
    }

    pub(crate) fn assert_alive(&mut self) {
        assert!(self.process.try_wait().expect("a child of ours").is_none(), "the node ended");
        self.get("/healthz").expect("the node is well");
    }

    fn get(&self, path: &str) -> reqwest::Result<String> {
        let url = format!("{}{path}", self.base);
        self.runtime.block_on(async { self.client.get(url).send().await?.error_for_status()?.text().await })
    }

    fn post<T: serde::Serialize>(&self, path: &str, ask: &T) -> String {
        let url = format!("{}{path}", self.base);
        let call = async { self.client.post(url).json(ask).send().await?.error_for_status()?.json::<Answer>().await };
        self.runtime.block_on(call).expect("an answer").answer
    }

    pub(crate) fn figures(&self) -> Figures {
        let text = self.get("/metrics").expect("figures");
        let sum = |name: &str| {
            let lines = text.lines().filter(|l| l.starts_with(name));
            lines.filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok()).sum()
        };
        let (_, drops) = self.socket().expect("the media socket");
        Figures {
            refused: sum("sunroom_sfu_refused_"),
            connections: sum("sunroom_sfu_connections{"),
            drops,
            rss_kib: self.rss_kib().expect("the process's memory"),
        }
    }

    /// The same once everything that was sent has been looked at and counted.
    pub(crate) fn settled(&self) -> Figures {
        let begun = Instant::now();
        let mut last = self.figures();
        while begun.elapsed() < PATIENCE {
            // The figures are renewed five times a second.
            std::thread::sleep(Duration::from_millis(500));
            let now = self.figures();
            if now.refused == last.refused && self.backlog() == 0 {
                return now;
            }
            last = now;
        }
        last
    }

    /// Bytes that wait at the media socket.
    pub(crate) fn backlog(&self) -> u64 {
        self.socket().map_or(0, |(waiting, _)| waiting)
    }

    /// Bytes that wait at the media socket, and datagrams that it had no room for (`proc_net_udp(5)`).
    fn socket(&self) -> Option<(u64, u64)> {
        let port = format!(":{:04X}", self.media?.port());
        let text = fs::read_to_string("/proc/net/udp").ok()?;
        let line = text.lines().find(|l| l.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&port)))?;
        let waiting = line.split_whitespace().nth(4)?.split(':').nth(1)?;
        Some((u64::from_str_radix(waiting, 16).ok()?, line.split_whitespace().last()?.parse().ok()?))
    }

    fn rss_kib(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        text.lines().find_map(|l| l.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse().ok()
    }

    fn ask(&self, n: usize, offer: String) -> String {
        let camera = CameraId("01935f00-0000-7000-8000-000000000001".parse().expect("a uuid"));
        let (connection, session) = (ConnectionId::from_random([n as u8; 16]), SessionId::from_random([n as u8; 16]));
        let max = Rid::high();
        if n == 0 {
            return self.post(
                "/v1/publishers",
                &Publish { connection, session, camera, max, audio: false, until: UNTIL, offer },
            );
        }
        let granted = vec![CameraGrant { id: camera, max: max.clone(), audio: false }];
        let show = vec![Some(Show { camera, max, priority: 0 })];
        self.post(
            "/v1/viewers",
            &View { connection, session, granted, slots: 1, show, listen: None, until: UNTIL, offer },
        )
    }

    /// Connects peer `n`, the publisher if it is 0, over a socket of its own; what it sends is recorded.
    pub(crate) fn connect(&mut self, identity: &Identity, n: usize, recorded: &mut Recorded) -> (Peer, UdpSocket) {
        let fingerprint = identity.fingerprint().to_string();
        let offer = if n == 0 { publisher::offer(&fingerprint) } else { viewers::offer(&fingerprint) };
        let answer = self.ask(n, offer);
        let candidate: Vec<&str> =
            answer.lines().find(|l| l.starts_with("a=candidate")).expect("a candidate").split(' ').collect();
        let server: SocketAddr = format!("{}:{}", candidate[4], candidate[5]).parse().expect("an address");
        self.media = Some(server);
        let socket = UdpSocket::bind((LOOPBACK, 0)).expect("a socket");
        socket.connect(server).expect("connected");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time");
        let [ours, theirs] = [socket.local_addr().expect("an address"), server].map(TransportAddress::udp);
        let mut peer = Peer::new(identity, ours, theirs, &answer);
        peer.check();
        let (mut buffer, begun, mut is_checked) = ([0; 2048], Instant::now(), false);
        while !peer.is_connected() {
            assert!(begun.elapsed() < PATIENCE, "peer {n} did not connect");
            for datagram in std::mem::take(&mut peer.out) {
                let _ = socket.send(&datagram);
                recorded.sent(n, datagram);
            }
            if let Ok(len) = socket.recv(&mut buffer) {
                peer.receive(Instant::now(), &buffer[..len]);
                if !std::mem::replace(&mut is_checked, true) {
                    peer.handshake(Instant::now());
                }
            }
            peer.handle_timeout(Instant::now());
        }
        (peer, socket)
    }
}
