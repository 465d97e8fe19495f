//! What is measured adds up, and survives being written down.

use loadtest::measure::{Measures, Spread};
use serde_json::{Value, json};
use std::time::Duration;

fn spread(values: &[u64]) -> Spread {
    let mut spread = Spread::default();
    values.iter().for_each(|value| spread.record(*value));
    spread
}

/// Measures with every counter 1, every spread with one value and one failure, whatever fields there are.
fn ones() -> Measures {
    let Value::Object(mut fields) = serde_json::to_value(Measures::default()).expect("plain data") else {
        panic!("measures are an object")
    };
    for value in fields.values_mut() {
        *value = match value {
            Value::Number(_) => json!(1),
            Value::String(_) => serde_json::to_value(spread(&[7])).expect("a histogram"),
            Value::Object(_) => json!({"a reason": 1}),
            other => panic!("what is added up of {other}?"),
        };
    }
    serde_json::from_value(Value::Object(fields)).expect("as it was written")
}

#[test]
fn adding_forgets_no_field() {
    let one = ones();
    let mut two = one.clone();
    two.add(&one);
    let Value::Object(fields) = serde_json::to_value(&two).expect("plain data") else { panic!("an object") };
    assert!(fields.len() > 20);
    for (name, value) in fields {
        let doubled = match value {
            Value::Number(number) => number.as_u64() == Some(2),
            Value::Object(reasons) => reasons["a reason"] == json!(2),
            text => serde_json::from_value::<Spread>(text).expect("a histogram").count() == 2,
        };
        assert!(doubled, "{name} is not added up");
    }
}

#[test]
fn histograms_survive_json() {
    let mut measures = ones();
    measures.transit = spread(&[1, 90, 1_000, 1_001, 123_456, 599_000_000]);
    measures.transit.record_time(Duration::from_secs(4000));
    measures.failed.insert("ICE: no answer".into(), 3);
    let text = serde_json::to_string(&measures).expect("plain data");
    let read: Measures = serde_json::from_str(&text).expect("as it was written");
    assert_eq!(read, measures);
    assert_eq!(read.transit.count(), 7);
    assert_eq!(read.transit.recorded().map(|(_, count)| count).sum::<u64>(), 7);
    for percent in [1.0, 50.0, 99.9, 100.0] {
        assert_eq!(read.transit.percentile(percent), measures.transit.percentile(percent));
    }
}

#[test]
fn a_histogram_that_is_none_is_refused() {
    for text in ["\"\"", "\"!\"", "\"AAAA\"", "7"] {
        assert!(serde_json::from_str::<Spread>(text).is_err(), "{text}");
    }
}

#[test]
fn nothing_measured_is_no_number() {
    let nothing = Measures::default();
    assert_eq!((nothing.transit.percentile(50.0), nothing.transit.mean()), (None, None));
    assert_eq!((nothing.loss_percent(), nothing.raw_loss_percent(), nothing.freeze_percent()), (0.0, 0.0, 0.0));
}

#[test]
fn percentages_are_of_what_was_to_be() {
    let measures =
        Measures { expected: 1000, lost: 30, repaired: 20, frozen_us: 5, watched_us: 200, ..Measures::default() };
    assert_eq!((measures.raw_loss_percent(), measures.loss_percent(), measures.freeze_percent()), (3.0, 1.0, 2.5));
}

#[test]
fn percentiles_are_within_a_thousandth() {
    let values: Vec<u64> = (1..=10_000).map(|n| n * 10).collect();
    let spread = spread(&values);
    for (percent, wanted) in [(50.0, 50_000.0), (99.0, 99_000.0), (99.9, 99_900.0), (100.0, 100_000.0)] {
        let found = spread.percentile(percent).expect("there are values") as f64;
        assert!((found - wanted).abs() <= wanted / 1000.0, "p{percent}: {found}");
    }
}
