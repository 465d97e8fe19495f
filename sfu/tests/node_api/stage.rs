//! A real node for a test, and the calls that signaling makes of it.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use cluster::{Directory, InProcess, listen};
use protocol::grant::CameraGrant;
use protocol::node::{Show, View};
use protocol::{CameraId, ConnectionId, Rid, SessionId};
use sfu::{Config, Media, Node};
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const FINGERPRINT: &str =
    "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F";

/// A node that runs.
pub(crate) struct Running {
    pub(crate) base: String,
    pub(crate) client: reqwest::Client,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) node: JoinHandle<Result<(), sfu::StartError>>,
}

/// Starts it.
pub(crate) async fn start(media: Media) -> Running {
    let directory: Arc<dyn Directory> = Arc::new(InProcess::new());
    let internal = listen::Config::plain((Ipv4Addr::LOCALHOST, 0).into());
    let config = Config { internal, media, ..Config::default() };
    let (stop, stopped) = oneshot::channel::<()>();
    let node = tokio::spawn(Node::run(config, Arc::clone(&directory), None, async {
        let _ = stopped.await;
    }));
    let base = loop {
        assert!(!node.is_finished(), "the node ended at its start");
        let nodes = directory.nodes().await.expect("the directory answers");
        match nodes.first() {
            Some(record) => break record.url.clone(),
            None => tokio::task::yield_now().await,
        }
    };
    let tls = cluster::tls::client(None).expect("a client's configuration");
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).build().expect("a client");
    Running { base, client, directory, stop, node }
}

impl Running {
    pub(crate) async fn post<T: serde::Serialize>(&self, path: &str, body: &T) -> reqwest::Response {
        self.client.post(format!("{}{path}", self.base)).json(body).send().await.expect("an answer")
    }

    pub(crate) async fn view(&self, offer: &str) -> reqwest::Response {
        self.view_as(ConnectionId::from_random([1; 16]), offer).await
    }

    pub(crate) async fn view_as(&self, connection: ConnectionId, offer: &str) -> reqwest::Response {
        let show = vec![Some(Show { camera: camera(), max: Rid::high(), priority: 0 })];
        self.post("/v1/viewers", &View { show, ..view(connection, offer, 1) }).await
    }

    /// A viewer whose slots are empty.
    pub(crate) async fn view_slots(&self, connection: ConnectionId, offer: &str, slots: usize) -> reqwest::Response {
        self.post("/v1/viewers", &view(connection, offer, slots)).await
    }

    pub(crate) async fn delete(&self, connection: ConnectionId) {
        let url = format!("{}/v1/connections/{connection}", self.base);
        assert_eq!(self.client.delete(url).send().await.expect("an answer").status(), 204);
    }
}

fn view(connection: ConnectionId, offer: &str, slots: usize) -> View {
    View {
        connection,
        session: SessionId::from_random([2; 16]),
        granted: granted(),
        slots,
        show: Vec::new(),
        listen: None,
        until: 4_000_000_000,
        offer: offer.to_owned(),
    }
}

pub(crate) fn granted() -> Vec<CameraGrant> {
    vec![CameraGrant { id: camera(), max: Rid::high(), audio: true }]
}

pub(crate) fn camera() -> CameraId {
    "01935f00-0000-7000-8000-000000000001".parse().expect("a uuid")
}

pub(crate) fn offer(direction: &str, codec: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 102\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:peer\r\na=ice-pwd:peerpeerpeerpeerpeerpeer\r\na=fingerprint:sha-256 {FINGERPRINT}\r\na=setup:actpass\r\na=mid:0\r\na=rtcp-mux\r\na={direction}\r\na=rtpmap:102 {codec}/90000\r\na=fmtp:102 packetization-mode=1;profile-level-id=42e01f\r\n"
    )
}
