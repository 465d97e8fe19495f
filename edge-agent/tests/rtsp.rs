//! Cameras over RTSP: GStreamer's server, and one of the tests' own for what that one cannot do.

mod fake_camera;

use edge_agent::{
    config::Transport,
    feed::Feed,
    h264::{NalKind, nal_kind, sps},
    health::StreamBoard,
    rtsp::{self, Outlets},
    sound::{Codec, Packet, SoundFeed},
    source::Source,
};
use protocol::{Rid, agent::StreamState, camera::Audio};
use std::{
    net::TcpListener,
    path::Path,
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    _process: Child,
    port: u16,
}

impl Server {
    /// The kit's camera, once it listens.
    async fn start(arguments: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for file in ["tools/camera/rtspcam.py", "media/main.h264", "media/sub.h264"] {
            assert!(root.join(file).exists(), "{file} is missing: run `make media` first");
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let mut process = Command::new("/usr/bin/python3")
            .current_dir(&root)
            .args(["tools/camera/rtspcam.py", "--port", &port.to_string(), "--audio", "pcma"])
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("python3 runs");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("readable").expect("it says its address");
        Self { _process: process, port }
    }
}

struct Pulled {
    feed: Feed,
    sound: SoundFeed,
    board: StreamBoard,
    changed: watch::Receiver<u64>,
    task: tokio::task::JoinHandle<()>,
}

impl Pulled {
    fn start(server: &Server, credentials: &str, path: &str, transport: Transport) -> Self {
        Self::from_port(server.port, credentials, path, transport)
    }

    fn from_port(port: u16, credentials: &str, path: &str, transport: Transport) -> Self {
        let url = format!("rtsp://{credentials}127.0.0.1:{port}/{path}");
        let Ok(Source::Rtsp(address)) = url.parse() else { panic!("{path} is no RTSP address") };
        let version = watch::Sender::new(0);
        let changed = version.subscribe();
        let board = StreamBoard::new("Fake", Rid::high(), version);
        let outlets = Outlets { feed: Feed::default(), sound: SoundFeed::default(), board };
        let task = tokio::spawn(rtsp::pull(address, transport, outlets.clone()));
        let Outlets { feed, sound, board } = outlets;
        Self { feed, sound, board, changed, task }
    }

    async fn reaches(&mut self, state: StreamState) {
        let reached = async {
            while self.board.state() != state {
                self.changed.changed().await.expect("the board lives");
            }
        };
        timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{:?}, not {state:?}", self.board.state()));
    }

