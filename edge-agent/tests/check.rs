//! What `edge-agent check` says of recordings, made by ffmpeg for each case; and how it exits.

use edge_agent::check::{Report, check};
use proptest::prelude::*;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const X264: &str = "-c:v libx264 -preset ultrafast -sc_threshold 0";
const NO_B: &str = "-bf 0 -g 20";

/// A recording of a moving picture of 160x90 at 10 frames per second, 6 s long.
fn record(folder: &Path, name: &str, options: &str) -> PathBuf {
    record_at(folder, name, 10, 6, options)
}

fn record_at(folder: &Path, name: &str, rate: u32, seconds: u32, options: &str) -> PathBuf {
    let path = folder.join(name);
    let picture = format!("testsrc2=s=160x90:r={rate}:d={seconds}");
    let tone = format!("sine=r=48000:d={seconds}");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone, "-pix_fmt", "yuv420p"]);
    let is_elementary = !options.contains("-c:a");
    ffmpeg.args(if is_elementary { &["-map", "0:v"][..] } else { &["-map", "0:v", "-map", "1:a"][..] });
    let status = ffmpeg.args(options.split_whitespace()).arg(&path).status().expect("ffmpeg is installed");
    assert!(status.success(), "{name}: {options}");
    path
}

async fn report(path: &Path) -> Report {
    let name = path.to_str().expect("UTF-8");
    check(name, |_| {}).await.unwrap_or_else(|e| panic!("{name} {e}"))
}

fn codes(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|f| f.code).collect()
}

#[tokio::test]
async fn a_clean_stream_has_no_findings() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, options, profile, audio) in [
        ("main.h264", format!("{X264} -profile:v main -coder 1 {NO_B}"), "Main", None),
        ("baseline.h264", format!("{X264} -profile:v baseline -g 20"), "Baseline", None),
        ("slices.h264", format!("{X264} -profile:v baseline -g 20 -slices 4 -x264-params aud=1"), "Baseline", None),
        ("clean.mp4", format!("{X264} {NO_B} -c:a libopus"), "Baseline", Some("OPUS")),
        ("fragmented.mp4", format!("{X264} {NO_B} -movflags frag_keyframe+empty_moov"), "Baseline", None),
        ("clean.mkv", format!("{X264} {NO_B} -c:a pcm_alaw -ar 8000"), "Baseline", Some("PCMA")),
    ] {
        let report = report(&record(folder.path(), name, &options)).await;
        assert_eq!(codes(&report), <[&str; 0]>::default(), "{name}");
        let facts = report.facts;
        assert_eq!((facts.codec.as_str(), facts.width, facts.height), ("H.264", Some(160), Some(90)), "{name}");
        assert_eq!((facts.pictures, facts.gop_pictures, facts.gop_seconds), (60, 20, Some(2.0)), "{name}");
        assert_eq!(facts.frames_per_second, Some(10.0), "{name}");
        assert_eq!(facts.profile.as_deref(), Some(profile), "{name}");
        assert_eq!(facts.audio.first().map(String::as_str), audio, "{name}");
    }
}

#[tokio::test]
async fn b_frames_are_found_in_whatever_they_come() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, options) in [
        ("plain.h264", "-bf 1 -g 20 -x264-params b-pyramid=none:b-adapt=0"),
        ("pyramid.h264", "-bf 3 -g 20 -x264-params b-pyramid=normal:b-adapt=0"),
        ("pyramid.mp4", "-bf 3 -g 20 -x264-params b-pyramid=normal:b-adapt=0"),
        ("plain.mkv", "-bf 2 -g 20 -x264-params b-adapt=0"),
    ] {
        let report = report(&record(folder.path(), name, &format!("{X264} {options}"))).await;
        assert_eq!(codes(&report), ["b_frames"], "{name}");
        assert!(report.findings[0].text.contains("turn off B-frames"), "{}", report.findings[0].text);
    }
}

#[tokio::test]
async fn keyframes_that_are_ten_seconds_apart_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["long.h264", "long.mp4", "long.mkv"] {
        let path = record_at(folder.path(), name, 2, 24, &format!("{X264} -bf 0 -g 20 -keyint_min 20"));
        let report = report(&path).await;
        assert_eq!((codes(&report), report.facts.gop_seconds), (vec!["long_gop"], Some(10.0)), "{name}");
        assert!(report.findings[0].text.contains("every 10 s"), "{}", report.findings[0].text);
    }
}

