//! Which encoding each slot of a viewer gets of what its network carries.
//!
//! Sound first, then the smallest encoding of each slot, then larger ones; in the order of the slots' priorities, and of
//! what they wish. Where not even the smallest ones fit, slots pause, the last in that order first; the first of all never
//! does. An encoding that can do without some frames is thinned before it makes place for a smaller one: who did what is
//! seen by the size of the picture.
//!
//! Invariants: what is shown already stays while it fits; what is not begins only with a margin; nobody gets a larger
//! encoding while another slot pauses, or has its smallest one thinned.

use crate::Layer;
use smallvec::SmallVec;
use std::cmp::Reverse;

/// What is not shown yet has to fit so many times, so that it stays when the rate varies.
const MARGIN: f64 = 1.05;
/// A probe is to show that so many times what is missing is carried.
const PROBE_MARGIN: f64 = 1.1;

/// What a slot may be shown of a camera, by its use: size counts more than frame rate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version {
    /// Which encoding, by size of picture.
    pub rank: u8,
    /// Its temporal layers.
    pub up_to: Layer,
}

impl Version {
    /// The largest there may be, whole.
    pub const BEST: Self = Self { rank: u8::MAX, up_to: Layer::TOP };
}

/// A version of a camera's picture that there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Which.
    pub version: Version,
    /// What it takes, in bit/s.
    pub rate: u64,
}

/// What a slot wishes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Demand {
    /// Those with more of it come first.
    pub priority: u8,
    /// What it may be shown, in order; nothing where its camera sends nothing.
    pub candidates: SmallVec<[Candidate; 4]>,
    /// The version that it is shown.
    pub shown: Option<Version>,
}

/// What a slot gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allotted {
    /// Nothing, for now.
    Paused,
    /// Encodings up to this version.
    UpTo(Version),
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allocation {
    /// By the demands.
    pub slots: SmallVec<[Allotted; 9]>,
    /// What is given takes, in bit/s.
    pub total: u64,
    /// What would have to be carried, in bit/s, before more is given; `None` when nobody wishes more.
    pub goal: Option<u64>,
}

/// Divides `rate` bit/s between the slots. The smallest encodings of those that play go on up to `kept` bit/s; where not
/// `may_pause`, they are given in any case.
pub fn allocate(rate: u64, kept: u64, sound: u64, may_pause: bool, demands: &[Demand]) -> Allocation {
    let mut order: SmallVec<[usize; 9]> = (0..demands.len()).filter(|at| !demands[*at].candidates.is_empty()).collect();
    let largest = |demand: &Demand| demand.candidates.last().map(|c| c.version.rank);
    order.sort_by_key(|at| (Reverse(demands[*at].priority), Reverse(largest(&demands[*at])), *at));

    let slots = SmallVec::from_elem(Allotted::UpTo(Version::BEST), demands.len());
    let mut division = Division { rate, demands, order, slots, total: sound, missing: None };
    division.give_smallest(kept, may_pause);
    for is_larger in [false, true] {
        if division.missing.is_none() {
            division.give_better(is_larger);
        }
    }
    let Division { slots, total, missing, .. } = division;
    // One picture is tried in any case: whether it fits has to be seen as well.
    let missing = if total > rate { Some(0) } else { missing };
    let goal = missing.map(|more| ((total + more) as f64 * PROBE_MARGIN) as u64);
    Allocation { slots, total, goal }
}

/// As far as it has come.
struct Division<'a> {
    rate: u64,
    demands: &'a [Demand],
    /// Those that may be shown something, who comes first first.
    order: SmallVec<[usize; 9]>,
    slots: SmallVec<[Allotted; 9]>,
    total: u64,
    /// What the first whose wish is not met lacks, in bit/s.
    missing: Option<u64>,
}

impl Division<'_> {
    fn fits(&self, total: u64, is_shown: bool) -> bool {
        total as f64 * if is_shown { 1.0 } else { MARGIN } <= self.rate as f64
    }

    /// What takes least, to each slot; those that are left over pause.
    fn give_smallest(&mut self, kept: u64, may_pause: bool) {
        for (turn, at) in self.order.clone().into_iter().enumerate() {
            let Demand { candidates, shown, .. } = &self.demands[at];
            let with = self.total + candidates[0].rate;
            let is_kept = shown.is_some() && with <= kept;
            if turn == 0 || !may_pause || is_kept || self.fits(with, false) {
                self.slots[at] = Allotted::UpTo(candidates[0].version);
                self.total = with;
            } else {
                self.slots[at] = Allotted::Paused;
                self.missing.get_or_insert(candidates[0].rate);
            }
        }
    }

    /// Better versions in place of those given, whether or not they are of a larger encoding.
    fn give_better(&mut self, is_larger: bool) {
        let mut denied = None;
        for at in self.order.clone() {
            let Demand { candidates, shown, priority } = &self.demands[at];
            // Nobody has a better picture while somebody before it waits for one.
            if denied.is_some_and(|before| *priority < before) {
                continue;
            }
            let is_given = |c: &&Candidate| self.slots[at] == Allotted::UpTo(c.version);
            let Some(given) = candidates.iter().find(is_given) else { continue };
            let smallest = candidates[0].version.rank;
            let better =
                candidates.iter().filter(|c| c.version > given.version && (is_larger || c.version.rank == smallest));
            let without = self.total - given.rate;
            let is_shown = |version: Version| shown.is_some_and(|shown| shown >= version);
            let best = better.clone().rfind(|c| self.fits(without + c.rate, is_shown(c.version))).unwrap_or(given);
            let next = better.clone().find(|c| c.version > best.version);
            self.slots[at] = Allotted::UpTo(best.version);
            self.total = without + best.rate;
            denied = denied.or(next.map(|_| *priority));
            self.missing = self.missing.or(next.map(|next| next.rate.saturating_sub(best.rate)));
        }
    }
}
