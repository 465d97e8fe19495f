//! One RTSP session: pictures and, where the camera has it, sound.
//!
//! Invariant: only pictures keep a session alive; sound never ends one that has pictures.

use super::{Clocks, Puller, SILENCE, opus, rtp_timestamp};
use crate::{
    config::Transport,
    finding::{Kind, codec_name},
    h264::{self, Assembler},
    sound::{Codec, Recorder},
    source::Address,
    survey::{self, Survey},
};
use bytes::Bytes;
use futures_util::StreamExt;
use protocol::{agent::StreamState, camera::Audio};
use retina::{
    client::{
        Credentials, Demuxed, Described, InitialTimestampPolicy, PlayOptions, SessionGroup, SessionOptions,
        SetupOptions, Stream, TcpTransportOptions, UdpTransportOptions,
    },
    codec::{AudioFrame, CodecItem, ParametersRef, VideoFrame},
    rtcp::{ReceivedCompoundPacket, TypedPacketRef},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

/// Longest time from connecting to the stream's start.
const START: Duration = Duration::from_secs(10);
/// Pictures from one look at what was found to the next.
const REVIEW: u64 = 16;

/// Why a session ended, or did not begin.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// 401 or 403.
    #[error("the camera refuses the user name or password")]
    Unauthorized,
    /// The video is not one that is sent on, by its codec's usual name.
    #[error("the stream is {0}, which browsers cannot play: set this stream's video codec to H.264 in the camera")]
    NotH264(String),
    /// There is sound at the most.
    #[error("the stream carries no video")]
    NoVideo,
    /// No connection, or it broke off.
    #[error("the camera cannot be reached")]
    Unreachable(#[source] retina::Error),
    /// Connected, and no more.
    #[error("the camera does not answer")]
    Timeout,
    /// 404.
    #[error("the camera has no stream at this path")]
    NotFound,
    /// No picture for [`SILENCE`].
    #[error("the camera stopped sending pictures")]
    Silent,
    /// It closed the connection.
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

/// A stream that plays.
pub struct Opened {
    /// Its frames.
    pub frames: Demuxed,
    /// Index of the video.
    pub video: usize,
    /// Its sound.
    pub sound: Sound,
}

/// A stream's sound, by its description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sound {
    /// There is none.
    None,
    /// It comes with the pictures.
    Here(usize, Codec),
    /// It has to be fetched in a session of its own.
    Apart,
    /// It cannot be sent on: its codec's name in RTP.
    Unplayable(String),
}

/// Describes, sets up and plays a stream: its H.264 video, and its sound where that can be sent on.
pub async fn open(address: &Address, transport: Transport) -> Result<Opened, Ended> {
    let started = async {
        let mut session = describe(address).await?;
        let video = video_of(session.streams())?;
        let mut sound = sound_of(session.streams());
        session.setup(video, setup_options(transport)).await?;
        if let Sound::Here(index, _) = sound
            && let Err(error) = session.setup(index, setup_options(transport)).await
        {
            // A camera that refuses its sound still has its picture.
            error.status_code().ok_or(Ended::Unreachable(error.clone()))?;
            tracing::debug!(%error, "the camera refuses its sound");
            sound = Sound::None;
        }
        Ok(Opened { frames: session.play(play_options()).await?.demuxed()?, video, sound })
    };
    timeout(START, started).await.map_err(|_| Ended::Timeout)?
}

/// Asks what a stream holds.
pub(super) async fn describe(address: &Address) -> Result<retina::client::Session<Described>, retina::Error> {
    let credentials = address.credentials.clone();
    let options = SessionOptions::default()
        .creds(credentials.map(|(username, password)| Credentials { username, password }))
        .user_agent(concat!("sunroom-edge-agent/", env!("CARGO_PKG_VERSION")).to_owned())
        .session_group(Arc::new(SessionGroup::default()));
    retina::client::Session::describe(address.url.clone(), options).await
}

pub(super) fn setup_options(transport: Transport) -> SetupOptions {
    SetupOptions::default().transport(match transport {
        Transport::Tcp => retina::client::Transport::Tcp(TcpTransportOptions::default()),
        Transport::Udp => retina::client::Transport::Udp(UdpTransportOptions::default()),
    })
}

/// Many cameras state no `rtptime`, or a wrong one.
pub(super) fn play_options() -> PlayOptions {
    PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive)
}