#[tokio::test]
async fn a_file_that_ends_before_its_second_keyframe_shows_its_long_gop_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = report(&record(folder.path(), "one.mp4", &format!("{X264} -bf 0 -g 250"))).await;
    assert_eq!((codes(&report), report.facts.gop_pictures), (vec!["long_gop"], 59));
}

#[tokio::test]
async fn h265_is_found_and_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=20:bframes=0";
    for name in ["stream.h265", "stream.mp4", "stream.mkv"] {
        let report = report(&record(folder.path(), name, options)).await;
        assert_eq!(codes(&report), ["not_h264"], "{name}");
        assert!(report.findings[0].text.contains("to H.264"), "{}", report.findings[0].text);
        let facts = report.facts;
        assert_eq!((facts.codec.as_str(), facts.width, facts.height), ("H.265", Some(160), Some(90)), "{name}");
        assert_eq!((facts.pictures, facts.gop_pictures), (60, 20), "{name}");
    }
}

#[tokio::test]
async fn aac_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["aac.mp4", "aac.mkv"] {
        let report = report(&record(folder.path(), name, &format!("{X264} {NO_B} -c:a aac"))).await;
        assert_eq!((codes(&report), &report.facts.audio[..]), (vec!["audio_codec"], &["AAC".to_owned()][..]), "{name}");
    }
}

fn run(arguments: &[&str], folder: &Path) -> Output {
    let program = env!("CARGO_BIN_EXE_edge-agent");
    Command::new(program).arg("check").args(arguments).current_dir(folder).output().expect("it runs")
}

#[test]
fn it_exits_by_what_it_found_and_prints_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    record(folder.path(), "clean.mp4", &format!("{X264} {NO_B}"));
    record(folder.path(), "aac.mp4", &format!("{X264} {NO_B} -c:a aac"));
    fs::write(folder.path().join("garbage"), (0..10_000u32).map(|i| ((i * 7919) >> 5) as u8).collect::<Vec<_>>())
        .expect("written");
    let whole = fs::read(folder.path().join("clean.mp4")).expect("readable");
    fs::write(folder.path().join("cut.mp4"), &whole[..whole.len() / 2]).expect("written");

    let clean = run(&["clean.mp4"], folder.path());
    assert_eq!(clean.status.code(), Some(0));
    let printed = String::from_utf8_lossy(&clean.stdout);
    assert!(printed.contains("no findings") && printed.contains("10 frames per second"), "{printed}");

    let found = run(&["clean.mp4", "aac.mp4"], folder.path());
    assert_eq!(found.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&found.stdout).contains("aac.mp4 sends its sound as AAC"));

    for bad in ["garbage", "cut.mp4", "missing.mp4"] {
        let output = run(&[bad, "aac.mp4"], folder.path());
        assert_eq!(output.status.code(), Some(2), "{bad}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with(bad), "{bad} is named");
    }

    let json = run(&["--json", "aac.mp4", "garbage"], folder.path());
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("one JSON object");
    assert_eq!(json["sources"][0]["findings"][0]["code"], "audio_codec");
    assert_eq!(json["sources"][0]["facts"]["width"], 160);
    assert_eq!(json["unreadable"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_was_cut_off_is_judged_by_what_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = record(folder.path(), "cut.h264", &format!("{X264} -bf 2 -g 20 -x264-params b-adapt=0"));
    let whole = fs::read(&path).expect("readable");
    fs::write(&path, &whole[..whole.len() * 2 / 3]).expect("written");
    let report = report(&path).await;
    assert_eq!(codes(&report), ["b_frames"]);
    assert!((10..60).contains(&report.facts.pictures), "{}", report.facts.pictures);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Bytes that begin like each kind of file, and go on like none.
    #[test]
    fn any_bytes_are_refused_or_read(kind in 0usize..4, tail in prop::collection::vec(any::<u8>(), 0..2000)) {
        let starts: [&[u8]; 4] = [
            b"\0\0\0\x01\x67\x42\xc0\x1e", b"\0\0\x01\x42\x01", b"\x1a\x45\xdf\xa3", b"\0\0\0\x10ftypisom\0\0\0\0",
        ];
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("any");
        fs::write(&path, [starts[kind], &tail].concat()).expect("written");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let _ = runtime.block_on(check(path.to_str().expect("UTF-8"), |_| {}));
    }
}
