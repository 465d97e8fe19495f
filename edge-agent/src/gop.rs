//! The current group of pictures of one stream.
//!
//! Invariant: it is empty or starts with a keyframe, has no gap, and is never larger than its bound; one that would
//! grow larger is dropped, and the next keyframe starts anew.

use crate::h264::AccessUnit;
use std::sync::Arc;

/// Most bytes of NAL units that are kept for one stream.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The access units since the last keyframe.
#[derive(Debug)]
pub struct Gop {
    units: Vec<Arc<AccessUnit>>,
    bytes: usize,
    max_bytes: usize,
}

impl Gop {
    /// An empty one that keeps at most `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Self { units: Vec::new(), bytes: 0, max_bytes }
    }

    /// Takes the stream's next access unit.
    pub fn push(&mut self, unit: Arc<AccessUnit>) {
        if unit.is_keyframe {
            self.clear();
        } else if self.units.is_empty() {
            return;
        }
        self.bytes += unit.len();
        self.units.push(unit);
        if self.bytes > self.max_bytes {
            self.clear();
        }
    }

    /// Forgets everything, as when the stream has broken off.
    pub fn clear(&mut self) {
        self.units.clear();
        self.bytes = 0;
    }

    /// What is kept, oldest first.
    pub fn units(&self) -> &[Arc<AccessUnit>] {
        &self.units
    }

    /// Bytes of NAL units kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
