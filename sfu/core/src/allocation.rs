//! Which encoding each slot of a viewer gets of what its network carries.
//!
//! Sound first, then the smallest encoding of each slot, then larger ones; in the order of the slots' priorities, and of
//! what they wish. Where not even the smallest ones fit, slots pause, the last in that order first; the first of all never
//! does.
//!
//! Invariants: what is shown already stays while it fits; what is not begins only with a margin; nobody gets a larger
//! encoding while another slot pauses.

use smallvec::SmallVec;
use std::cmp::Reverse;

/// What is not shown yet has to fit so many times, so that it stays when the rate varies.
const MARGIN: f64 = 1.05;
/// A probe is to show that so many times what is missing is carried.
const PROBE_MARGIN: f64 = 1.1;

/// An encoding that a slot may be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// By size of picture.
    pub rank: u8,
    /// What it takes, in bit/s.
    pub rate: u64,
}

/// What a slot wishes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Demand {
    /// Those with more of it come first.
    pub priority: u8,
    /// What it may be shown, by rank; nothing where its camera sends nothing.
    pub candidates: SmallVec<[Candidate; 3]>,
    /// The rank that it is shown.
    pub shown: Option<u8>,
}

/// What a slot gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allotted {
    /// Nothing, for now.
    Paused,
    /// Encodings up to this rank.
    UpTo(u8),
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
    let largest = |demand: &Demand| demand.candidates.last().map(|c| c.rank);
    order.sort_by_key(|at| (Reverse(demands[*at].priority), Reverse(largest(&demands[*at])), *at));

    let mut slots = SmallVec::from_elem(Allotted::UpTo(u8::MAX), demands.len());
    let fits = |total: u64, is_shown: bool| total as f64 * if is_shown { 1.0 } else { MARGIN } <= rate as f64;
    let mut total = sound;
    let mut missing = None;
    for (turn, at) in order.iter().enumerate() {
        let smallest = demands[*at].candidates[0];
        let with = total + smallest.rate;
        let is_kept = demands[*at].shown.is_some() && with <= kept;
        if turn == 0 || !may_pause || is_kept || fits(with, false) {
            slots[*at] = Allotted::UpTo(smallest.rank);
            total = with;
        } else {
            slots[*at] = Allotted::Paused;
            missing.get_or_insert(smallest.rate);
        }
    }
    if missing.is_none() {
        let mut denied = None;
        for at in &order {
            let Demand { candidates, shown, priority } = &demands[*at];
            // Nobody has a larger picture while somebody before it waits for one.
            if denied.is_some_and(|before| *priority < before) {
                continue;
            }
            let given = candidates[0].rate;
            let larger = candidates[1..].iter().rev();
            let without = total - given;
            let best = larger.clone().find(|c| fits(without + c.rate, shown.is_some_and(|rank| rank >= c.rank)));
            let best = best.unwrap_or(&candidates[0]);
            slots[*at] = Allotted::UpTo(best.rank);
            total = without + best.rate;
            let next = candidates.iter().find(|c| c.rank > best.rank);
            denied = denied.or(next.map(|_| *priority));
            missing = missing.or(next.map(|next| next.rate.saturating_sub(best.rate)));
        }
    }
    // One picture is tried in any case: whether it fits has to be seen as well.
    let missing = if total > rate { Some(0) } else { missing };
    let goal = missing.map(|more| ((total + more) as f64 * PROBE_MARGIN) as u64);
    Allocation { slots, total, goal }
}
