//! The cached GOP is whole, starts with a keyframe and stays within its bound; a subscriber misses nothing.

use bytes::Bytes;
use edge_agent::{feed::Feed, gop::Gop, h264::AccessUnit};
use std::sync::Arc;

fn unit(ticks: u64, is_keyframe: bool, len: usize) -> AccessUnit {
    AccessUnit { nals: vec![Bytes::from(vec![0x41; len])], is_keyframe, ticks, captured_micros: 0 }
}

fn ticks(gop: &Gop) -> Vec<u64> {
    gop.units().iter().map(|u| u.ticks).collect()
}

#[test]
fn it_starts_anew_with_each_keyframe() {
    let mut gop = Gop::new(1000);
    for (at, key) in [(0, false), (1, true), (2, false), (3, false)] {
        gop.push(Arc::new(unit(at, key, 10)));
    }
    assert_eq!(ticks(&gop), [1, 2, 3]);
    gop.push(Arc::new(unit(4, true, 10)));
    assert_eq!(ticks(&gop), [4]);
    assert_eq!(gop.bytes(), 10);
}

#[test]
fn one_that_outgrows_its_bound_is_dropped_until_the_next_keyframe() {
    let mut gop = Gop::new(100);
    gop.push(Arc::new(unit(0, true, 60)));
    gop.push(Arc::new(unit(1, false, 60)));
    gop.push(Arc::new(unit(2, false, 10)));
    assert_eq!((ticks(&gop), gop.bytes()), (vec![], 0));
    gop.push(Arc::new(unit(3, true, 60)));
    assert_eq!(ticks(&gop), [3]);
}

#[tokio::test]
async fn a_subscriber_gets_the_cached_gop_and_then_live_frames() {
    let feed = Feed::default();
    (0..5).for_each(|i| feed.push(unit(i, i == 0, 10)));
    let mut subscription = feed.subscribe();
    (5..8).for_each(|i| feed.push(unit(i, i == 6, 10)));
    for expected in 0..8 {
        let unit = subscription.next().await.expect("not behind").expect("not ended");
        assert_eq!(unit.ticks, expected);
    }
}

#[tokio::test]
async fn without_a_cached_gop_a_subscriber_starts_with_the_next_keyframe() {
    let feed = Feed::default();
    feed.push(unit(0, true, 10));
    feed.reset();
    let mut subscription = feed.subscribe();
    (1..5).for_each(|i| feed.push(unit(i, i == 3, 10)));
    let first = subscription.next().await.expect("not behind").expect("not ended");
    assert_eq!(first.ticks, 3);
}
