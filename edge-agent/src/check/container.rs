//! Video in MP4 (ISO/IEC 14496-12) and in Matroska (RFC 9559).

use super::{MAX_PICTURE, Media, Unreadable, Video, sound};
use crate::{h264::split_length_prefixed, survey::Codec};
use bytes::Bytes;
use matroska_demuxer::{Frame, MatroskaFile, TrackEntry, TrackType};
use re_mp4::{Mp4, StsdBoxContent, Track};
use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
};

const TICKS_PER_SECOND: u128 = 90_000;
const NANOSECONDS: u128 = 1_000_000_000;

/// An MP4 file, whole or fragmented.
pub(super) fn mp4(file: File) -> Result<Media, Unreadable> {
    let size = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    let mp4 = Mp4::read(&mut reader, size).map_err(|e| Unreadable::Damaged("MP4", e.to_string()))?;
    let mut media = Media::default();
    for track in mp4.tracks().values() {
        let media_information = &track.trak(&mp4).mdia.minf;
        let content = &media_information.stbl.stsd.contents;
        let codec = match content {
            StsdBoxContent::Avc1(_) => Codec::H264,
            StsdBoxContent::Hvc1(_) | StsdBoxContent::Hev1(_) => Codec::H265,
            StsdBoxContent::Mp4a(_) => {
                media.audio.push(sound("mpeg4-generic", false));
                continue;
            }
            StsdBoxContent::Unknown(name) if media_information.smhd.is_some() => {
                media.audio.push(sound_of_mp4(&name.value));
                continue;
            }
            _ => continue,
        };
        if media.video.is_none() {
            let mut video = Video::new(codec);
            if let Some(config) = track.raw_codec_config(&mp4) {
                configuration(&mut video, &config);
            }
            samples(track, &mut reader, &mut video)?;
            media.video = Some(video);
        }
    }
    Ok(media)
}

fn samples(track: &Track, reader: &mut (impl Read + Seek), video: &mut Video) -> Result<(), Unreadable> {
    let first = track.samples.first().map_or(0, |s| s.decode_timestamp);
    for sample in &track.samples {
        if sample.size > MAX_PICTURE {
            return Err(Unreadable::Damaged("MP4", "a picture is larger than 16 MiB".into()));
        }
        reader.seek(SeekFrom::Start(sample.offset))?;
        let mut data = Vec::new();
        reader.take(sample.size).read_to_end(&mut data)?;
        if (data.len() as u64) < sample.size {
            // It points beyond the file's end: what came before is judged.
            return Ok(());
        }
        let at = u128::from(sample.decode_timestamp.abs_diff(first));
        let ticks = at * TICKS_PER_SECOND / u128::from(sample.timescale.max(1));
        if !take(video, data, u64::try_from(ticks).ok()) {
            return Ok(());
        }
    }
    Ok(())
}

/// The usual names of the sample entries that cameras and ffmpeg write.
fn sound_of_mp4(name: &[u8; 4]) -> (String, bool) {
    match name {
        b"alaw" => sound("pcma", true),
        b"ulaw" => sound("pcmu", true),
        b"Opus" => sound("opus", true),
        other => sound(String::from_utf8_lossy(other).trim(), false),
    }
}

/// A Matroska file.
pub(super) fn matroska(file: File) -> Result<Media, Unreadable> {
    let damaged = |_| Unreadable::Damaged("Matroska", "its structure does not hold together".into());
    let mut matroska = MatroskaFile::open(BufReader::new(file)).map_err(damaged)?;
    let scale = u128::from(matroska.info().timestamp_scale().get());
    let mut media = Media::default();
    let mut number = 0;
    for track in matroska.tracks() {
        let codec = match (track.track_type(), track.codec_id()) {
            (TrackType::Video, "V_MPEG4/ISO/AVC") => Codec::H264,
            (TrackType::Video, "V_MPEGH/ISO/HEVC") => Codec::H265,
            (TrackType::Audio, _) => {
                media.audio.push(sound_of_matroska(track));
                continue;
            }
            _ => continue,
        };
        if media.video.is_none() {
            let mut video = Video::new(codec);
            configuration(&mut video, track.codec_private().unwrap_or_default());
            media.video = Some(video);
            number = track.track_number().get();
        }
    }
    let Some(video) = &mut media.video else { return Ok(media) };
    let mut frame = Frame::default();
    // A cluster that is damaged ends the look.
    while let Ok(true) = matroska.next_frame(&mut frame) {
        if frame.track == number {
            // These are times of showing: only those of keyframes and of the whole are of use where there are B-frames.
            let ticks = u128::from(frame.timestamp) * scale * TICKS_PER_SECOND / NANOSECONDS;
            let ticks = u64::try_from(ticks).ok();
            if !take(video, std::mem::take(&mut frame.data), ticks) {
                break;
            }
        }
    }
    Ok(media)
}

fn sound_of_matroska(track: &TrackEntry) -> (String, bool) {
    // A-law and mu-law have no name of their own there, but their WAVE format tag (RFC 2361).
    match (track.codec_id(), track.codec_private()) {
        ("A_MS/ACM", Some([6, 0, ..])) => sound("pcma", true),
        ("A_MS/ACM", Some([7, 0, ..])) => sound("pcmu", true),
        ("A_OPUS", _) => sound("opus", true),
        (id, _) if id.starts_with("A_AAC") => sound("mpeg4-generic", false),
        (id, _) => sound(id.trim_start_matches("A_"), false),
    }
}

fn take(video: &mut Video, data: Vec<u8>, ticks: Option<u64>) -> bool {
    let nals = split_length_prefixed(&Bytes::from(data));
    video.picture(nals.iter().map(|n| &n[..]), ticks)
}

/// The parameter sets of an `avcC` or `hvcC` record (ISO/IEC 14496-15). NAL units in it follow their length in two bytes;
/// every place that could be one is tried, so that neither record's layout has to be known.
fn configuration(video: &mut Video, record: &[u8]) {
    for at in 0..record.len().saturating_sub(2) {
        let len = usize::from(record[at]) << 8 | usize::from(record[at + 1]);
        if let Some(nal) = record.get(at + 2..at + 2 + len).filter(|n| n.len() > 3) {
            video.parameters(nal);
        }
    }
}
