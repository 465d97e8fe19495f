//! Waits grow to their longest, are never longer, and begin anew after success.

use edge_agent::backoff::Backoff;
use std::time::Duration;

#[test]
fn waits_double_to_the_longest_and_start_anew_after_success() {
    let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(30));
    for step in [2, 4, 8, 16, 30, 30] {
        let (wait, step) = (backoff.wait(), Duration::from_secs(step));
        assert!((step.mul_f64(0.75)..=step).contains(&wait), "{wait:?} of {step:?}");
    }
    backoff.reset();
    assert!(backoff.wait() <= Duration::from_secs(2));
}
