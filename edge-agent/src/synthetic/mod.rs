//! A camera where there is none: a drawn picture, encoded as it goes.
//!
//! Invariant: frame `k` is the frame of the wall-clock time `k / fps`, and every frame whose `k` is a multiple of 4
//! seconds' frames is a keyframe, so that all streams of a camera begin their GOPs together.

pub mod beep;
mod font;
mod scene;
pub mod timecode;

use crate::{
    feed::Feed,
    h264::{self, AccessUnit, Assembler},
    health::StreamBoard,
    rtsp::Outlets,
    source::Picture,
    timeline::Timeline,
};
use bytes::Bytes;
use openh264::{
    OpenH264API,
    encoder::{
        BitRate, Complexity, Encoder, EncoderConfig, FrameRate, IntraFramePeriod, Profile, RateControlMode, UsageType,
        VuiConfig,
    },
};
use protocol::agent::StreamState;
use scene::Scene;
use std::{
    sync::mpsc,
    time::{Duration, Instant, SystemTime},
};

/// Seconds from keyframe to keyframe.
pub const GOP_SECONDS: u64 = 4;
/// A keyframe is made on request this often at most.
const REQUEST_INTERVAL: Duration = Duration::from_secs(1);

/// The encoder failed; it says no more than this.
#[derive(Debug, thiserror::Error)]
#[error("the H.264 encoder failed: {0}")]
pub struct Failed(#[from] openh264::Error);

/// Draws and encodes the frames of one stream.
pub struct Camera {
    scene: Scene,
    encoder: Encoder,
    assembler: Assembler,
    timeline: Timeline,
    picture: Picture,
}

impl Camera {
    /// A camera that shows `name` in its picture.
    pub fn new(picture: Picture, name: &str) -> Result<Self, Failed> {
        let config = EncoderConfig::new()
            .bitrate(BitRate::from_bps(picture.kbps * 1000))
            .max_frame_rate(FrameRate::from_hz(picture.fps as f32))
            .usage_type(UsageType::CameraVideoRealTime)
            .rate_control_mode(RateControlMode::Bufferbased)
            .complexity(Complexity::Low)
            .profile(Profile::Baseline)
            .skip_frames(false)
            .scene_change_detect(false)
            .adaptive_quantization(false)
            .background_detection(false)
            .intra_frame_period(IntraFramePeriod::from_num_frames(0))
            .num_threads(1)
            .vui(VuiConfig::bt709());
        Ok(Self {
            scene: Scene::new(picture.width as usize, picture.height as usize, name),
            encoder: Encoder::with_api_config(OpenH264API::from_source(), config)?,
            assembler: Assembler::default(),
            timeline: Timeline::default(),
            picture,
        })
    }

    /// Frame number `k`, a keyframe where one is due or `force_keyframe` is set. `None` if the encoder made nothing.
    pub fn frame(&mut self, k: u64, force_keyframe: bool) -> Result<Option<AccessUnit>, Failed> {
        let fps = u64::from(self.picture.fps);
        let unix_millis = k * 1000 / fps;
        self.scene.draw(unix_millis);
        if force_keyframe || k.is_multiple_of(GOP_SECONDS * fps) {
            self.encoder.force_intra_frame();
        }
        let encoded = Bytes::from(self.encoder.encode(&self.scene)?.to_vec());
        // The camera's own 32-bit clock: truncation is meant.
        #[expect(clippy::cast_possible_truncation)]
        let ticks = self.timeline.ticks((unix_millis * 90) as u32, Duration::from_millis(unix_millis));
        Ok(self.assembler.assemble(h264::split_annex_b(&encoded), ticks, unix_millis * 1000))
    }
}

/// Makes a stream for as long as it is polled; the largest stream of a camera has the sound.
pub async fn pull(picture: Picture, name: String, outlets: Outlets) {
    let Outlets { feed, sound, board } = outlets;
    let beeping = async {
        if board.place() == 0 {
            beep::pull(&sound, &board).await;
        }
        std::future::pending::<()>().await;
    };
    // Dropped with this future, which ends the thread.
    let (_alive, stop) = mpsc::channel::<()>();
    let seen = board.clone();
    let worker = tokio::task::spawn_blocking(move || {
        if let Err(error) = encode(picture, &name, &feed, &seen, &stop) {
            tracing::error!(%error, "synthetic camera stopped");
            seen.set_state(StreamState::Unreachable, Some(&error.to_string()));
        }
    });
    tokio::select! {
        () = beeping => {}
        ended = worker => if ended.is_err() {
            tracing::error!("synthetic camera stopped");
        }
    }
}

fn encode(
    picture: Picture,
    name: &str,
    feed: &Feed,
    board: &StreamBoard,
    stop: &mpsc::Receiver<()>,
) -> Result<(), Failed> {
    let mut camera = Camera::new(picture, name)?;
    let mut requests = feed.keyframe_requests();
    let mut last_request = Instant::now();
    let frame_at = |t: Duration| (t.as_millis() * u128::from(picture.fps) / 1000) as u64;
    let mut last = frame_at(unix_time());
    board.set_size((picture.width, picture.height));
    let mut is_first = true;
    loop {
        let due = Duration::from_millis((last + 1) * 1000 / u64::from(picture.fps));
        let wait = due.saturating_sub(unix_time());
        // A clock that was set back is followed at once, not waited for.
        if stop.recv_timeout(wait.min(Duration::from_secs(1))) != Err(mpsc::RecvTimeoutError::Timeout) {
            return Ok(());
        }
        last = frame_at(unix_time()).max(if wait > Duration::from_secs(1) { 0 } else { last + 1 });
        let is_asked = requests.has_changed().unwrap_or(false) && last_request.elapsed() >= REQUEST_INTERVAL;
        if is_asked {
            requests.mark_unchanged();
            last_request = Instant::now();
        }
        if let Some(unit) = camera.frame(last, is_asked || is_first)? {
            feed.push(unit);
        }
        if std::mem::take(&mut is_first) {
            board.set_state(StreamState::Online, None);
        }
    }
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
