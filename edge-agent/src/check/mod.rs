//! `edge-agent check`: says of a recording or a camera's stream what would trouble viewers, before it is installed.
//!
//! Invariant: a source that breaks off is judged by what came before (a container's index may be lost with its end, and
//! the whole then is unreadable); one that holds no picture is unreadable.

mod container;
mod elementary;
mod live;

use crate::{
    finding::{Kind, codec_name},
    h264, h265,
    survey::{Codec, Survey},
};
use serde::Serialize;
use std::{
    fmt, fs,
    io::{self, Read, Seek},
    path::Path,
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// Most pictures that are looked at: 10 minutes at 25 frames per second.
const MAX_PICTURES: u64 = 15_000;
/// Largest coded picture that is looked at, in bytes.
const MAX_PICTURE: u64 = 16 * 1024 * 1024;

/// A source cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file.
    #[error("cannot be read: {0}")]
    File(#[from] io::Error),
    /// It begins like a container, but is not one.
    #[error("is a damaged or incomplete {0} file: {1}")]
    Damaged(&'static str, String),
    /// It is nothing that is known here.
    #[error("is no video that is known here: H.264 or H.265 as a byte stream (Annex B), in MP4 or in Matroska")]
    Unknown,
    /// It holds no video, or none of it.
    #[error("holds no H.264 or H.265 picture")]
    NoPicture,
    /// The address.
    #[error("is no address: {0}")]
    Address(#[from] crate::source::InvalidSource),
    /// The camera.
    #[error("cannot be watched: {0}")]
    Camera(#[from] crate::rtsp::Ended),
}

/// What a source is.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// The video's codec.
    pub codec: String,
    /// Width of the picture in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height of the picture in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// The codec's profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Pictures a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_per_second: Option<f64>,
    /// Longest time from keyframe to keyframe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gop_seconds: Option<f64>,
    /// Most pictures from keyframe to keyframe.
    pub gop_pictures: u64,
    /// Pictures that were looked at.
    pub pictures: u64,
    /// The sound's codecs.
    pub audio: Vec<String>,
}

/// Something to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// For machines: as in `protocol::agent::Finding::code`.
    pub code: &'static str,
    /// In plain words, with what to do.
    pub text: String,
}

/// What is to be said of a source.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub source: String,
    /// What it is.
    pub facts: Facts,
    /// What to change.
    pub findings: Vec<Found>,
}

/// Longest time that a file may take.
const READING: Duration = Duration::from_secs(30);

/// Looks at a file, or for a moment at an `rtsp://` address; `progress` is told how that goes.
pub async fn check(source: &str, progress: impl FnMut(&str)) -> Result<Report, Unreadable> {
    if let Some((scheme, rest)) = source.split_once("://") {
        let (name, media) = live::watch(&format!("{}://{rest}", scheme.to_ascii_lowercase()), progress).await?;
        return media.report(&name);
    }
    let path = source.to_owned();
    // The demuxers are others': a file that one of them fails on, or never comes to an end with, is a damaged one. A thread
    // of its own, for a runtime waits for those that it knows of.
    let (done, read) = oneshot::channel();
    std::thread::spawn(move || drop(done.send(read_file(Path::new(&path)))));
    let damaged = |why: &str| Unreadable::Damaged("video", why.into());
    let read = timeout(READING, read).await.map_err(|_| damaged("reading it comes to no end"))?;
    read.map_err(|_| damaged("its structure contradicts itself"))??.report(source)
}

/// What was read of a source.
#[derive(Debug, Default)]
struct Media {
    video: Option<Video>,
    /// The sound's codecs, as they are usually named, and whether they can be sent on.
    audio: Vec<(String, bool)>,
}

/// Its video.
#[derive(Debug)]
struct Video {
    codec: Codec,
    survey: Survey,
    size: Option<(u32, u32)>,
    profile: Option<String>,
    frames_per_second: Option<f64>,
}

impl Video {
    fn new(codec: Codec) -> Self {
        Self { codec, survey: Survey::new(codec), size: None, profile: None, frames_per_second: None }
    }

    /// Takes what a parameter set says.
    fn parameters(&mut self, nal: &[u8]) {
        match self.codec {
            Codec::H264 => {
                let Some(sps) = h264::sps(nal) else { return };
                self.size = Some((sps.width, sps.height));
                self.profile = Some(sps.profile);
                self.frames_per_second = sps.frames_per_second.or(self.frames_per_second);
            }
            Codec::H265 => {
                let Some(sps) = h265::sps(nal) else { return };
                self.size = Some((sps.width, sps.height));
                self.profile = Some(match sps.profile {
                    1 => "Main".to_owned(),
                    2 => "Main 10".to_owned(),
                    other => other.to_string(),
                });
            }
        }
    }

    /// Takes a picture. Whether more are to come.
    fn picture<'a>(&mut self, nals: impl IntoIterator<Item = &'a [u8]> + Clone, ticks: Option<u64>) -> bool {
        nals.clone().into_iter().for_each(|n| self.parameters(n));
        if nals.clone().into_iter().any(|n| self.codec.is_slice(n)) {
            self.survey.picture(nals, ticks);
        }
        self.survey.pictures() < MAX_PICTURES
    }
}

