//! A camera's stream, watched for a moment.

use super::{Media, Unreadable, Video, sound};
use crate::{
    config::Transport,
    h264::split_length_prefixed,
    rtsp::{self, Ended, Opened, Sound},
    source::{InvalidSource, Source},
    survey::Codec,
    timeline::Timeline,
};
use bytes::Bytes;
use futures_util::StreamExt;
use retina::codec::{CodecItem, ParametersRef, VideoFrame};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Longest time that a stream is watched.
const WATCH: Duration = Duration::from_secs(15);
/// Keyframes that are enough to tell.
const KEYFRAMES: u64 = 4;

/// What was seen, and the stream's name without what is secret.
pub(super) async fn watch(address: &str, mut progress: impl FnMut(&str)) -> Result<(String, Media), Unreadable> {
    let Source::Rtsp(address) = address.parse()? else { return Err(InvalidSource::Unknown.into()) };
    let name = address.host_and_path();
    progress("connecting");
    let mut opened = rtsp::open(&address, Transport::Tcp).await?;
    let audio = match &opened.sound {
        Sound::None => Vec::new(),
        Sound::Here(_, codec) => vec![sound(codec.name(), true)],
        Sound::Apart => vec![sound("opus", true)],
        Sound::Unplayable(codec) => vec![sound(codec, false)],
    };
    let mut video = Video::new(Codec::H264);
    let began = Instant::now();
    let end = began + WATCH;
    let began = began.into_std();
    let mut timeline = Timeline::default();
    let mut told = 0;
    loop {
        match timeout_at(end, opened.frames.next()).await {
            Ok(Some(Ok(CodecItem::VideoFrame(frame)))) => look(&mut video, &mut timeline, &opened, began, frame),
            Ok(Some(Ok(_))) => {}
            // A stream that breaks off is judged by what was seen of it.
            Ok(Some(Err(error))) if video.survey.pictures() == 0 => return Err(Ended::from(error).into()),
            _ => break,
        }
        let (pictures, keyframes) = (video.survey.pictures(), video.survey.keyframes());
        if keyframes != told {
            told = keyframes;
            progress(&format!("{pictures} pictures, {keyframes} keyframes"));
        }
        if keyframes >= KEYFRAMES {
            break;
        }
    }
    Ok((name, Media { video: Some(video), audio }))
}

fn look(video: &mut Video, timeline: &mut Timeline, opened: &Opened, began: std::time::Instant, frame: VideoFrame) {
    if let Some(ParametersRef::Video(v)) = opened.frames.streams()[opened.video].parameters() {
        video.size = Some(v.pixel_dimensions());
    }
    // The camera's own clock, where it makes sense; truncation to what it sent is meant.
    #[expect(clippy::cast_possible_truncation)]
    let camera = frame.timestamp().timestamp() as u32;
    let ticks = timeline.ticks(camera, frame.start_ctx().received().saturating_duration_since(began));
    let nals = split_length_prefixed(&Bytes::from(frame.into_data()));
    video.picture(nals.iter().map(|n| &n[..]), Some(ticks));
}
