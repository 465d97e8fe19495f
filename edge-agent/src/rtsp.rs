//! A camera's stream by RTSP: one session after another, for ever.
//!
//! Invariant: a feed receives whole access units from a keyframe on, whatever the camera's clock does; a stream that
//! falls silent is given up after [`SILENCE`] and asked for again.

use crate::{
    backoff::Backoff,
    config::Transport,
    feed::Feed,
    h264::{self, Assembler},
    health::StreamBoard,
    source::Address,
    timeline::Timeline,
};
use bytes::Bytes;
use futures_util::StreamExt;
use protocol::agent::StreamState;
use retina::{
    client::{
        Credentials, Demuxed, PlayOptions, Session, SessionGroup, SessionOptions, SetupOptions, TcpTransportOptions,
        UdpTransportOptions,
    },
    codec::{CodecItem, ParametersRef, VideoFrame},
};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::time::timeout;

/// Longest time from connecting to the stream's start.
const START: Duration = Duration::from_secs(10);
/// Longest time without an access unit.
pub const SILENCE: Duration = Duration::from_secs(5);
/// A camera that cannot be reached is tried again within 2 s, always.
const UNREACHABLE_WAIT: Duration = Duration::from_millis(1500);
/// Cameras lock accounts after failed logins: the waits grow.
const UNAUTHORIZED_WAIT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));
/// Somebody has to change a setting of the camera first.
const UNSUPPORTED_WAIT: Duration = Duration::from_secs(15);

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the camera refuses the user name or password")]
    Unauthorized,
    #[error("{0}")]
    Unsupported(String),
    #[error("the camera cannot be reached")]
    Unreachable(#[source] retina::Error),
    #[error("the camera does not answer")]
    Timeout,
    #[error("the camera has no stream at this path")]
    NotFound,
    #[error("the camera stopped sending")]
    Silent,
    #[error("the camera ended the stream")]
    Eof,
}

impl From<retina::Error> for Ended {
    fn from(error: retina::Error) -> Self {
        match error.status_code() {
            Some(401 | 403) => Self::Unauthorized,
            Some(404) => Self::NotFound,
            _ => Self::Unreachable(error),
        }
    }
}

impl Ended {
    fn state(&self) -> StreamState {
        match self {
            Self::Unauthorized => StreamState::Unauthorized,
            Self::Unsupported(_) => StreamState::Unsupported,
            _ => StreamState::Unreachable,
        }
    }
}

/// Pulls a stream for as long as it is polled.
pub async fn pull(address: Address, transport: Transport, feed: Feed, board: StreamBoard) {
    let mut puller = Puller { address, transport, feed, board, timeline: Timeline::default(), started: Instant::now() };
    let mut refused = Backoff::new(UNAUTHORIZED_WAIT.0, UNAUTHORIZED_WAIT.1);
    let mut unreachable = Backoff::new(UNREACHABLE_WAIT, UNREACHABLE_WAIT);
    loop {
        let ended = match puller.session().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        puller.feed.reset();
        puller.timeline.end_epoch();
        tracing::warn!(reason = %ended, "camera stream is down");
        if let Ended::Unreachable(error) = &ended {
            tracing::debug!(%error, "camera stream is down");
        }
        puller.board.set_state(ended.state(), Some(&ended.to_string()));
        let wait = match ended {
            Ended::Unauthorized => refused.wait(),
            Ended::Unsupported(_) => UNSUPPORTED_WAIT,
            _ => unreachable.wait(),
        };
        if !matches!(ended, Ended::Unauthorized) {
            refused.reset();
        }
        tokio::time::sleep(wait).await;
    }
}

struct Puller {
    address: Address,
    transport: Transport,
    feed: Feed,
    board: StreamBoard,
    timeline: Timeline,
    started: Instant,
}

