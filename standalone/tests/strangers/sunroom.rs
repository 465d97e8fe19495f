//! The demo as a process, and a post to it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The demo's first camera.
const CAMERA: &str = "01935f00-0000-7000-8000-000000000001";

pub(crate) struct Sunroom {
    process: Child,
    url: String,
    client: reqwest::Client,
    _data: TempDir,
}

impl Sunroom {
    pub(crate) async fn start() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        std::fs::write(data.path().join("index.html"), "<title>Sunroom</title>").expect("a page");
        let mut command = Command::new(env!("CARGO_BIN_EXE_standalone"));
        command.args(["demo", "--listen", "127.0.0.1:0", "--data"]).arg(data.path()).arg("--web").arg(data.path());
        let started = command.kill_on_drop(true).stderr(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut process = started.expect("the demo starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line());
        let line = line.await.expect("in time").expect("readable").expect("a line");
        let url = line.strip_prefix("Sunroom is at ").expect("the address").trim_end_matches('/').to_owned();
        let tls = cluster::tls::client(None).expect("a client's configuration");
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).build().expect("a client");
        Self { process, url, client, _data: data }
    }

    /// Posts a WHEP offer with a grant of its own; the answer.
    pub(crate) async fn whep(&self, offer: String, rid: &str) -> String {
        let granted = self.client.post(format!("{}/v1/demo/grant", self.url)).send().await.expect("an answer");
        let granted: Value = granted.json().await.expect("a grant");
        let ask = self.client.post(format!("{}/whep/{CAMERA}?rid={rid}", self.url)).body(offer);
        let ask =
            ask.bearer_auth(granted["grant"].as_str().expect("a token")).header("content-type", "application/sdp");
        let answer = ask.send().await.expect("an answer");
        assert_eq!(answer.status(), 201);
        answer.text().await.expect("text")
    }

    /// Tells it to end; whether it does within 5 s, and without complaint.
    pub(crate) async fn terminate(&mut self) -> bool {
        let pid = self.process.id().expect("it runs");
        kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), Signal::SIGTERM).expect("a signal");
        let ended = tokio::time::timeout(Duration::from_secs(5), self.process.wait()).await;
        ended.is_ok_and(|status| status.is_ok_and(|status| status.success()))
    }
}
