//! What this machine did to the stream and to the node while it was watched: when the publisher's frames left, and how
//! long the node's thread stood ready while the kernel ran others. Neither is the node's doing.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const EVERY: Duration = Duration::from_millis(5);

static BEATS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// Nanoseconds since the Unix epoch, as the kernel stamps packets.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_nanos() as u64)
}

/// The publisher is about to send a frame.
pub(crate) fn beat() {
    BEATS.lock().unwrap_or_else(PoisonError::into_inner).push(now());
}

pub(crate) struct Pulse {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(u64, u64)>>,
}

/// What was seen, by time.
pub(crate) struct Seen {
    beats: Vec<u64>,
    /// Time, and how long the node's thread had waited for a processor by then.
    waited: Vec<(u64, u64)>,
}

impl Pulse {
    /// Begins to watch the media thread of a node's process.
    pub(crate) fn start(pid: u32) -> Self {
        let path = media_thread(pid).expect("a thread named shard-0");
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let waited = text.split(' ').nth(1).and_then(|n| n.parse().ok());
                seen.extend(waited.map(|waited| (now(), waited)));
                std::thread::sleep(EVERY);
            }
            seen
        });
        Self { is_over, thread }
    }

    pub(crate) fn stop(self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        let beats = std::mem::take(&mut *BEATS.lock().unwrap_or_else(PoisonError::into_inner));
        Seen { beats, waited: self.thread.join().unwrap_or_default() }
    }
}

impl Seen {
    /// How much later than due the frames were that were to leave between two times.
    pub(crate) fn publisher_late(&self, from: u64, to: u64) -> Duration {
        let pairs = self.beats.windows(2).filter(|pair| pair[1] > from && pair[0] < to);
        let longest = pairs.map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
        Duration::from_nanos(longest).saturating_sub(crate::FRAME_TIME)
    }

    /// How long the node was kept from running between two times.
    pub(crate) fn node_waited(&self, from: u64, to: u64) -> Duration {
        let at = |time: u64| self.waited.partition_point(|(t, _)| *t < time);
        let before = self.waited.get(at(from).saturating_sub(1)).map_or(0, |w| w.1);
        let after = self.waited.get(at(to)).or(self.waited.last()).map_or(0, |w| w.1);
        Duration::from_nanos(after.saturating_sub(before)).min(Duration::from_nanos(to - from))
    }
}

/// Where the kernel tells how long a node's media thread ran and waited (`sched-stats.rst`).
fn media_thread(pid: u32) -> Option<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut paths = tasks.filter_map(|task| Some(task.ok()?.path().display().to_string()));
    let path =
        paths.find(|path| fs::read_to_string(format!("{path}/comm")).is_ok_and(|name| name.trim() == "shard-0"))?;
    Some(format!("{path}/schedstat"))
}
