//! The in-process directory does what a directory has to do.

mod conformance;

use async_trait::async_trait;
use cluster::{Clock, Directory, InProcess};
use conformance::Subject;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

#[derive(Default)]
struct HandClock(Mutex<Duration>);

impl Clock for HandClock {
    fn elapsed(&self) -> Duration {
        *self.0.lock().expect("no test panics while it holds the clock")
    }
}

struct Embedded {
    clock: Arc<HandClock>,
    directory: Arc<InProcess>,
}

#[async_trait]
impl Subject for Embedded {
    fn directory(&self) -> Arc<dyn Directory> {
        Arc::clone(&self.directory) as Arc<dyn Directory>
    }

    async fn pass(&self, time: Duration) {
        *self.clock.0.lock().expect("no test panics while it holds the clock") += time;
    }
}

#[tokio::test]
async fn the_in_process_directory_conforms() {
    conformance::conforms(|| {
        let clock = Arc::new(HandClock::default());
        let directory = Arc::new(InProcess::with_clock(Arc::clone(&clock) as Arc<dyn Clock>));
        Embedded { clock, directory }
    })
    .await;
}
