//! What the node needs to know of an H.264 payload (RFC 6184): where a group of pictures starts, and which temporal layer a
//! packet belongs to.

use crate::Layer;

const SLICE: u8 = 1;
const PARTITION_C: u8 = 4;
const IDR: u8 = 5;
const SEI: u8 = 6;
const SPS: u8 = 7;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;
const PREFIX: u8 = 14;
const SLICE_EXTENSION: u8 = 20;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// What starts in a packet, what counts most last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Start {
    /// Anything else.
    Other,
    /// A picture that needs none before it.
    Idr,
    /// A sequence parameter set: a decoder may begin here.
    Parameters,
}

/// What starts in this RTP payload. Malformed payloads are [`Start::Other`].
pub fn start(payload: &[u8]) -> Start {
    let begun = units(payload).filter(|unit| unit.is_beginning);
    let starts = begun.map(|unit| match unit.kind() {
        SPS => Start::Parameters,
        IDR => Start::Idr,
        _ => Start::Other,
    });
    starts.max().unwrap_or(Start::Other)
}

/// Reads the temporal layers of a stream's packets, in the order in which they come.
///
/// A frame that no other refers to (`nal_ref_idc` 0, which all slices of a picture have or none; H.264, 7.4.1) is of the
/// top layer. Where prefix NAL units or slice extensions say more (`temporal_id`; H.264, G.7.3.1.1), that counts for the
/// others.
#[derive(Default, Debug)]
pub struct Layers {
    /// Timestamp and layer of the frame under way: all its packets are of one layer.
    frame: Option<(u32, Layer)>,
}

impl Layers {
    /// The layer of a packet by its RTP timestamp, marker and payload.
    pub fn read(&mut self, time: u32, marker: bool, payload: &[u8]) -> Layer {
        let known = self.frame.filter(|(of, _)| *of == time).map(|(_, layer)| layer);
        let layer = known.or_else(|| layer(payload));
        self.frame = layer.filter(|_| !marker).map(|layer| (time, layer));
        // What comes before a frame and is no part of it is needed by no decoder; the end of a frame is.
        layer.unwrap_or(if marker { Layer::BASE } else { Layer::TOP })
    }
}

/// The layer that a payload tells; `None` where it has nothing to decode.
fn layer(payload: &[u8]) -> Option<Layer> {
    let (mut importance, mut temporal_id) = (None, 0);
    for unit in units(payload) {
        match unit.kind() {
            SEI | DELIMITER..=FILLER => {}
            SLICE..=PARTITION_C | PREFIX | SLICE_EXTENSION => {
                importance = importance.max(Some(unit.header & 0x60));
                temporal_id = temporal_id.max(unit.temporal_id().unwrap_or(0));
            }
            _ => return Some(Layer::BASE),
        }
    }
    importance.map(|importance| if importance == 0 { Layer::TOP } else { Layer::new(temporal_id) })
}

/// A NAL unit in a payload, or a fragment of one.
struct Unit<'a> {
    /// `nal_ref_idc` and `nal_unit_type`.
    header: u8,
    body: &'a [u8],
    /// Its first byte is here.
    is_beginning: bool,
}

impl Unit<'_> {
    fn kind(&self) -> u8 {
        self.header & 0x1f
    }

    /// What its scalable extension says, if it has one and that is here.
    fn temporal_id(&self) -> Option<u8> {
        let has_extension = self.is_beginning && matches!(self.kind(), PREFIX | SLICE_EXTENSION);
        match self.body {
            [first, _, third, ..] if has_extension && first & 0x80 != 0 => Some(third >> 5),
            _ => None,
        }
    }
}

fn units(payload: &[u8]) -> impl Iterator<Item = Unit<'_>> {
    let (single, aggregate): (_, &[u8]) = match payload {
        [first, rest @ ..] if first & 0x1f == STAP_A => (None, rest),
        [indicator, header, body @ ..] if indicator & 0x1f == FU_A => {
            let is_beginning = header & 0x80 != 0;
            (Some(Unit { header: (indicator & 0x60) | (header & 0x1f), body, is_beginning }), &[])
        }
        [header, body @ ..] => (Some(Unit { header: *header, body, is_beginning: true }), &[]),
        [] => (None, &[]),
    };
    single.into_iter().chain(aggregated(aggregate))
}

/// The units of a STAP-A, up to the first that is malformed.
fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = Unit<'_>> {
    std::iter::from_fn(move || {
        let [high, low, units @ ..] = rest else { return None };
        let (unit, after) = units.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        let (header, body) = unit.split_first()?;
        rest = after;
        Some(Unit { header: *header, body, is_beginning: true })
    })
}