impl Media {
    fn report(self, source: &str) -> Result<Report, Unreadable> {
        let video = self.video.filter(|v| v.survey.pictures() > 0).ok_or(Unreadable::NoPicture)?;
        let mut kinds = video.survey.findings();
        kinds.extend(self.audio.iter().filter(|(_, live)| !live).map(|(name, _)| Kind::AudioCodec(name.clone())));
        let gop = video.survey.longest_gop();
        let rounded = |n: f64| (n * 100.0).round() / 100.0;
        let facts = Facts {
            codec: video.codec.name().to_owned(),
            width: video.size.map(|s| s.0),
            height: video.size.map(|s| s.1),
            profile: video.profile,
            frames_per_second: video.frames_per_second.or(video.survey.frames_per_second()).map(rounded),
            gop_seconds: gop.seconds.map(rounded),
            gop_pictures: gop.pictures,
            pictures: video.survey.pictures(),
            audio: self.audio.into_iter().map(|(name, _)| name).collect(),
        };
        let findings = kinds.iter().map(|k| Found { code: k.code(), text: k.text(source) }).collect();
        Ok(Report { source: source.to_owned(), facts, findings })
    }
}

/// A file by its content, not by its name.
fn read_file(path: &Path) -> Result<Media, Unreadable> {
    let mut file = fs::File::open(path)?;
    let mut start = [0; 12];
    let len = file.read(&mut start)?;
    file.rewind()?;
    match &start[..len] {
        [_, _, _, _, b'f', b't', b'y', b'p' | b's', ..] | [_, _, _, _, b'm', b'o', b'o', b'v', ..] => {
            container::mp4(file)
        }
        [0x1a, 0x45, 0xdf, 0xa3, ..] => container::matroska(file),
        [0, 0, 1, ..] | [0, 0, 0, 1, ..] => elementary::annex_b(file),
        _ => Err(Unreadable::Unknown),
    }
}

/// The usual name of a codec of sound, and whether it can be sent on.
fn sound(rtp_name: &str, is_live: bool) -> (String, bool) {
    (codec_name(rtp_name), is_live)
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.codec)?;
        if let (Some(width), Some(height)) = (self.width, self.height) {
            write!(f, ", {width}x{height}")?;
        }
        if let Some(profile) = &self.profile {
            write!(f, ", {profile} profile")?;
        }
        if let Some(rate) = self.frames_per_second {
            write!(f, ", {rate} frames per second")?;
        }
        write!(f, ", GOP of {} pictures", self.gop_pictures)?;
        if let Some(seconds) = self.gop_seconds {
            write!(f, " ({seconds} s)")?;
        }
        match &self.audio[..] {
            [] => f.write_str(", no sound"),
            audio => write!(f, ", sound {}", audio.join(", ")),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.source, self.facts)?;
        if self.findings.is_empty() {
            return write!(f, "{}: no findings", self.source);
        }
        let texts: Vec<_> = self.findings.iter().map(|found| found.text.as_str()).collect();
        f.write_str(&texts.join("\n"))
    }
}
