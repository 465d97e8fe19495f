//! What slots get of a network.

use proptest::prelude::*;
use sfu_core::Layer;
use sfu_core::allocation::{Allocation, Allotted, Candidate, Demand, Version, allocate};

const L: u64 = 500_000;
const H: u64 = 2_000_000;

fn whole(rank: u8) -> Version {
    Version { rank, up_to: Layer::TOP }
}

fn up_to(rank: u8) -> Allotted {
    Allotted::UpTo(whole(rank))
}

fn demand(priority: u8, shown: Option<u8>) -> Demand {
    let candidates = [(0, L), (2, H)].map(|(rank, rate)| Candidate { version: whole(rank), rate });
    Demand { priority, candidates: candidates.into_iter().collect(), shown: shown.map(whole) }
}

/// Nine slots, the fifth of which is watched in the first place.
fn wall(shown: Option<u8>) -> Vec<Demand> {
    (0..9).map(|n| demand(u8::from(n == 4), shown)).collect()
}

#[test]
fn the_slot_in_the_first_place_gets_the_large_picture_and_the_others_the_small_one() {
    let large = |rate: u64| {
        let slots = allocate(rate, rate, 0, true, &wall(Some(0))).slots;
        assert!(slots.iter().all(|slot| *slot == up_to(0) || *slot == up_to(2)));
        (0..9).filter(|n| slots[*n] == up_to(2)).collect::<Vec<_>>()
    };
    assert_eq!(large(7_700_000), [4], "7.5 Mbit/s for two of them leave no margin");
    assert_eq!(large(8_000_000), [0, 4]);
    assert!(large(6_200_000).is_empty());
    assert_eq!(
        allocate(7_700_000, 7_700_000, 0, true, &wall(Some(0))).goal,
        Some((7_500_000.0 * 1.1) as u64),
        "one more"
    );
}

#[test]
fn what_plays_goes_on_up_to_what_is_kept() {
    let playing = |rate, kept, shown| {
        let slots = allocate(rate, kept, 0, true, &wall(shown)).slots;
        slots.iter().filter(|slot| **slot == up_to(0)).count()
    };
    assert_eq!(playing(3_000_000, 4_500_000, Some(0)), 9);
    assert_eq!(playing(3_000_000, 4_000_000, Some(0)), 8);
    assert_eq!(playing(3_000_000, 4_500_000, None), 5, "nothing begins");
}

#[test]
fn slots_pause_where_not_even_small_pictures_fit_the_last_ones_first() {
    let narrow = allocate(1_200_000, 1_200_000, 80_000, true, &wall(Some(0)));
    let moving: Vec<usize> = (0..9).filter(|n| narrow.slots[*n] != Allotted::Paused).collect();
    assert_eq!(moving, [0, 4], "the first one in order, and the one with priority");
    assert_eq!(narrow.goal, Some((1_580_000.0 * 1.1) as u64));
    assert!(allocate(1_200_000, 1_200_000, 0, false, &wall(None)).slots.iter().all(|slot| *slot == up_to(0)));
    let nothing = allocate(1, 1, 80_000, true, &wall(Some(0)));
    assert_eq!(nothing.slots[4], up_to(0), "one picture is always tried");
    assert_eq!(nothing.slots.iter().filter(|slot| **slot == Allotted::Paused).count(), 8);
}

#[test]
fn what_is_shown_stays_where_it_would_not_begin() {
    let rate = 2_050_000;
    assert_eq!(allocate(rate, rate, 0, true, &[demand(0, Some(2))]).slots[0], up_to(2));
    assert_eq!(allocate(rate, rate, 0, true, &[demand(0, Some(0))]).slots[0], up_to(0));
    assert_eq!(allocate(H * 21 / 20, 0, 0, true, &[demand(0, Some(0))]).slots[0], up_to(2));
}

#[test]
fn no_slot_keeps_a_larger_picture_while_one_before_it_waits_for_its_own() {
    let demands = [demand(0, Some(2)), demand(1, Some(0))];
    let slots = allocate(2_550_000, 2_550_000, 0, true, &demands).slots;
    assert_eq!(slots[..], [up_to(0), up_to(0)], "a margin is missing for the second one");
    assert_eq!(allocate(2_700_000, 2_700_000, 0, true, &demands).slots[..], [up_to(0), up_to(2)]);
}

#[test]
fn a_slot_without_a_picture_takes_nothing() {
    let mut demands = wall(Some(0));
    demands[4].candidates.clear();
    let divided = allocate(4_000_000, 4_000_000, 0, true, &demands);
    assert!(divided.slots.iter().all(|slot| matches!(slot, Allotted::UpTo(_))));
    assert_eq!(allocate(4_000_000, 4_000_000, 0, true, &[]).goal, None);
}

