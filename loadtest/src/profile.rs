//! What a virtual camera sends: RTP payloads (RFC 6184), made once and shared by all cameras.
//!
//! Invariants: no payload is longer than [`PAYLOAD`], a frame's last one not counting its [`crate::stamp`]; those of a made
//! frame are equally long but for the last, so that a frame is a train.

use crate::{stamp, units};
use bytes::Bytes;
use rtc_rtp::codec::h264::H264Payloader;
use rtc_rtp::packetizer::Payloader;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

/// RTP payload of a full packet, in bytes.
pub const PAYLOAD: usize = 1160;
/// What made payloads are filled with, after their headers.
pub const FILL: u8 = 0xab;
/// Largest film that is read, in bytes.
const MAX_FILM: u64 = 256 << 20;
/// Shortest payload that bears a stamp, in bytes.
const LEAST: usize = stamp::SIZE + 16;
/// A keyframe is so many times as large as another frame.
const KEY_FACTOR: usize = 12;
/// NAL unit types of slices (ITU-T H.264, table 7-1).
const SLICE: u8 = 1;
const IDR: u8 = 5;

/// What a camera sends, by name: `camera-360p`, `camera-720p`, a bitrate such as `1.1M`, or a file of H.264 in Annex B
/// form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Profile(Source);

#[derive(Clone, Debug, PartialEq)]
enum Source {
    /// 500 kbit/s, 25 frames a second, a keyframe each 4 s.
    Camera360p,
    /// The same as `l` beside a main stream of 2 Mbit/s, `h`.
    Camera720p,
    /// So many bit/s, 30 frames a second, a keyframe each 2 s.
    Bitrate(u64),
    /// A film, 25 frames a second.
    File(String),
}

/// The text names no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no profile: write camera-360p, camera-720p, a bitrate from 30k to 100M such as 1.1M, or a path that ends in .h264"
)]
pub struct InvalidProfile(String);

/// What a profile needs cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FilmError {
    /// The file is out of reach.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is of no use.
    #[error("{path}: {reason}")]
    Unusable {
        /// Which file.
        path: String,
        /// Why.
        reason: &'static str,
    },
}

/// The coded streams of a camera.
#[derive(Clone, Debug)]
pub struct Film {
    /// Largest first.
    pub encodings: Vec<Encoding>,
}

/// One coded stream, shown over and over.
#[derive(Clone, Debug)]
pub struct Encoding {
    /// `h`, `m` or `l`.
    pub rid: &'static str,
    /// Its place by size, `l` being 0.
    pub rank: u8,
    /// From one frame to the next.
    pub frame_time: Duration,
    /// Its frames, a keyframe first.
    pub frames: Vec<Frame>,
}

/// One frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// A decoder may begin with it.
    pub is_key: bool,
    /// RTP payloads; to the last a stamp is added.
    pub payloads: Vec<Bytes>,
}

impl Default for Profile {
    fn default() -> Self {
        Self(Source::Camera360p)
    }
}

impl FromStr for Profile {
    type Err = InvalidProfile;

    fn from_str(text: &str) -> Result<Self, InvalidProfile> {
        Ok(Self(match text {
            "camera-360p" => Source::Camera360p,
            "camera-720p" => Source::Camera720p,
            path if path.ends_with(".h264") || path.ends_with(".264") => Source::File(path.to_owned()),
            other => Source::Bitrate(bitrate(other).ok_or_else(|| InvalidProfile(other.to_owned()))?),
        }))
    }
}

/// Reads a bitrate that a camera can have.
fn bitrate(text: &str) -> Option<u64> {
    let value = units::parse_rate(text)?;
    (30e3..=100e6).contains(&value).then_some(value.round() as u64)
}

impl TryFrom<String> for Profile {
    type Error = InvalidProfile;

    fn try_from(text: String) -> Result<Self, InvalidProfile> {
        text.parse()
    }
}

impl From<Profile> for String {
    fn from(profile: Profile) -> Self {
        profile.to_string()
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Source::Camera360p => f.write_str("camera-360p"),
            Source::Camera720p => f.write_str("camera-720p"),
            Source::Bitrate(rate) if rate.is_multiple_of(1000) => write!(f, "{}k", rate / 1000),
            Source::Bitrate(rate) => write!(f, "{rate}"),
            Source::File(path) => f.write_str(path),
        }
    }
}

impl Profile {
    /// Whether it is a film of somebody's: what its packets hold is not known.
    pub fn is_file(&self) -> bool {
        matches!(self.0, Source::File(_))
    }

    /// RTP payload of all of its encodings, in bit/s; `None` of a film that cannot be had.
    pub fn bits_per_second(&self) -> Option<f64> {
        let film = self.film().ok()?;
        Some(film.encodings.iter().map(Encoding::bits_per_second).sum())
    }

    /// Makes, or reads, what it names.
    pub fn film(&self) -> Result<Film, FilmError> {
        let made = |rid, rate, fps, gop| Encoding::made(rid, rate, fps, gop);
        let encodings = match &self.0 {
            Source::Camera360p => vec![made("h", 500_000, 25, 100)],
            Source::Camera720p => vec![made("h", 2_000_000, 25, 100), made("l", 500_000, 25, 100)],
            Source::Bitrate(rate) => vec![made("h", *rate, 30, 60)],
            Source::File(path) => vec![read(path)?],
        };
        Ok(Film { encodings })
    }
}

