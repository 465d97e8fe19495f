//! Looks at a stream's pictures for what browsers and viewers suffer from.
//!
//! Invariant: it judges by the pictures only, never by what a camera says of itself; a keyframe that was lost on the way
//! does not make a camera's GOPs long.

use crate::{
    finding::{Kind, LONGEST_GOP_SECONDS},
    h264, h265,
};

/// A GOP of more pictures than this is long at any usual rate: 4 s at 60 frames per second.
const LONG_GOP_PICTURES: u64 = 240;
/// Frames per second that are told are of this many pictures at least.
const MIN_RATE_PICTURES: u64 = 5;
const TICKS_PER_SECOND: f64 = 90_000.0;
/// Seconds that a GOP may last beyond a whole number of them and still be told as that number.
const ROUNDING: f64 = 0.2;

/// How pictures are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    H265,
}

impl Codec {
    /// Its usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::H265 => "H.265",
        }
    }

    /// Whether a NAL unit is a slice of a picture.
    pub fn is_slice(self, nal: &[u8]) -> bool {
        match self {
            Self::H264 => matches!(h264::nal_kind(nal), h264::NalKind::Slice | h264::NalKind::Idr),
            Self::H265 => h265::is_slice(nal),
        }
    }

    fn is_keyframe(self, nal: &[u8]) -> bool {
        match self {
            Self::H264 => h264::nal_kind(nal) == h264::NalKind::Idr,
            Self::H265 => h265::is_keyframe(nal),
        }
    }
}

/// A survey of one stream.
#[derive(Debug)]
pub struct Survey {
    codec: Codec,
    pictures: u64,
    has_b_frames: bool,
    first: Option<u64>,
    last: Option<u64>,
    /// Number and time of the last keyframe.
    keyframe: Option<(u64, Option<u64>)>,
    keyframes: u64,
    longest: Gop,
    /// GOPs that ended, and those of them that were long.
    ended: (u64, u64),
}

/// A group of pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gop {
    /// Pictures from keyframe to keyframe.
    pub pictures: u64,
    /// Time from keyframe to keyframe, where it is known.
    pub seconds: Option<f64>,
}

impl Gop {
    fn is_long(&self) -> bool {
        self.seconds.map_or(self.pictures > LONG_GOP_PICTURES, |s| s > LONGEST_GOP_SECONDS)
    }
}

impl Survey {
    /// One that has seen nothing.
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            pictures: 0,
            has_b_frames: false,
            first: None,
            last: None,
            keyframe: None,
            keyframes: 0,
            longest: Gop::default(),
            ended: (0, 0),
        }
    }

    /// The next picture in decoding order: its NAL units, and its time in 90 kHz ticks where it is known.
    pub fn picture<'a>(&mut self, nals: impl IntoIterator<Item = &'a [u8]>, ticks: Option<u64>) {
        let mut is_keyframe = false;
        for nal in nals {
            is_keyframe |= self.codec.is_keyframe(nal);
            self.has_b_frames |= self.codec == Codec::H264 && h264::is_b_slice(nal);
        }
        self.first = self.first.or(ticks);
        self.last = ticks.or(self.last);
        let gop = self.current_gop();
        if gop.seconds > self.longest.seconds || gop.seconds.is_none() && gop.pictures > self.longest.pictures {
            self.longest = gop;
        }
        if is_keyframe {
            // What came before the first keyframe is the rest of a GOP, which tells nothing unless it is long.
            let counts = self.keyframe.is_some() || gop.is_long();
            self.ended.0 += u64::from(counts);
            self.ended.1 += u64::from(gop.is_long());
            self.keyframe = Some((self.pictures, ticks));
            self.keyframes += 1;
        }
        self.pictures += 1;
    }

    /// What was seen of the GOP that goes on.
    fn current_gop(&self) -> Gop {
        let (number, at) = self.keyframe.unwrap_or((0, self.first));
        let seconds = at.zip(self.last).map(|(from, to)| to.saturating_sub(from) as f64 / TICKS_PER_SECOND);
        Gop { pictures: self.pictures - number, seconds }
    }

    /// Whether enough was seen for what was not found to count as absent.
    pub fn is_settled(&self) -> bool {
        self.keyframes > 2
    }

    /// Pictures seen.
    pub fn pictures(&self) -> u64 {
        self.pictures
    }

    /// Keyframes seen.
    pub fn keyframes(&self) -> u64 {
        self.keyframes
    }

    /// The longest GOP so far; one that goes on counts with what was seen of it.
    pub fn longest_gop(&self) -> Gop {
        self.longest
    }

    /// Pictures a second on average, once there are enough to tell.
    pub fn frames_per_second(&self) -> Option<f64> {
        let ticks = self.last?.checked_sub(self.first?).filter(|t| *t > 0)?;
        (self.pictures >= MIN_RATE_PICTURES).then(|| (self.pictures - 1) as f64 * TICKS_PER_SECOND / ticks as f64)
    }

    /// What was found so far.
    pub fn findings(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        if self.codec != Codec::H264 {
            kinds.push(Kind::NotH264(self.codec.name().to_owned()));
        }
        if self.has_b_frames {
            kinds.push(Kind::BFrames);
        }
        let goes_on = u64::from(self.current_gop().is_long());
        if 2 * (self.ended.1 + goes_on) > self.ended.0 + goes_on {
            // One that goes on is longer than what was seen of it.
            let seconds = self.longest.seconds.map(|s| (s - ROUNDING).ceil() as u64);
            kinds.push(Kind::LongGop(seconds));
        }
        kinds
    }
}