/// The index of the video to play.
fn video_of(streams: &[Stream]) -> Result<usize, Ended> {
    let videos = || streams.iter().enumerate().filter(|(_, s)| s.media() == "video");
    match videos().find(|(_, s)| s.encoding_name() == "h264").or_else(|| videos().next()) {
        Some((index, s)) if s.encoding_name() == "h264" => Ok(index),
        Some((_, s)) => Err(Ended::NotH264(codec_name(s.encoding_name()))),
        None => Err(Ended::NoVideo),
    }
}

/// The codec of a stream's sound, if it can be sent on.
pub(super) fn codec_of(stream: &Stream) -> Option<Codec> {
    Codec::of_rtp(stream.encoding_name(), stream.clock_rate_hz(), stream.channels())
}

fn sound_of(streams: &[Stream]) -> Sound {
    let sounds = || streams.iter().enumerate().filter(|(_, s)| s.media() == "audio");
    match sounds().find_map(|(i, s)| Some((i, codec_of(s)?))) {
        // The RTSP client takes no Opus apart, and gives a session's frames or its bare packets, not both.
        Some((_, Codec::Opus)) => Sound::Apart,
        Some((index, codec)) => Sound::Here(index, codec),
        None => sounds().next().map_or(Sound::None, |(_, s)| Sound::Unplayable(s.encoding_name().to_owned())),
    }
}