impl Encoding {
    /// RTP payload, in bit/s.
    pub fn bits_per_second(&self) -> f64 {
        let bytes: usize = self.frames.iter().flat_map(|frame| &frame.payloads).map(Bytes::len).sum();
        bytes as f64 * 8.0 / self.seconds()
    }

    /// Packets a second.
    pub fn packets_per_second(&self) -> f64 {
        self.frames.iter().map(|frame| frame.payloads.len()).sum::<usize>() as f64 / self.seconds()
    }

    fn seconds(&self) -> f64 {
        self.frame_time.as_secs_f64() * self.frames.len() as f64
    }

    /// One GOP of so many frames, at a rate in bit/s of RTP payload.
    fn made(rid: &'static str, rate: u64, fps: u64, gop: usize) -> Self {
        let delta = (rate as usize * gop).div_ceil(8 * fps as usize * (gop - 1 + KEY_FACTOR));
        let frame = |number| match number {
            0 => Frame::made(IDR, delta * KEY_FACTOR),
            _ => Frame::made(SLICE, delta),
        };
        let frames = (0..gop).map(frame).collect();
        Self { rid, rank: if rid == "l" { 0 } else { 2 }, frame_time: Duration::from_micros(1_000_000 / fps), frames }
    }
}

impl Frame {
    /// One slice of so many bytes, its stamp counted in, in fragments (FU-A) where it needs more than one packet.
    fn made(kind: u8, bytes: usize) -> Self {
        let bytes = bytes.max(LEAST);
        let (full, rest) = (bytes / PAYLOAD, bytes % PAYLOAD);
        // A rest too small for the stamp is left out, or made large enough, whatever changes the size less.
        let last = Some(rest).filter(|rest| *rest >= LEAST / 2).map(|rest| rest.max(LEAST));
        let sizes: Vec<usize> = std::iter::repeat_n(PAYLOAD, full).chain(last).collect();
        let count = sizes.len();
        let fragment = |(n, size): (usize, usize)| {
            let is_last = n + 1 == count;
            let flags = u8::from(n == 0) << 7 | u8::from(is_last) << 6;
            let mut payload = vec![FILL; if is_last { size - stamp::SIZE } else { size }];
            // A fragment is never both the first and the last: a slice in one piece is a NAL unit by itself.
            (payload[0], payload[1]) = if count == 1 { (0x60 | kind, FILL) } else { (0x7c, flags | kind) };
            Bytes::from(payload)
        };
        Self { is_key: kind == IDR, payloads: sizes.into_iter().enumerate().map(fragment).collect() }
    }
}

fn read(path: &str) -> Result<Encoding, FilmError> {
    let unreadable = |source| FilmError::Read { path: path.to_owned(), source };
    let unusable = |reason| FilmError::Unusable { path: path.to_owned(), reason };
    if std::fs::metadata(Path::new(path)).map_err(unreadable)?.len() > MAX_FILM {
        return Err(unusable("larger than 256 MiB"));
    }
    let film = std::fs::read(path).map_err(unreadable)?;
    let mut payloader = H264Payloader::default();
    let mut frames = Vec::new();
    for picture in pictures(&film) {
        let is_key = picture.iter().any(|unit| unit[0] & 0x1f == IDR);
        let mut payloads = Vec::new();
        for unit in &picture {
            let cut = payloader.payload(PAYLOAD, &Bytes::copy_from_slice(unit));
            payloads.extend(cut.map_err(|_| unusable("a NAL unit cannot be sent by RTP"))?);
        }
        frames.push(Frame { is_key, payloads });
    }
    let first_key = frames.iter().position(|frame| frame.is_key).ok_or_else(|| unusable("no keyframe (IDR) in it"))?;
    frames.drain(..first_key);
    Ok(Encoding { rid: "h", rank: 2, frame_time: Duration::from_millis(40), frames })
}

/// The NAL units of each picture of a byte stream (ITU-T H.264, annex B), parameter sets with the picture after them.
fn pictures(film: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut pictures = Vec::new();
    let mut units: Vec<&[u8]> = Vec::new();
    let mut has_slice = false;
    for unit in units_of(film) {
        let is_slice = matches!(unit[0] & 0x1f, SLICE | IDR);
        // `first_mb_in_slice` 0 is a single 1 bit: a slice that begins a picture.
        let begins = !is_slice || unit.get(1).is_some_and(|byte| byte & 0x80 != 0);
        if has_slice && begins {
            pictures.push(std::mem::take(&mut units));
            has_slice = false;
        }
        has_slice |= is_slice;
        units.push(unit);
    }
    if has_slice {
        pictures.push(units);
    }
    pictures
}

/// The NAL units of a byte stream (ITU-T H.264, annex B): what stands between start codes.
pub fn units_of(film: &[u8]) -> impl Iterator<Item = &[u8]> {
    let codes = film.windows(3).enumerate().filter(|(_, window)| *window == [0, 0, 1]).map(|(at, _)| at);
    let starts: Vec<usize> = codes.collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([film.len()]).collect();
    starts.into_iter().zip(ends).filter_map(move |(start, end)| {
        let unit = &film[start + 3..end];
        let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
        Some(&unit[..unit.len() - zeros]).filter(|unit| !unit.is_empty())
    })
}
