//! Freezes, as a viewer's slot counts them.

use loadtest::measure::Measures;
use loadtest::reception::{Arrival, Reception};
use loadtest::stamp::Stamp;
use std::time::{Duration, Instant};

#[test]
fn a_freeze_counts_while_it_lasts_and_once() {
    let began = Instant::now();
    let at = |ms: u64| began + Duration::from_millis(ms);
    let (mut slot, mut measures) = (Reception::new(7, Some(0), began, 0), Measures::default());
    let frame = |slot: &mut Reception, measures: &mut Measures, number: u16, ms: u64| {
        let time = 3000 * u32::from(number);
        let arrival = Arrival { at: at(ms), unix: 1000 * ms, sequence: number, time, marker: true };
        let stamp = Stamp { camera: 0, frame: number.into(), rank: 0, is_key: number == 0, sent: 1000 * ms };
        slot.receive(&arrival, Some(stamp), measures);
    };
    frame(&mut slot, &mut measures, 0, 0);
    frame(&mut slot, &mut measures, 1, 40);
    slot.report(at(200), &mut measures);
    assert_eq!((measures.freezes, measures.frozen_us), (0, 0), "200 ms are none");
    for (seconds, frozen) in [(1, 960_000), (2, 1_960_000)] {
        slot.report(at(1000 * seconds), &mut measures);
        assert_eq!((measures.freezes, measures.frozen_us), (1, frozen), "nobody knows whether it ends");
    }
    frame(&mut slot, &mut measures, 2, 2540);
    frame(&mut slot, &mut measures, 3, 2580);
    slot.report(at(2600), &mut measures);
    assert_eq!((measures.freezes, measures.frozen_us), (1, 2_500_000));
    frame(&mut slot, &mut measures, 4, 3000);
    assert_eq!((measures.freezes, measures.frozen_us), (2, 2_920_000));
}
