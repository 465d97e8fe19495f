//! A viewer: what it is to be shown, what it is shown now, and its stream.

use crate::fanout::Outbound;
use crate::rewrite::Rewriter;
use crate::sdp::ViewerMedia;
use crate::types::{CameraKey, Rid};
use std::time::{Duration, Instant};

/// Retransmissions that a viewer may ask for in a second, in packets.
const RTX_PER_SECOND: u32 = 2000;
/// The shortest time between two cached GOPs that a viewer gets because it lost the picture.
const REJOIN_INTERVAL: Duration = Duration::from_secs(2);

/// How the viewer is fed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Feed {
    /// Its connection is not up, or nothing is published that it could be shown.
    Idle,
    /// Waits for a keyframe of the encoding it is to be shown.
    AwaitingKeyframe,
    /// Gets the cached GOP, this index next.
    CatchingUp {
        /// Index in the encoding's ring.
        next: u64,
    },
    /// Gets every packet as it comes.
    Live,
}

/// See the module.
pub(crate) struct Viewer {
    pub(crate) camera: CameraKey,
    /// The largest encoding it may be shown.
    pub(crate) max: Rid,
    pub(crate) media: ViewerMedia,
    /// Slot of the encoding that it watches.
    pub(crate) watching: Option<usize>,
    pub(crate) feed: Feed,
    pub(crate) rewriter: Rewriter<usize>,
    /// Once connected.
    pub(crate) out: Option<Outbound>,
    pub(crate) last_sent: Option<Instant>,
    pub(crate) reported_at: Option<Instant>,
    rejoined: Option<Instant>,
    rtx: Allowance,
}

impl Viewer {
    pub(crate) fn new(camera: CameraKey, max: Rid, media: ViewerMedia, first_sequence: u16) -> Self {
        Self {
            camera,
            max,
            media,
            watching: None,
            feed: Feed::Idle,
            rewriter: Rewriter::new(first_sequence),
            out: None,
            last_sent: None,
            reported_at: None,
            rejoined: None,
            rtx: Allowance { left: RTX_PER_SECOND, since: None },
        }
    }

    /// Begins to show `encoding` from the packet (`index`, `time`) on.
    pub(crate) fn start(&mut self, now: Instant, encoding: usize, index: u64, time: u32) {
        let idle = self.last_sent.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let ticks = (idle.as_micros() * 9 / 100) as u32;
        self.rewriter.start(encoding, index, time, ticks);
    }

    /// Whether it may get the cached GOP again.
    pub(crate) fn may_rejoin(&mut self, now: Instant) -> bool {
        let may = self.rejoined.is_none_or(|at| now >= at + REJOIN_INTERVAL);
        if may {
            self.rejoined = Some(now);
        }
        may
    }

    /// Whether one more retransmission is within its allowance.
    pub(crate) fn may_retransmit(&mut self, now: Instant) -> bool {
        self.rtx.take(now)
    }
}

/// So many a second.
struct Allowance {
    left: u32,
    since: Option<Instant>,
}

impl Allowance {
    fn take(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|at| now.saturating_duration_since(at) >= Duration::from_secs(1)) {
            self.since = Some(now);
            self.left = RTX_PER_SECOND;
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}
