//! What of a camera is sent: what is wanted, as far as the uplink carries it.

use super::Wanted;
use protocol::Rid;
use std::collections::{BTreeMap, BTreeSet};

/// The encodings of a camera that are sent, and whether its sound is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sending {
    wanted: Wanted,
    /// With how often each began to be sent.
    sent: BTreeMap<Rid, u64>,
    /// Those that began beside a smaller one, on an uplink that has a limit.
    steps: BTreeSet<Rid>,
    begun: u64,
}

impl Sending {
    /// Replaces all of it: of what is `wanted`, or in its place, these encodings are sent, small to large. Whether it
    /// changed.
    pub fn update(&mut self, wanted: &Wanted, sent: &[Rid], is_limited: bool) -> bool {
        let mut next = Self { wanted: wanted.clone(), ..Self::default() };
        next.begun = self.begun;
        for (place, rid) in sent.iter().enumerate() {
            // One that was not wanted for a moment is sent anew; one that stood in for another goes on.
            let was_lost = self.wanted.turn(rid).is_some() && self.wanted.turn(rid) != wanted.turn(rid);
            let goes_on = self.sent.get(rid).filter(|_| wanted.turn(rid).is_none() || !was_lost);
            let turn = goes_on.copied().unwrap_or_else(|| {
                next.begun += 1;
                next.begun
            });
            let has_smaller = sent[..place].iter().any(|smaller| self.sent.contains_key(smaller));
            let is_step = if goes_on.is_some() { self.steps.contains(rid) } else { is_limited && has_smaller };
            if is_step {
                next.steps.insert(rid.clone());
            }
            next.sent.insert(rid.clone(), turn);
        }
        let is_news = *self != next;
        *self = next;
        is_news
    }

    /// Whether the sound is wanted now.
    pub fn audio(&self) -> bool {
        self.wanted.audio()
    }

    /// Which time it is that an encoding is sent; `None` when it is not.
    pub(crate) fn turn(&self, rid: &Rid) -> Option<u64> {
        self.sent.get(rid).copied()
    }

    /// Whether an encoding is wanted, and the uplink does not carry it.
    pub(super) fn is_held(&self, rid: &Rid) -> bool {
        self.wanted.encodings().contains(rid) && !self.sent.contains_key(rid)
    }

    /// Whether an encoding is a step up from another one: it begins with a keyframe of the moment, not with what is cached.
    pub(super) fn is_step(&self, rid: &Rid) -> bool {
        self.steps.contains(rid)
    }

    /// What is wanted, and the uplink does not carry.
    pub(crate) fn held(&self) -> BTreeSet<Rid> {
        self.wanted.encodings().iter().filter(|rid| !self.sent.contains_key(*rid)).cloned().collect()
    }
}
