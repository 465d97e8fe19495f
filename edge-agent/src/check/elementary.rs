//! H.264 and H.265 as byte streams (Annex B of both), as cameras' web pages and `ffmpeg -c copy` write them.

use super::{MAX_PICTURE, Media, Unreadable, Video};
use crate::{
    h264::{self, split_annex_b},
    h265,
    survey::Codec,
};
use bytes::Bytes;
use std::{fs::File, io::Read};

/// Most bytes that are read: several minutes of a camera's main stream.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
const TICKS_PER_SECOND: f64 = 90_000.0;

/// A byte stream has no times: they follow from the rate that its parameter sets state, if they do.
pub(super) fn annex_b(file: File) -> Result<Media, Unreadable> {
    let mut data = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut data)?;
    let nals = split_annex_b(&Bytes::from(data));
    let codec = codec_of(&nals).ok_or(Unreadable::Unknown)?;
    let mut video = Video::new(codec);
    let mut unit: Vec<&[u8]> = Vec::new();
    let mut number = 0u64;
    let mut bytes = 0;
    for nal in &nals {
        let begins = codec.is_slice(nal) && begins_picture(codec, nal) && unit.iter().any(|n| codec.is_slice(n));
        if begins {
            if !take(&mut video, &unit, number) {
                unit.clear();
                break;
            }
            number += 1;
            // What stands before a picture's first slice belongs to it.
            let last = unit.iter().rposition(|n| codec.is_slice(n)).map_or(0, |p| p + 1);
            unit.drain(..last);
            bytes = 0;
        }
        bytes += nal.len() as u64;
        if bytes > MAX_PICTURE {
            return Err(Unreadable::Damaged("Annex B", "a picture is larger than 16 MiB".into()));
        }
        unit.push(nal);
    }
    take(&mut video, &unit, number);
    Ok(Media { video: Some(video), audio: Vec::new() })
}

fn take(video: &mut Video, unit: &[&[u8]], number: u64) -> bool {
    unit.iter().for_each(|n| video.parameters(n));
    let ticks = video.frames_per_second.map(|rate| (number as f64 * TICKS_PER_SECOND / rate) as u64);
    video.picture(unit.iter().copied(), ticks)
}

/// The codec whose parameter sets are found first.
fn codec_of(nals: &[Bytes]) -> Option<Codec> {
    nals.iter().find_map(|nal| match nal {
        _ if h264::sps(nal).is_some() => Some(Codec::H264),
        _ if h265::sps(nal).is_some() => Some(Codec::H265),
        _ => None,
    })
}

/// Whether a slice is a picture's first: `first_mb_in_slice` is 0, `first_slice_segment_in_pic_flag` is 1; both show
/// in the first bit after the header.
fn begins_picture(codec: Codec, slice: &[u8]) -> bool {
    let header = match codec {
        Codec::H264 => 1,
        Codec::H265 => 2,
    };
    slice.get(header).is_some_and(|b| b & 0x80 != 0)
}
