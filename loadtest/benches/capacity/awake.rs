//! Keeps the server's core from halting.
//!
//! A virtual core that has nothing to do is given away by the hypervisor, and comes back with cold caches. That counts as
//! CPU time of the thread that wakes up: the more for each packet, the fewer viewers there are and the longer the core is
//! idle. A loop of the idle class (sched(7)), which every other thread displaces at once, keeps the core.

use crate::support::SERVER_CORE;
use anyhow::Context;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// The argument with which this program is that loop.
pub(crate) const LOOP: &str = "awake";
/// It ends by itself.
const LONGEST: Duration = Duration::from_secs(300);

/// Until this is dropped.
pub(crate) struct Awake(Child);

impl Awake {
    pub(crate) fn keep() -> anyhow::Result<Self> {
        let core = SERVER_CORE.to_string();
        let mut idle = Command::new("chrt");
        idle.args(["--idle", "0", "taskset", "--cpu-list", &core]).arg(std::env::current_exe()?).arg(LOOP);
        idle.spawn().map(Self).context("chrt and taskset, of util-linux, are needed")
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        // It has no children, and one that has ended by itself is no error.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The loop.
pub(crate) fn stay() {
    let begun = Instant::now();
    while begun.elapsed() < LONGEST {
        std::hint::spin_loop();
    }
}
