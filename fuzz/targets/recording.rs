//! `edge-agent check FILE` for byte streams. Files in MP4 and Matroska are left out: their demuxers, which are others',
//! believe a file's counts and places, so that a short one can keep them busy for ever.
#![no_main]

use edge_agent::check::{Unreadable, check};
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::sync::LazyLock;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder for files"));
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

fuzz_target!(|data: &[u8]| {
    let path = FOLDER.path().join("recording");
    fs::write(&path, [&[0, 0, 1], data].concat()).expect("a file of ours");
    match RUNTIME.block_on(check(path.to_str().expect("a path of ours"), |_| {})) {
        Ok(report) => {
            assert!(report.facts.pictures > 0 && report.facts.gop_pictures <= report.facts.pictures);
            assert!(report.facts.frames_per_second.is_none_or(f64::is_finite));
            assert!(!serde_json::to_string(&report).expect("written").is_empty());
            assert!(report.to_string().contains("recording"));
        }
        Err(Unreadable::File(error)) => panic!("a file that is there: {error}"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
