//! H.264 access units as lists of NAL units (ITU-T H.264, 7.3.1).
//!
//! Invariant: an [`AccessUnit`] holds only what a decoder needs (parameter sets and slices), and one that holds an IDR
//! slice starts with a sequence and a picture parameter set.

use bytes::Bytes;
use h264_reader::{
    nal::sps::SeqParameterSet,
    rbsp::{BitRead, BitReader, ByteReader},
};

/// Bytes of a slice that its first two fields lie in, at the most.
const SLICE_START: usize = 16;

/// Kind of a NAL unit (`nal_unit_type`, table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalKind {
    /// A coded slice, or a data partition of one.
    Slice,
    /// A slice of an IDR picture: decoding can start here.
    Idr,
    /// Sequence parameter set.
    Sps,
    /// Picture parameter set.
    Pps,
    /// Delimiters, SEI, filler: nothing that changes the picture.
    Other,
}

/// The kind that a NAL unit's first byte states. An empty one is of no use.
pub fn nal_kind(nal: &[u8]) -> NalKind {
    match nal.first().map(|b| b & 0x1f) {
        Some(1..=4) => NalKind::Slice,
        Some(5) => NalKind::Idr,
        Some(7) => NalKind::Sps,
        Some(8) => NalKind::Pps,
        _ => NalKind::Other,
    }
}

/// Whether a NAL unit is a slice whose pictures are predicted from later ones too (`slice_type`, table 7-6).
pub fn is_b_slice(nal: &[u8]) -> bool {
    // Data partitions B and C begin with other fields.
    if !matches!(nal.first().map(|b| b & 0x1f), Some(1 | 2 | 5)) {
        return false;
    }
    let mut bits = BitReader::new(ByteReader::skipping_h264_header(&nal[..nal.len().min(SLICE_START)]));
    let slice_type = bits.read_ue("first_mb_in_slice").and_then(|_| bits.read_ue("slice_type"));
    slice_type.is_ok_and(|t| t % 5 == 1)
}

/// What a sequence parameter set says.
#[derive(Clone, Debug, PartialEq)]
pub struct Sps {
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Name of its profile: `Baseline`, `Main`, `High` ...
    pub profile: String,
    /// Pictures a second, if it says so.
    pub frames_per_second: Option<f64>,
}

/// What a NAL unit says, if it is a sequence parameter set.
pub fn sps(nal: &[u8]) -> Option<Sps> {
    if nal_kind(nal) != NalKind::Sps {
        return None;
    }
    let sps = SeqParameterSet::from_bits(BitReader::new(ByteReader::skipping_h264_header(nal))).ok()?;
    let (width, height) = sps.pixel_dimensions().ok()?;
    let frames_per_second = sps.fps().filter(|f| (0.1..1000.0).contains(f));
    Some(Sps { width, height, profile: format!("{:?}", sps.profile()), frames_per_second })
}

/// One coded picture, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// Its NAL units, without start codes or lengths, in decoding order.
    pub nals: Vec<Bytes>,
    /// Decoding can start here.
    pub is_keyframe: bool,
    /// Its time on the stream's continuous 90 kHz clock.
    pub ticks: u64,
    /// When it was captured, by the edge's clock, in microseconds since the Unix epoch.
    pub captured_micros: u64,
}

impl AccessUnit {
    /// Bytes of its NAL units.
    pub fn len(&self) -> usize {
        self.nals.iter().map(Bytes::len).sum()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.nals.is_empty()
    }
}

/// Makes each access unit of one stream self-contained: keeps the last parameter sets seen and puts them before every
/// IDR picture that comes without.
#[derive(Debug, Default)]
pub struct Assembler {
    sps: Option<Bytes>,
    pps: Option<Bytes>,
}

impl Assembler {
    /// An access unit of these NAL units, or `None` if they hold no slice, or an IDR whose parameter sets are unknown.
    pub fn assemble(
        &mut self,
        nals: impl IntoIterator<Item = Bytes>,
        ticks: u64,
        captured_micros: u64,
    ) -> Option<AccessUnit> {
        let mut slices = Vec::new();
        let mut is_keyframe = false;
        for nal in nals {
            match nal_kind(&nal) {
                NalKind::Sps => self.sps = Some(nal),
                NalKind::Pps => self.pps = Some(nal),
                NalKind::Idr => {
                    is_keyframe = true;
                    slices.push(nal);
                }
                NalKind::Slice => slices.push(nal),
                NalKind::Other => {}
            }
        }
        if slices.is_empty() {
            return None;
        }
        if is_keyframe {
            slices.splice(0..0, [self.sps.clone()?, self.pps.clone()?]);
        }
        Some(AccessUnit { nals: slices, is_keyframe, ticks, captured_micros })
    }
}

/// The NAL units of an Annex B byte stream.
pub fn split_annex_b(data: &Bytes) -> Vec<Bytes> {
    let mut nals = Vec::new();
    let mut start = None;
    let mut i = 0;
    while i + 3 <= data.len() {
        if data[i..i + 3] == [0, 0, 1] {
            push_trimmed(data, start, i, &mut nals);
            i += 3;
            start = Some(i);
        } else {
            i += 1;
        }
    }
    push_trimmed(data, start, data.len(), &mut nals);
    nals
}

/// Pushes `data[start..end]` without the zero bytes that may follow a NAL unit (Annex B, `trailing_zero_8bits`).
fn push_trimmed(data: &Bytes, start: Option<usize>, end: usize, nals: &mut Vec<Bytes>) {
    let Some(start) = start else { return };
    let len = data[start..end].iter().rposition(|b| *b != 0).map_or(0, |p| p + 1);
    if len > 0 {
        nals.push(data.slice(start..start + len));
    }
}

/// The NAL units of a sample in which each is preceded by its length in four bytes. Stops at a length that lies.
pub fn split_length_prefixed(data: &Bytes) -> Vec<Bytes> {
    let mut nals = Vec::new();
    let mut at = 0;
    while let Some(prefix) = data.get(at..at + 4) {
        let len = prefix.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
        at += 4;
        if len == 0 || len > data.len() - at {
            break;
        }
        nals.push(data.slice(at..at + len));
        at += len;
    }
    nals
}
