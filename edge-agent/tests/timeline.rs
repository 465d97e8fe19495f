//! A camera's clock may do what it likes: ours goes on.

use edge_agent::timeline::Timeline;
use proptest::prelude::*;
use std::time::Duration;

const FRAME: u64 = 3600;

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn within_an_epoch_the_cameras_own_spacing_is_kept() {
    let mut timeline = Timeline::default();
    let first = timeline.ticks(u32::MAX - 1000, at(1000));
    assert_eq!(timeline.ticks((u32::MAX - 1000).wrapping_add(3600), at(1055)), first + FRAME, "jitter, and a wrap");
    assert_eq!(timeline.ticks((u32::MAX - 1000).wrapping_add(7200), at(1080)), first + 2 * FRAME);
}

#[test]
fn a_jump_by_an_hour_becomes_the_time_that_passed() {
    let mut timeline = Timeline::default();
    let first = timeline.ticks(5000, at(1000));
    assert_eq!(timeline.ticks(5000 + 3600 * 90_000, at(1040)), first + FRAME);
    assert_eq!(timeline.ticks(5000 + 3600 * 90_000 + 3600, at(1080)), first + 2 * FRAME, "the new epoch is followed");
}

#[test]
fn a_fall_to_zero_becomes_the_time_that_passed() {
    let mut timeline = Timeline::default();
    let first = timeline.ticks(900_000_000, at(1000));
    assert_eq!(timeline.ticks(0, at(1040)), first + FRAME);
    assert_eq!(timeline.ticks(3600, at(1080)), first + 2 * FRAME);
}

#[test]
fn a_new_connection_begins_an_epoch_even_if_its_clock_looks_plausible() {
    let mut timeline = Timeline::default();
    let first = timeline.ticks(1000, at(1000));
    timeline.end_epoch();
    assert_eq!(timeline.ticks(1000 + 90_000, at(3000)), first + 180_000);
}

#[test]
fn capture_time_has_no_jitter_and_is_never_after_arrival() {
    let mut timeline = Timeline::default();
    let mut captured = Vec::new();
    for i in 0..250u64 {
        let arrival = 1_000_000 + i * 40_000 + (i * 7919 % 13) * 1000;
        let ticks = timeline.ticks((i * FRAME) as u32, Duration::from_micros(arrival));
        let at = timeline.captured(ticks, arrival);
        assert!(at <= arrival);
        captured.push(at);
    }
    for pair in captured[50..].windows(2) {
        assert!((pair[1] - pair[0]).abs_diff(40_000) < 1000, "{pair:?}");
    }
}

proptest! {
    #[test]
    fn time_always_grows(steps in prop::collection::vec((any::<u32>(), 0u64..10_000, any::<bool>()), 1..100)) {
        let mut timeline = Timeline::default();
        let (mut last, mut arrival) = (None, 0);
        for (camera, passed, reconnected) in steps {
            arrival += passed;
            if reconnected {
                timeline.end_epoch();
            }
            let ticks = timeline.ticks(camera, at(arrival));
            prop_assert!(last.is_none_or(|l| ticks > l));
            last = Some(ticks);
        }
    }
}