/// A small and a large picture, whole and thinned.
fn thinnable(priority: u8, shown: Option<Version>) -> Demand {
    let thin = |rank| Version { rank, up_to: Layer::BASE };
    let candidates = [(thin(0), L * 3 / 5), (whole(0), L), (thin(2), H * 3 / 5), (whole(2), H)];
    let candidates = candidates.map(|(version, rate)| Candidate { version, rate }).into_iter().collect();
    Demand { priority, candidates, shown }
}

#[test]
fn a_large_picture_is_thinned_before_it_makes_place_for_a_small_one() {
    let thin = Version { rank: 2, up_to: Layer::BASE };
    let given = |rate: u64, shown: Option<Version>| {
        let Allocation { slots, goal, .. } = allocate(rate, rate, 0, true, &[thinnable(0, shown)]);
        (slots[0], goal)
    };
    let goal_of = |rate: u64| Some((rate as f64 * 1.1) as u64);
    assert_eq!(given(H * 7 / 10, Some(whole(2))), (Allotted::UpTo(thin), goal_of(H)));
    assert_eq!(given(1_200_000, Some(whole(2))), (Allotted::UpTo(thin), goal_of(H)), "it stays while it fits");
    assert_eq!(given(1_200_000, Some(whole(0))), (up_to(0), goal_of(1_200_000)), "and begins with a margin");
    assert_eq!(given(H, Some(thin)), (Allotted::UpTo(thin), goal_of(H)), "as what is whole does");
    assert_eq!(given(2_100_000, Some(thin)), (up_to(2), None));
}

#[test]
fn small_pictures_are_thinned_before_any_pauses_and_whole_before_any_is_large() {
    let wall: Vec<Demand> = (0..9).map(|n| thinnable(u8::from(n == 4), Some(whole(0)))).collect();
    let given = |rate: u64| allocate(rate, rate, 0, true, &wall).slots;
    let thin = |rank| Allotted::UpTo(Version { rank, up_to: Layer::BASE });
    assert!(given(2_900_000).iter().all(|slot| *slot == thin(0) || *slot == up_to(0)));
    assert_eq!(given(2_900_000)[4], up_to(0), "the first is whole");
    assert!(given(2_000_000).contains(&Allotted::Paused));
    assert_eq!(given(2_000_000)[4], thin(0));
    assert!(given(5_100_000).iter().all(|slot| *slot == up_to(0)));
    assert_eq!(given(5_500_000)[4], thin(2));
}

/// Two of each rank, the first of them thinned.
fn version(number: u8) -> Version {
    Version { rank: number / 2, up_to: if number.is_multiple_of(2) { Layer::BASE } else { Layer::TOP } }
}

fn any_demand() -> impl Strategy<Value = Demand> {
    let rates = proptest::collection::vec(50_000u64..4_000_000, 0..=6);
    (0u8..3, rates, proptest::option::of(0u8..6)).prop_map(|(priority, mut rates, shown)| {
        rates.sort_unstable();
        let candidates =
            rates.into_iter().enumerate().map(|(rank, rate)| Candidate { version: version(rank as u8), rate });
        Demand { priority, candidates: candidates.collect(), shown: shown.map(version) }
    })
}

fn given(demand: &Demand, allotted: Allotted) -> u64 {
    let Allotted::UpTo(most) = allotted else { return 0 };
    demand.candidates.iter().rfind(|c| c.version <= most).map_or(0, |c| c.rate)
}

proptest! {
    #[test]
    fn no_more_is_given_than_there_is_but_for_the_first(
        rate in 0u64..20_000_000,
        sound in 0u64..200_000,
        demands in proptest::collection::vec(any_demand(), 0..9),
    ) {
        let divided = allocate(rate, rate, sound, true, &demands);
        let sums = demands.iter().zip(&divided.slots).map(|(demand, slot)| given(demand, *slot));
        let (count, total) = sums.filter(|sum| *sum > 0).fold((0, sound), |(n, sum), more| (n + 1, sum + more));
        prop_assert!(total <= rate || count <= 1, "{total} of {rate} in {count} slots");
        let is_short = divided.slots.contains(&Allotted::Paused);
        let has_larger = demands.iter().zip(&divided.slots).any(|(demand, slot)| {
            demand.candidates.first().is_some_and(|smallest| given(demand, *slot) > smallest.rate)
        });
        prop_assert!(!(is_short && has_larger), "a larger picture beside one that pauses");
        prop_assert!(divided.goal.is_none_or(|goal| goal as f64 > 1.05 * total as f64), "a goal that is nothing new");
    }
}
