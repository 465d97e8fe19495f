//! What a load test is pointed at, as a process: it says where it is, believes the load test's issuer alone, stays on its
//! core, and ends when it is told to or when nobody holds its input.

use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::grant::{Audience, CameraGrant, Claims, Jwks, LOADTEST_ISSUER, Signer};
use protocol::{CameraId, Rid, SessionId};
use ring::{rand::SystemRandom, signature::Ed25519KeyPair};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const PATIENCE: Duration = Duration::from_secs(20);

struct Target {
    process: Child,
    signaling: String,
    metrics: String,
    signer: Signer,
    client: reqwest::Client,
    _keys: TempDir,
}

fn signer(issuer: &str) -> Signer {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("the system has randomness");
    Signer::new(issuer, key.as_ref()).expect("a fresh key")
}

fn view(signer: &Signer, camera: CameraId) -> String {
    let iat = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let cameras = vec![CameraGrant { id: camera, max: Rid::low(), audio: false }];
    let (sid, exp) = (SessionId::from_random([5; 16]), iat + 60);
    let (aud, sub, jti) = (Audience::View, "viewer-1".into(), "g1".into());
    signer.sign(&Claims { iss: String::new(), aud, sub, sid, jti, iat, exp, win: None, cameras })
}

fn command(keys: &TempDir, signer: &Signer, arguments: &[&str]) -> Command {
    let file = keys.path().join("loadtest.jwks");
    let jwks = Jwks { keys: vec![signer.jwk()] };
    std::fs::write(&file, serde_json::to_vec(&jwks).expect("plain data")).expect("writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_standalone"));
    command.arg("target").arg("--loadtest-keys").arg(file).args(arguments);
    command.kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

impl Target {
    async fn start(arguments: &[&str]) -> Self {
        let (keys, signer) = (tempfile::tempdir().expect("a directory"), signer(LOADTEST_ISSUER));
        let mut process = command(&keys, &signer, arguments).spawn().expect("it starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut line = async |name: &str| {
            let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time");
            let line = line.expect("readable").expect("a line");
            line.strip_prefix(name).unwrap_or_else(|| panic!("{line}")).to_owned()
        };
        let (signaling, metrics) = (line("signaling ").await, line("metrics ").await);
        let tls = cluster::tls::client(None).expect("a client's configuration");
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client");
        Self { process, signaling, metrics, signer, client, _keys: keys }
    }

    async fn status(&self, token: &str) -> u16 {
        let call = self.client.get(format!("{}/v1/cameras", self.signaling)).bearer_auth(token);
        call.send().await.expect("an answer").status().as_u16()
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.process.id().expect("it runs")).expect("a pid")
    }

    async fn ends_well(mut self) {
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        assert!(ended.expect("in time").expect("it ended").success());
    }
}

#[tokio::test]
async fn it_believes_the_load_tests_issuer_alone_and_shows_its_figures() {
    let mut target = Target::start(&["--until-stdin-closes"]).await;
    let figures = target.client.get(&target.metrics).send().await.expect("an answer").text().await.expect("text");
    for name in ["sunroom_sfu_cpu_microseconds_total{shard=\"0\"}", "process_resident_memory_bytes"] {
        assert!(figures.contains(name), "{figures}");
    }
    let (camera, real) = (CameraId::loadtest(1, 1), "01935f00-0000-7000-8000-000000000001".parse().expect("a uuid"));
    assert_eq!(target.status(&view(&target.signer, camera)).await, 200);
    assert_eq!(target.status(&view(&target.signer, real)).await, 401);
    for stranger in [LOADTEST_ISSUER, "standalone"] {
        assert_eq!(target.status(&view(&signer(stranger), camera)).await, 401, "{stranger}");
    }
    drop(target.process.stdin.take());
    target.ends_well().await;
}

#[tokio::test]
async fn it_ends_when_told_to_though_its_input_is_open() {
    let target = Target::start(&["--until-stdin-closes"]).await;
    kill(Pid::from_raw(target.pid()), Signal::SIGTERM).expect("a signal");
    target.ends_well().await;
}

#[tokio::test]
async fn all_of_its_threads_stay_on_their_core() {
    let ours = sched_getaffinity(Pid::from_raw(0)).expect("the system tells");
    let core = (0..CpuSet::count()).rev().find(|core| ours.is_set(*core).unwrap_or(false)).expect("some core");
    let target = Target::start(&["--shards", "2", "--core", &core.to_string()]).await;
    let threads = std::fs::read_dir(format!("/proc/{}/task", target.pid())).expect("it runs");
    let threads: Vec<i32> =
        threads.map(|t| t.expect("readable").file_name().to_string_lossy().parse().expect("a number")).collect();
    assert!(threads.len() > 3, "main, a worker, two shards: {threads:?}");
    let mut only = CpuSet::new();
    only.set(core).expect("it was found in a set");
    for thread in threads {
        assert_eq!(sched_getaffinity(Pid::from_raw(thread)).expect("it runs"), only);
    }
}

#[tokio::test]
async fn a_core_that_is_not_there_is_named() {
    let keys = tempfile::tempdir().expect("a directory");
    for core in ["1023", "1000000"] {
        let mut command = command(&keys, &signer(LOADTEST_ISSUER), &["--core", core]);
        let output = command.stderr(Stdio::piped()).output().await.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(&format!("--core {core}: there is no such core")), "{said}");
    }
}
