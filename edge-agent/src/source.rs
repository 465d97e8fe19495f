//! Where a stream comes from, as it is written in the configuration.
//!
//! ```text
//! source    = rtsp / synthetic
//! rtsp      = "rtsp://" [ user ":" password "@" ] host [ ":" port ] path
//! synthetic = "synthetic:" width "x" height [ "@" kilobits-per-second ] [ "/" frames-per-second ]
//! ```
//! Invariant: a source that prints itself never prints a user name, a password or a path.

use serde::Deserialize;
use std::{fmt, str::FromStr};
use url::Url;

/// One stream's source.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Source {
    /// An RTSP server: a camera.
    Rtsp(Address),
    /// A picture of our own making.
    Synthetic(Picture),
}

/// Where an RTSP stream is and how to be let in.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Without user name and password.
    pub(crate) url: Url,
    /// User name and password.
    pub(crate) credentials: Option<(String, String)>,
}

/// What a synthetic camera makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels: a multiple of 80, from 160 to 1920.
    pub width: u32,
    /// Height in pixels: even, from 90 to 1200.
    pub height: u32,
    /// Bitrate to stay near, in kilobits per second.
    pub kbps: u32,
    /// Frames per second, from 1 to 50.
    pub fps: u32,
}

/// The text is no source.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSource {
    /// It is neither kind.
    #[error("a stream is 'rtsp://user:password@host/path' or 'synthetic:1280x720'")]
    Unknown,
    /// An RTSP URL that does not parse; the text stays out of the message, for it may hold a password.
    #[error("not a valid rtsp URL: {0} (write special characters in a password as %XX)")]
    Url(url::ParseError),
    /// A user name or password that does not decode.
    #[error("the user name or password in an rtsp URL has a bad %XX sequence")]
    Credentials,
    /// The part after `synthetic:`.
    #[error("'synthetic:{0}' is not understood: write synthetic:WIDTHxHEIGHT[@KBPS][/FPS]")]
    Picture(String),
    /// The numbers after `synthetic:`.
    #[error(
        "'synthetic:{0}': the width is a multiple of 80 from 160 to 1920, the height even from 90 to 1200, 50 to 20000 \
         kilobits and 1 to 50 frames per second"
    )]
    Range(String),
}

impl TryFrom<String> for Source {
    type Error = InvalidSource;

    fn try_from(text: String) -> Result<Self, InvalidSource> {
        text.parse()
    }
}

impl FromStr for Source {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        if let Some(picture) = text.strip_prefix("synthetic:") {
            return picture.parse().map(Self::Synthetic);
        }
        if !text.starts_with("rtsp://") {
            return Err(InvalidSource::Unknown);
        }
        let mut url = Url::parse(text).map_err(InvalidSource::Url)?;
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some((percent_decoded(user)?, percent_decoded(password.unwrap_or_default())?)),
        };
        url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| InvalidSource::Unknown)?;
        Ok(Self::Rtsp(Address { url, credentials }))
    }
}

impl FromStr for Picture {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        let (rest, fps) = text.split_once('/').map_or((text, None), |(r, f)| (r, Some(f)));
        let (size, kbps) = rest.split_once('@').map_or((rest, None), |(s, k)| (s, Some(k)));
        let (width, height) = size.split_once('x').ok_or_else(|| InvalidSource::Picture(text.into()))?;
        let number = |s: &str| s.parse::<u32>().map_err(|_| InvalidSource::Picture(text.into()));
        let (width, height) = (number(width)?, number(height)?);
        let default_kbps = (width.saturating_mul(height) / 600).clamp(100, 4000);
        let picture =
            Self { width, height, kbps: kbps.map_or(Ok(default_kbps), number)?, fps: fps.map_or(Ok(25), number)? };
        let in_range = width % 80 == 0
            && (160..=1920).contains(&width)
            && height % 2 == 0
            && (90..=1200).contains(&height)
            && (50..=20_000).contains(&picture.kbps)
            && (1..=50).contains(&picture.fps);
        if in_range { Ok(picture) } else { Err(InvalidSource::Range(text.into())) }
    }
}

impl Address {
    /// It without user name, password and query, for somebody who typed it.
    pub fn host_and_path(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.to_string()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rtsp(address) => address.fmt(f),
            Self::Synthetic(picture) => picture.fmt(f),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").finish_non_exhaustive()
    }
}

/// Text of a URL's user information (RFC 3986, section 2.1).
fn percent_decoded(text: &str) -> Result<String, InvalidSource> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let hex = tail.get(..2).and_then(|h| std::str::from_utf8(h).ok()).ok_or(InvalidSource::Credentials)?;
            bytes.push(u8::from_str_radix(hex, 16).map_err(|_| InvalidSource::Credentials)?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).map_err(|_| InvalidSource::Credentials)
}