/// A session that plays.
pub(super) struct Session<'a> {
    puller: &'a mut Puller,
    opened: Opened,
    recorder: Option<Recorder>,
    assembler: Assembler,
    survey: Survey,
    is_online: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(puller: &'a mut Puller, opened: Opened) -> Self {
        let recorder = match opened.sound {
            Sound::Here(_, codec) => Some(Recorder::new(codec, puller.outlets.board.place())),
            _ => None,
        };
        let survey = Survey::new(survey::Codec::H264);
        Self { puller, opened, recorder, assembler: Assembler::default(), survey, is_online: false }
    }

    /// Until it ends.
    pub(super) async fn run(mut self) -> Result<std::convert::Infallible, Ended> {
        self.announce_sound();
        let mut apart = JoinSet::new();
        if self.opened.sound == Sound::Apart {
            let (address, clocks) = (self.puller.address.clone(), self.puller.clocks.clone());
            apart.spawn(opus::listen(address, self.puller.transport, self.puller.outlets.clone(), clocks));
        }
        let mut pictured = Instant::now();
        loop {
            let item = timeout_at(pictured + SILENCE, self.opened.frames.next()).await.map_err(|_| Ended::Silent)?;
            match item.ok_or(Ended::Eof)?? {
                CodecItem::VideoFrame(frame) => {
                    pictured = Instant::now();
                    self.picture(frame);
                }
                CodecItem::AudioFrame(frame) => self.sound(&frame),
                CodecItem::Rtcp(reports) => self.reports(&reports),
                _ => {}
            }
        }
    }

    /// What the description says of the sound; sound that can be sent on is told of once it is heard.
    fn announce_sound(&self) {
        let board = &self.puller.outlets.board;
        match &self.opened.sound {
            Sound::None => board.set_audio(None),
            Sound::Unplayable(codec) => board.set_audio(Some(&Audio { codec: codec.clone(), live: false })),
            Sound::Here(..) | Sound::Apart => {}
        }
    }

    fn picture(&mut self, frame: VideoFrame) {
        let board = &self.puller.outlets.board;
        if (frame.has_new_parameters() || !self.is_online)
            && let Some(ParametersRef::Video(v)) = self.opened.frames.streams()[self.opened.video].parameters()
        {
            let (before, size) = (board.size(), v.pixel_dimensions());
            if self.is_online && before != Some(size) {
                tracing::info!(?before, ?size, "the picture's size has changed");
            }
            board.set_size(size);
        }
        if frame.loss() > 0 {
            tracing::debug!(packets = frame.loss(), "RTP packets from the camera were lost");
        }
        let (arrival, arrived) = self.puller.clocks.arrival(frame.start_ctx());
        let camera = rtp_timestamp(frame.timestamp());
        let ticks = self.puller.timeline.ticks(camera, arrival);
        let captured = self.puller.timeline.captured(ticks, arrived);
        self.puller.clocks.lipsync().pictured(camera, captured);
        let nals = h264::split_length_prefixed(&Bytes::from(frame.into_data()));
        let Some(unit) = self.assembler.assemble(nals, ticks, captured) else { return };
        self.survey.picture(unit.nals.iter().map(|n| &n[..]), Some(ticks));
        if unit.is_keyframe || self.survey.pictures().is_multiple_of(REVIEW) {
            self.review();
        }
        // References of pictures before the session's first keyframe were never seen.
        if self.is_online || unit.is_keyframe {
            if !std::mem::replace(&mut self.is_online, true) {
                tracing::info!("camera stream is up");
                self.puller.outlets.board.set_state(StreamState::Online, None);
            }
            self.puller.outlets.feed.push(unit);
        }
    }

    /// Tells what was found.
    fn review(&self) {
        let mut found = self.survey.findings();
        if let Sound::Unplayable(codec) = &self.opened.sound {
            found.push(Kind::AudioCodec(codec_name(codec)));
        }
        // What an earlier session found may have been put right, or not have shown itself yet.
        let board = &self.puller.outlets.board;
        if self.survey.is_settled() { board.set_findings(found) } else { board.add_findings(found) }
    }

    fn sound(&mut self, frame: &AudioFrame) {
        let Some(recorder) = &mut self.recorder else { return };
        let (arrival, arrived) = self.puller.clocks.arrival(frame.ctx());
        let camera = rtp_timestamp(frame.timestamp());
        let captured = |by_arrival| self.puller.clocks.lipsync().captured(camera, by_arrival);
        let payload = Bytes::copy_from_slice(frame.data());
        self.puller.outlets.board.set_sound(recorder.codec());
        let packets = recorder.record(&payload, camera, arrival, arrived, captured);
        packets.into_iter().for_each(|p| self.puller.outlets.sound.push(p));
    }

    fn reports(&self, reports: &ReceivedCompoundPacket) {
        let sound = match self.opened.sound {
            Sound::Here(index, codec) => Some((index, codec)),
            _ => None,
        };
        take_reports(reports, &self.puller.clocks, |lipsync, ntp, rtp| {
            if reports.stream_id() == self.opened.video {
                lipsync.picture_reported(ntp, rtp);
            } else if let Some((_, codec)) = sound.filter(|(index, _)| *index == reports.stream_id()) {
                lipsync.sound_reported(ntp, rtp, codec.clock_rate());
            }
        });
    }
}

/// Hands on the sender reports of a compound packet: NTP and RTP timestamps.
pub(super) fn take_reports(
    reports: &ReceivedCompoundPacket,
    clocks: &Clocks,
    mut take: impl FnMut(&mut crate::lipsync::LipSync, u64, u32),
) {
    for packet in reports.pkts() {
        if let Ok(Some(TypedPacketRef::SenderReport(report))) = packet.as_typed() {
            take(&mut clocks.lipsync(), report.ntp_timestamp().0, report.rtp_timestamp());
        }
    }
}
