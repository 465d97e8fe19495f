//! What is left of a real stream without its top layer decodes, picture by picture as before.

use loadtest::profile::units_of;
use sfu_core::Layer;
use sfu_core::h264::Layers;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Most bytes of a payload.
const PAYLOAD: usize = 400;

/// Runs ffmpeg; every error of a decoder counts.
fn ffmpeg(options: &str) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args("-nostdin -loglevel error -xerror -err_detect explode".split_whitespace());
    command.current_dir(env!("CARGO_TARGET_TMPDIR")).args(options.split_whitespace()).arg("-");
    let output = command.output().expect("ffmpeg is installed");
    assert!(output.status.success(), "{options}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Pictures every second one of which is referred to by no other, in four slices each.
fn stream() -> Vec<u8> {
    let encoder = "-c:v libx264 -bf 1 -g 50 -x264-params aud=1:slices=4:b-pyramid=none:b-adapt=0:scenecut=0";
    ffmpeg(&format!("-f lavfi -i testsrc=size=320x240:rate=25:duration=4 {encoder} -f h264"))
}

/// As RTP carries a unit: whole, or in fragments (RFC 6184, section 5.8).
fn payloads(unit: &[u8]) -> Vec<Vec<u8>> {
    if unit.len() <= PAYLOAD {
        return vec![unit.to_vec()];
    }
    let fragments = unit[1..].chunks(PAYLOAD).enumerate();
    let fragment = |(n, bytes): (usize, &[u8])| {
        let edge = u8::from(n == 0) << 7 | u8::from((n + 1) * PAYLOAD >= unit.len() - 1) << 6;
        [&[(unit[0] & 0x60) | 28, edge | (unit[0] & 0x1f)], bytes].concat()
    };
    fragments.map(fragment).collect()
}

/// The units that are shown up to the base layer, and how many frames they are.
fn thinned(stream: &[u8]) -> (Vec<u8>, usize) {
    let (mut layers, mut time, mut left, mut frames) = (Layers::default(), 0, Vec::new(), BTreeSet::new());
    let units: Vec<&[u8]> = units_of(stream).collect();
    for (n, unit) in units.iter().enumerate() {
        let kind = unit[0] & 0x1f;
        time += u32::from(kind == 9);
        let ends = units.get(n + 1).is_none_or(|next| next[0] & 0x1f == 9);
        let payloads = payloads(unit);
        let marker = |at: usize| ends && at + 1 == payloads.len();
        let read = payloads.iter().enumerate().map(|(at, payload)| layers.read(time, marker(at), payload));
        let read: BTreeSet<Layer> = read.collect();
        assert_eq!(read.len(), 1, "a unit is of one layer");
        if read.contains(&Layer::BASE) {
            left.extend_from_slice(&[0, 0, 0, 1]);
            left.extend_from_slice(unit);
            if matches!(kind, 1 | 5) {
                frames.insert(time);
            }
        }
    }
    (left, frames.len())
}

/// A digest of each picture of a stream, which is written to a file of this name.
fn pictures(stream: &[u8], name: &str) -> Vec<String> {
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), stream).expect("written");
    let listed = ffmpeg(&format!("-f h264 -i {name} -fps_mode passthrough -f framemd5"));
    let listed = String::from_utf8(listed).expect("text");
    let digest = |line: &str| line.rsplit(',').next().map(|digest| digest.trim().to_owned());
    listed.lines().filter(|line| !line.starts_with('#')).filter_map(digest).collect()
}

#[test]
fn every_picture_that_is_left_is_as_it_was() {
    let stream = stream();
    let whole = pictures(&stream, "whole.h264");
    assert_eq!(whole.len(), 100);
    let (left, frames) = thinned(&stream);
    let thin = pictures(&left, "thinned.h264");
    assert_eq!(thin.len(), frames);
    assert!((50..=54).contains(&frames), "{frames} frames are left");
    let whole: BTreeSet<String> = whole.into_iter().collect();
    assert!(thin.iter().all(|picture| whole.contains(picture)));
}
