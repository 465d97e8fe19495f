//! What somebody should change at a camera, in plain words: every such text is here.
//!
//! Invariant: a text names what sends it and the setting to change.

use protocol::{Rid, agent::Finding};
use std::fmt::Write;

/// Longest time from keyframe to keyframe that is no finding, in seconds; cameras' clocks are not exact.
pub const LONGEST_GOP_SECONDS: f64 = 4.2;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Pictures that refer to later ones: they come out of order, and WebRTC plays them in the order they come.
    BFrames,
    /// A codec that browsers do not play, by its usual name.
    NotH264(String),
    /// Keyframes are far apart: so many seconds, rounded, where that is known.
    LongGop(Option<u64>),
    /// There is no small picture.
    NoSubStream,
    /// The small picture does not come.
    SilentSubStream,
    /// Sound that browsers do not play, by its codec's usual name.
    AudioCodec(String),
}

impl Kind {
    /// For machines (`protocol::agent::Finding::code`).
    pub fn code(&self) -> &'static str {
        match self {
            Self::BFrames => "b_frames",
            Self::NotH264(_) => "not_h264",
            Self::LongGop(_) => "long_gop",
            Self::NoSubStream | Self::SilentSubStream => "no_sub_stream",
            Self::AudioCodec(_) => "audio_codec",
        }
    }

    /// In plain words, of what `subject` names: "camera 'Gate' (main stream)".
    pub fn text(&self, subject: &str) -> String {
        match self {
            Self::BFrames => format!(
                "{subject} sends B-frames: turn off B-frames (or choose the Baseline profile) in its encoder settings"
            ),
            Self::NotH264(codec) => format!(
                "{subject} sends {codec}, which browsers cannot play: set this stream's video codec to H.264 in its \
                 encoder settings"
            ),
            Self::LongGop(seconds) => {
                let mut text = format!("{subject} sends keyframes too seldom");
                if let Some(seconds) = seconds {
                    let _ = write!(text, " (every {seconds} s)");
                }
                text + ": set the keyframe interval (I-frame interval, GOP) to 2 s, 4 s at most, and turn off its \
                        'smart codec' (H.264+, Zipstream and the like)"
            }
            Self::NoSubStream => format!(
                "{subject} has no sub stream: turn one on in the camera (H.264, about 640x360) and name it as 'sub' in \
                 the agent's configuration, or viewers with little bandwidth see nothing"
            ),
            Self::SilentSubStream => format!(
                "{subject} sends its main stream but no sub stream: turn the sub stream on in the camera (H.264, about \
                 640x360), and check its path under 'sub' in the agent's configuration"
            ),
            Self::AudioCodec(codec) => format!(
                "{subject} sends its sound as {codec}, which browsers cannot play live: set the audio codec to G.711A \
                 (PCMA), G.711U (PCMU) or Opus in its encoder settings"
            ),
        }
    }

    /// As it is reported: `rid` is the stream it was found in.
    pub fn report(&self, subject: &str, rid: Option<Rid>) -> Finding {
        Finding { code: self.code().to_owned(), rid, text: self.text(subject) }
    }
}

/// How a stream is named in a text.
pub fn stream_name(camera: &str, rid: &Rid) -> String {
    match rid.as_str() {
        "h" => format!("camera '{camera}' (main stream)"),
        "l" => format!("camera '{camera}' (sub stream)"),
        other => format!("camera '{camera}' (stream {other})"),
    }
}

/// The usual name of a codec, from its encoding name in RTP.
pub fn codec_name(rtp: &str) -> String {
    match rtp.to_ascii_lowercase().as_str() {
        "h264" => "H.264".to_owned(),
        "h265" => "H.265".to_owned(),
        "jpeg" => "MJPEG".to_owned(),
        "mpeg4-generic" | "mp4a-latm" => "AAC".to_owned(),
        other => other.to_ascii_uppercase(),
    }
}
