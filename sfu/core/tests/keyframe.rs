//! Requests for keyframes: many viewers ask, the publisher is asked once a second.

use sfu_core::keyframe::{Arbiter, INTERVAL};
use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
fn start() -> Instant {
    Instant::now()
}

const INSTANT: Duration = Duration::from_millis(1);

#[test]
fn the_first_request_is_passed_on_at_once() {
    assert!(Arbiter::default().request(start()));
}

#[test]
fn nothing_is_due_while_nobody_waits() {
    let now = start();
    let mut arbiter = Arbiter::default();
    assert!(!arbiter.due(now));
    arbiter.satisfied();
    assert!(!arbiter.due(now + 5 * INTERVAL));
}

#[test]
fn requests_within_the_interval_are_one_and_become_due_after_it() {
    let now = start();
    let mut arbiter = Arbiter::default();
    assert!(arbiter.request(now));
    for ms in [0, 1, 500, 999] {
        assert!(!arbiter.request(now + Duration::from_millis(ms)), "{ms}");
    }
    assert!(!arbiter.due(now + INTERVAL - INSTANT));
    assert!(arbiter.due(now + INTERVAL));
    assert!(!arbiter.due(now + INTERVAL), "asked just now");
}

#[test]
fn an_unanswered_request_is_repeated_each_interval() {
    let now = start();
    let mut arbiter = Arbiter::default();
    arbiter.request(now);
    let asked = (1..=10_000).filter(|ms| arbiter.due(now + Duration::from_millis(*ms))).count();
    assert_eq!(asked, 10);
}

#[test]
fn a_keyframe_ends_the_waiting_but_not_the_budget() {
    let now = start();
    let mut arbiter = Arbiter::default();
    arbiter.request(now);
    arbiter.satisfied();
    assert!(!arbiter.due(now + 2 * INTERVAL));
    assert!(arbiter.request(now + 2 * INTERVAL));
    arbiter.satisfied();
    assert!(!arbiter.request(now + 2 * INTERVAL + INSTANT));
    assert!(arbiter.due(now + 3 * INTERVAL));
}

#[test]
fn a_clock_that_stands_behind_does_not_ask() {
    let now = start() + INTERVAL;
    let mut arbiter = Arbiter::default();
    assert!(arbiter.request(now));
    assert!(!arbiter.request(now - INTERVAL));
}