impl Puller {
    /// One RTSP session, until it ends.
    async fn session(&mut self) -> Result<std::convert::Infallible, Ended> {
        let (mut frames, video) = timeout(START, self.start()).await.map_err(|_| Ended::Timeout)??;
        let mut assembler = Assembler::default();
        let mut is_online = false;
        loop {
            let frame = timeout(SILENCE, next_frame(&mut frames)).await.map_err(|_| Ended::Silent)??;
            if (frame.has_new_parameters() || !is_online)
                && let Some(ParametersRef::Video(v)) = frames.streams()[video].parameters()
            {
                self.board.set_size(v.pixel_dimensions());
            }
            if frame.loss() > 0 {
                tracing::debug!(packets = frame.loss(), "RTP packets from the camera were lost");
            }
            let Some(unit) = self.access_unit(&mut assembler, frame) else { continue };
            // References of pictures before the session's first keyframe were never seen.
            if is_online || unit.is_keyframe {
                if !is_online {
                    tracing::info!("camera stream is up");
                    self.board.set_state(StreamState::Online, None);
                    is_online = true;
                }
                self.feed.push(unit);
            }
        }
    }

    /// Describes, sets up and plays the stream's video.
    async fn start(&self) -> Result<(Demuxed, usize), Ended> {
        let credentials = self.address.credentials.clone();
        let options = SessionOptions::default()
            .creds(credentials.map(|(username, password)| Credentials { username, password }))
            .user_agent(concat!("sunroom-edge-agent/", env!("CARGO_PKG_VERSION")).to_owned())
            .session_group(Arc::new(SessionGroup::default()));
        let mut session = Session::describe(self.address.url.clone(), options).await?;
        let video = choose(&session)?;
        let transport = match self.transport {
            Transport::Tcp => retina::client::Transport::Tcp(TcpTransportOptions::default()),
            Transport::Udp => retina::client::Transport::Udp(UdpTransportOptions::default()),
        };
        session.setup(video, SetupOptions::default().transport(transport)).await?;
        Ok((session.play(PlayOptions::default()).await?.demuxed()?, video))
    }

    fn access_unit(&mut self, assembler: &mut Assembler, frame: VideoFrame) -> Option<h264::AccessUnit> {
        let context = *frame.start_ctx();
        let arrival = context.received().saturating_duration_since(self.started);
        // Truncation is meant: the timestamp that the camera sent is the low half.
        #[expect(clippy::cast_possible_truncation)]
        let camera = frame.timestamp().timestamp() as u32;
        let ticks = self.timeline.ticks(camera, arrival);
        let arrived = SystemTime::from(context.received_wall()).duration_since(SystemTime::UNIX_EPOCH);
        let arrived = u64::try_from(arrived.unwrap_or_default().as_micros()).unwrap_or(u64::MAX);
        let captured = self.timeline.captured(ticks, arrived);
        let nals = h264::split_length_prefixed(&Bytes::from(frame.into_data()));
        assembler.assemble(nals, ticks, captured)
    }
}

/// The index of the stream to play.
fn choose(session: &Session<retina::client::Described>) -> Result<usize, Ended> {
    let videos = || session.streams().iter().enumerate().filter(|(_, s)| s.media() == "video");
    if let Some((index, _)) = videos().find(|(_, s)| s.encoding_name() == "h264") {
        return Ok(index);
    }
    let name = match videos().next().map(|(_, s)| s.encoding_name()) {
        None => return Err(Ended::Unsupported("the stream carries no video".into())),
        Some("h265") => "H.265",
        Some(name) => name,
    };
    Err(Ended::Unsupported(format!(
        "the stream is {name}, which browsers cannot play: set this stream's video codec to H.264 in the camera"
    )))
}

async fn next_frame(frames: &mut Demuxed) -> Result<VideoFrame, Ended> {
    loop {
        match frames.next().await {
            Some(Ok(CodecItem::VideoFrame(frame))) => return Ok(frame),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => return Err(Ended::Eof),
        }
    }
}
