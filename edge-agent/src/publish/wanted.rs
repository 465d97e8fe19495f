//! What of a camera somebody wants to see or hear.

use protocol::Rid;
use std::collections::{BTreeMap, BTreeSet};

/// The encodings of a camera that somebody wants, and whether its sound is. An encoding that was not wanted for a
/// moment is sent anew, from its GOP's start, even if nobody looked in that moment: the node has forgotten what it had
/// of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    now: BTreeSet<Rid>,
    audio: bool,
    /// How often each began to be wanted.
    turns: BTreeMap<Rid, u64>,
}

impl Wanted {
    /// Replaces all of it. Whether it changed.
    pub fn replace(&mut self, encodings: impl IntoIterator<Item = Rid>, audio: bool) -> bool {
        let encodings: BTreeSet<Rid> = encodings.into_iter().collect();
        for rid in encodings.difference(&self.now) {
            *self.turns.entry(rid.clone()).or_default() += 1;
        }
        let is_news = encodings != self.now || audio != self.audio;
        (self.now, self.audio) = (encodings, audio);
        is_news
    }

    /// Those that are wanted now.
    pub fn encodings(&self) -> &BTreeSet<Rid> {
        &self.now
    }

    /// Whether the sound is wanted now.
    pub fn audio(&self) -> bool {
        self.audio
    }

    /// Which time it is that an encoding is wanted; `None` when it is not.
    pub(super) fn turn(&self, rid: &Rid) -> Option<u64> {
        self.now.contains(rid).then(|| self.turns.get(rid).copied().unwrap_or_default())
    }
}
