//! The demo as a process: it says where it is, hands its grant to nobody but this machine, and ends when asked to.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

struct Demo {
    process: Child,
    url: String,
    data: TempDir,
    client: reqwest::Client,
}

fn standalone() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standalone"));
    command.kill_on_drop(true).stderr(Stdio::null()).stdout(Stdio::piped());
    command
}

fn page(at: &Path) {
    std::fs::write(at.join("index.html"), "<title>Sunroom</title>").expect("a page");
}

impl Demo {
    async fn start() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        page(data.path());
        let mut command = standalone();
        command.args(["demo", "--listen", "127.0.0.1:0", "--data"]).arg(data.path()).arg("--web").arg(data.path());
        let mut process = command.spawn().expect("the demo starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line());
        let line = line.await.expect("in time").expect("readable").expect("a line");
        let url = line.strip_prefix("Sunroom is at ").expect("the address").trim_end_matches('/').to_owned();
        let tls = cluster::tls::client(None).expect("a client's configuration");
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).build().expect("a client");
        Self { process, url, data, client }
    }

    async fn grant(&self, headers: &[(&str, &str)]) -> reqwest::Response {
        let ask = self.client.post(format!("{}/v1/demo/grant", self.url));
        let ask = headers.iter().fold(ask, |ask, (name, value)| ask.header(*name, *value));
        ask.send().await.expect("an answer")
    }

    async fn get(&self, path: &str, token: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.url)).bearer_auth(token).send().await.expect("an answer")
    }
}

#[tokio::test]
async fn the_pages_grant_is_for_this_machine_alone_and_names_the_cameras() {
    let demo = Demo::start().await;
    let foreign = [("host", "evil.example"), ("origin", "https://evil.example"), ("host", "127.0.0.1.evil.example")];
    for header in foreign {
        assert_eq!(demo.grant(&[header]).await.status(), 403, "{header:?}");
    }
    let granted: Value = demo.grant(&[("origin", &demo.url)]).await.json().await.expect("a grant");
    let token = granted["grant"].as_str().expect("a token");
    let listed: Value = demo.get("/v1/cameras", token).await.json().await.expect("a list");
    assert_eq!(listed["cameras"].as_array().map(Vec::len), Some(2));
    assert_eq!(demo.get("/v1/cameras", "forged").await.status(), 401);
    let page = demo.get("/", "").await.text().await.expect("text");
    assert!(page.contains("Sunroom"));
}

#[tokio::test]
async fn a_grant_from_the_command_line_is_believed_and_holds_only_what_was_asked() {
    let demo = Demo::start().await;
    let camera = "01935f00-0000-7000-8000-000000000002";
    let made = standalone().args(["grant", "--camera", camera, "--data"]).arg(demo.data.path()).output();
    let token = String::from_utf8(made.await.expect("it runs").stdout).expect("text");
    let listed: Value = demo.get("/v1/cameras", token.trim()).await.json().await.expect("a list");
    assert_eq!(listed["cameras"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["cameras"][0]["id"], camera);
}

#[tokio::test]
async fn the_demo_ends_in_good_order_when_told_to() {
    let mut demo = Demo::start().await;
    let pid = demo.process.id().expect("it runs");
    kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), Signal::SIGTERM).expect("a signal");
    let ended = tokio::time::timeout(Duration::from_secs(5), demo.process.wait()).await;
    assert!(ended.expect("within 5 s").expect("it ended").success());
}

#[tokio::test]
async fn a_listener_that_strangers_could_reach_is_refused() {
    let data = tempfile::tempdir().expect("a directory");
    page(data.path());
    let mut command = standalone();
    command.args(["demo", "--listen", "0.0.0.0:0", "--data"]).arg(data.path()).arg("--web").arg(data.path());
    let output = command.stderr(Stdio::piped()).output().await.expect("it runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("plain HTTP is for loopback only"), "{said}");
}