    /// Live frames from a keyframe on, evenly spaced, captured now.
    async fn sends_pictures(&self) {
        let mut frames = self.feed.subscribe();
        let mut last = None;
        for i in 0..30 {
            let unit = timeout(PATIENCE, frames.next()).await.expect("in time").expect("keeps up").expect("lives");
            assert_eq!(unit.is_keyframe, nal_kind(&unit.nals[0]) == NalKind::Sps);
            assert!(i > 0 || unit.is_keyframe);
            if let Some(last) = last {
                assert!((1..=90_000).contains(&(unit.ticks - last)), "a step of {}", unit.ticks - last);
            }
            last = Some(unit.ticks);
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_micros() as u64;
            assert!(unit.captured_micros <= now && now - unit.captured_micros < 10_000_000);
        }
    }
}

impl Drop for Pulled {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn digest_authentication_over_tcp_and_udp() {
    let server = Server::start(&["--auth", "admin:s3cret"]).await;
    for (path, transport) in [("main", Transport::Tcp), ("sub", Transport::Udp)] {
        let mut camera = Pulled::start(&server, "admin:s3cret@", path, transport);
        camera.reaches(StreamState::Online).await;
        camera.sends_pictures().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_apart_from_a_dead_camera() {
    let server = Server::start(&["--auth", "admin:s3cret"]).await;
    for credentials in ["admin:wrong@", ""] {
        Pulled::start(&server, credentials, "sub", Transport::Tcp).reaches(StreamState::Unauthorized).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_comes_back_is_online_again() {
    let server = Server::start(&[]).await;
    let mut camera = Pulled::start(&server, "", "sub", Transport::Tcp);
    camera.reaches(StreamState::Online).await;
    let port = server.port;
    drop(server);
    camera.reaches(StreamState::Unreachable).await;
    let again = Server::start(&["--port", &port.to_string()]).await;
    camera.reaches(StreamState::Online).await;
    camera.sends_pictures().await;
    drop(again);
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_authentication_and_parameter_sets_in_the_sdp_only() {
    let port =
        fake_camera::start(fake_camera::Behaviour { password: Some("admin:s3cret"), ..Default::default() }).await;
    let mut camera = Pulled::from_port(port, "admin:s3cret@", "live", Transport::Tcp);
    camera.reaches(StreamState::Online).await;
    camera.sends_pictures().await;
    Pulled::from_port(port, "admin:wrong@", "live", Transport::Tcp).reaches(StreamState::Unauthorized).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_does_not_show() {
    let port = fake_camera::start(fake_camera::Behaviour { clock_jumps: true, ..Default::default() }).await;
    let mut camera = Pulled::from_port(port, "", "live", Transport::Tcp);
    camera.reaches(StreamState::Online).await;
    camera.sends_pictures().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_browsers_cannot_play_is_unsupported() {
    let port = fake_camera::start(fake_camera::Behaviour { is_h265: true, ..Default::default() }).await;
    Pulled::from_port(port, "", "live", Transport::Tcp).reaches(StreamState::Unsupported).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_falls_silent_is_given_up_and_asked_again() {
    let port = fake_camera::start(fake_camera::Behaviour { frames: Some(50), ..Default::default() }).await;
    let mut camera = Pulled::from_port(port, "", "live", Transport::Tcp);
    camera.reaches(StreamState::Online).await;
    camera.reaches(StreamState::Unreachable).await;
    assert!(camera.feed.subscribe().is_awaiting_keyframe(), "old pictures are not shown as new ones");
    camera.reaches(StreamState::Online).await;
}

impl Pulled {
    /// The next `count` packets of sound.
    async fn hears(&self, count: usize) -> Vec<Arc<Packet>> {
        let mut listener = self.sound.listen();
        let mut packets = Vec::new();
        while packets.len() < count {
            packets.push(timeout(PATIENCE, listener.next()).await.expect("in time").expect("lives"));
        }
        packets
    }

    async fn until(&mut self, is_so: impl Fn(&StreamBoard) -> bool) {
        let reached = async {
            while !is_so(&self.board) {
                self.changed.changed().await.expect("the board lives");
            }
        };
        timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{:?}", self.board));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_comes_in_the_cameras_codec_and_in_step() {
    for (codec, expected, ticks) in [("pcma", Codec::Pcma, 160), ("pcmu", Codec::Pcmu, 160), ("opus", Codec::Opus, 960)]
    {
        let server = Server::start(&["--audio", codec]).await;
        let mut camera = Pulled::start(&server, "", "sub", Transport::Tcp);
        camera.reaches(StreamState::Online).await;
        let packets = camera.hears(60).await;
        assert_eq!(camera.board.audio(), Some(Audio { codec: expected.name().to_owned(), live: true }));
        assert!(packets.iter().all(|p| p.codec == expected && p.payload.len() <= 1160));
        // The camera stamps what it was given when it was given it: single steps tremble.
        assert!(packets.windows(2).all(|p| p[1].ticks > p[0].ticks));
        let step = (packets[59].ticks - packets[0].ticks) / 59;
        assert!(step.abs_diff(ticks) <= ticks / 20, "{codec}: a step of {step}");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_micros() as u64;
        let age = now.abs_diff(packets.last().expect("60").captured_micros);
        assert!(age < 500_000, "{codec}: {age} us from now");
        camera.sends_pictures().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cameras_sender_reports_tell_when_late_sound_was_captured() {
    const LATE: u64 = 700;
    let behaviour = fake_camera::Behaviour { audio: Some("PCMA/8000"), audio_late_millis: LATE, ..Default::default() };
    let mut camera = Pulled::from_port(fake_camera::start(behaviour).await, "", "live", Transport::Tcp);
    camera.reaches(StreamState::Online).await;
    // Both of one moment at the camera have its number: the sound in its payload, the picture by its place in the GOP.
    let sound = camera.hears(30).await.pop().expect("30");
    let mut frames = camera.feed.subscribe();
    let mut next = async || timeout(PATIENCE, frames.next()).await.expect("in time").expect("keeps up").expect("lives");
    let first = next().await;
    let mut picture = Arc::clone(&first);
    while picture.ticks - first.ticks < 40 * 3600 {
        picture = next().await;
    }
    let moment = |captured: u64, number: u64| captured - number * 40_000;
    let seen = moment(picture.captured_micros, (picture.ticks - first.ticks) / 3600);
    let heard = moment(sound.captured_micros, u64::from(sound.payload[0])) + LATE * 1000;
    assert!(seen.abs_diff(heard) < 40_000, "{} us apart", seen.abs_diff(heard));
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_alone_does_not_keep_a_session() {
    let behaviour = fake_camera::Behaviour {
        audio: Some("PCMA/8000"),
        frames: Some(25),
        audio_goes_on: true,
        ..Default::default()
    };
    let mut camera = Pulled::from_port(fake_camera::start(behaviour).await, "", "live", Transport::Tcp);
    camera.reaches(StreamState::Online).await;
    camera.reaches(StreamState::Unreachable).await;
    camera.reaches(StreamState::Online).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aac_is_told_of_and_the_pictures_come() {
    let behaviour = fake_camera::Behaviour { audio: Some("mpeg4-generic/16000/1"), ..Default::default() };
    let mut camera = Pulled::from_port(fake_camera::start(behaviour).await, "", "live", Transport::Tcp);
    camera.reaches(StreamState::Online).await;
    camera.until(|b| !b.findings().is_empty()).await;
    assert_eq!(camera.board.audio(), Some(Audio { codec: "mpeg4-generic".to_owned(), live: false }));
    let finding = camera.board.findings().remove(0);
    assert_eq!((finding.code.as_str(), finding.rid), ("audio_codec", Some(Rid::high())));
    assert!(finding.text.starts_with("camera 'Fake' (main stream) sends its sound as AAC"), "{}", finding.text);
    camera.sends_pictures().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_changes_its_size_says_so_and_brings_its_parameter_sets() {
    let behaviour = fake_camera::Behaviour { resizes_at: Some(100), ..Default::default() };
    let mut camera = Pulled::from_port(fake_camera::start(behaviour).await, "", "live", Transport::Tcp);
    camera.until(|b| b.size() == Some((160, 90))).await;
    let mut frames = camera.feed.subscribe();
    let resized = async {
        loop {
            let unit = frames.next().await.expect("keeps up").expect("lives");
            // In band, before the keyframe.
            if sps(&unit.nals[0]).is_some_and(|s| (s.width, s.height) == (320, 180)) {
                return unit;
            }
        }
    };
    assert!(timeout(PATIENCE, resized).await.expect("in time").is_keyframe);
    camera.until(|b| b.size() == Some((320, 180))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h265_is_a_finding_in_plain_words() {
    let port = fake_camera::start(fake_camera::Behaviour { is_h265: true, ..Default::default() }).await;
    let mut camera = Pulled::from_port(port, "", "live", Transport::Tcp);
    camera.until(|b| !b.findings().is_empty()).await;
    let finding = camera.board.findings().remove(0);
    assert_eq!(finding.code, "not_h264");
    assert!(
        finding.text.contains("H.265") && finding.text.contains("H.264 in its encoder settings"),
        "{}",
        finding.text
    );
}
