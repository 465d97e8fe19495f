//! `edge-agent check FILE`: files that begin as a byte stream, MP4 or Matroska. Where a demuxer of others panics, the
//! file has to be called damaged; our own code may not panic.
#![no_main]

use edge_agent::check::{Unreadable, check};
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::panic::PanicHookInfo;
use std::sync::LazyLock;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder for files"));
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

fuzz_target!(init: forgive_demuxers(), |data: &[u8]| {
    let path = FOLDER.path().join("recording");
    fs::write(&path, data).expect("a file in memory or on disk");
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

/// A panic ends the run, but not in a demuxer: `check` catches it.
fn forgive_demuxers() {
    let ends_the_run = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        let is_theirs = info.location().is_some_and(|at| {
            ["/re_mp4-", "/matroska-demuxer-"].iter().any(|name| at.file().contains(name))
        });
        if !is_theirs {
            ends_the_run(info);
        }
    }));
}
