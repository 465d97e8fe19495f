//! As much of H.265 as it takes to say what a stream is (ITU-T H.265, 7.3): it is never sent to viewers.

use h264_reader::rbsp::{BitRead, BitReader, BitReaderError, ByteReader};
use std::num::NonZeroUsize;

/// Bytes of a NAL unit's header.
const HEADER: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");
/// Sequence parameter set (`nal_unit_type`, table 7-1).
const SPS: u8 = 33;
/// Largest picture side that is believed, in pixels.
const MAX_SIDE: u32 = 16_384;

/// What a sequence parameter set says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// `general_profile_idc`.
    pub profile: u8,
}

fn nal_unit_type(nal: &[u8]) -> Option<u8> {
    nal.first().filter(|b| *b & 0x80 == 0).map(|b| b >> 1)
}

/// Whether a NAL unit is a slice segment of a picture.
pub fn is_slice(nal: &[u8]) -> bool {
    nal_unit_type(nal).is_some_and(|t| t < 22)
}

/// Whether a NAL unit is of a picture that decoding can start at (IRAP: BLA, IDR, CRA).
pub fn is_keyframe(nal: &[u8]) -> bool {
    nal_unit_type(nal).is_some_and(|t| (16..22).contains(&t))
}

/// What a NAL unit says, if it is a sequence parameter set.
pub fn sps(nal: &[u8]) -> Option<Sps> {
    (nal_unit_type(nal) == Some(SPS)).then(|| read_sps(nal).ok()).flatten()
}

/// 7.3.2.2.1, as far as the picture's size.
fn read_sps(nal: &[u8]) -> Result<Sps, BitReaderError> {
    let mut bits = BitReader::new(ByteReader::skipping_bytes(nal, HEADER));
    bits.skip(4, "sps_video_parameter_set_id")?;
    let sub_layers: u8 = bits.read(3, "sps_max_sub_layers_minus1")?;
    bits.skip(1, "sps_temporal_id_nesting_flag")?;
    let profile = read_profile_tier_level(&mut bits, sub_layers)?;
    bits.read_ue("sps_seq_parameter_set_id")?;
    let chroma = bits.read_ue("chroma_format_idc")?;
    if chroma == 3 {
        bits.skip(1, "separate_colour_plane_flag")?;
    }
    let (width, height) = (bits.read_ue("pic_width")?, bits.read_ue("pic_height")?);
    let mut window = [0; 4];
    if bits.read_bool("conformance_window_flag")? {
        for side in &mut window {
            *side = bits.read_ue("conf_win_offset")?;
        }
    }
    // Table 6-1: SubWidthC, SubHeightC.
    let (unit_x, unit_y) = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let cropped = |side: u32, a: u32, b: u32, unit: u32| {
        let crop = a.checked_add(b)?.checked_mul(unit)?;
        side.checked_sub(crop).filter(|s| (1..=MAX_SIDE).contains(s))
    };
    let size = cropped(width, window[0], window[1], unit_x).zip(cropped(height, window[2], window[3], unit_y));
    let (width, height) = size.ok_or(BitReaderError::ExpGolombTooLarge("pic_size"))?;
    Ok(Sps { width, height, profile })
}

/// 7.3.3: the general profile.
fn read_profile_tier_level(bits: &mut impl BitRead, sub_layers: u8) -> Result<u8, BitReaderError> {
    bits.skip(3, "general_profile_space, general_tier_flag")?;
    let profile = bits.read(5, "general_profile_idc")?;
    bits.skip(32 + 48 + 8, "general_profile_compatibility_flags .. general_level_idc")?;
    let mut present = Vec::with_capacity(usize::from(sub_layers));
    for _ in 0..sub_layers {
        present.push((bits.read_bool("sub_layer_profile_present")?, bits.read_bool("sub_layer_level_present")?));
    }
    if sub_layers > 0 {
        bits.skip(2 * u32::from(8 - sub_layers), "reserved_zero_2bits")?;
    }
    for (has_profile, has_level) in present {
        bits.skip(88 * u32::from(has_profile) + 8 * u32::from(has_level), "sub_layer")?;
    }
    Ok(profile)
}
