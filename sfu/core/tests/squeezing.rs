//! A cached group of pictures shown in a stream that goes on: squeezed between the last frame and now.

use sfu_core::rewrite::Rewriter;

const FRAME: u32 = 3600;

/// A rewriter that has shown one packet at 1,000.
fn shown() -> Rewriter<char> {
    let mut rewriter = Rewriter::new(10);
    rewriter.start('a', 500, 1_000, 1_000, 0);
    rewriter.place(500, 1_000);
    rewriter
}

/// Timestamps of a GOP of `frames` from `first` on, shown `elapsed` after the last packet, and of the frame after it.
fn burst(first: u32, frames: u32, elapsed: u32) -> Vec<u32> {
    let mut rewriter = shown();
    let newest = first.wrapping_add((frames - 1) * FRAME);
    rewriter.start('b', 0, first, newest, elapsed);
    let place = |n: u32| rewriter.place(u64::from(n), first.wrapping_add(n * FRAME)).expect("shown").time;
    (0..=frames).map(place).collect()
}

#[test]
fn a_burst_ends_when_it_is_shown_and_live_goes_on_from_there() {
    // (first timestamp of the source, frames held, elapsed, when the newest is shown)
    for (first, frames, elapsed, end) in [
        (7, 100, 450, 1_001 + 99 * FRAME / 40), // no time has passed: some 1 ms a frame
        (7, 100, 90_000, 1_001 + 90_000),       // a second: the burst takes it
        (7, 10, 90_000, 1_000 + 90_000),        // longer than the burst: nothing to squeeze
        (u32::MAX - FRAME, 50, 9_000, 1_001 + 9_000), // the source's timestamps wrap meanwhile
        (7, 1, 4_500, 1_000 + 4_500),           // a keyframe alone
    ] {
        let times = burst(first, frames, elapsed);
        let held = frames as usize;
        assert_eq!(times[held - 1], end, "{frames} frames in {elapsed}");
        assert_eq!(times[held], end + FRAME, "live frames keep their distance");
        assert!(times[0] > 1_000, "after the last packet shown");
        assert!(times.windows(2).all(|pair| pair[1] > pair[0]), "{times:?}");
    }
}

#[test]
fn a_burst_without_squeezing_keeps_its_distances() {
    let times = burst(7, 10, 90_000);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == FRAME));
}

#[test]
fn a_retransmission_in_a_burst_has_the_timestamp_it_had() {
    let mut rewriter = shown();
    rewriter.start('b', 0, 7, 7 + 99 * FRAME, 450);
    for n in 0..120 {
        let time = 7 + n * FRAME;
        let place = rewriter.place(u64::from(n), time).expect("shown");
        let (source, index, times) = rewriter.resolve(place.sequence as u16).expect("remembered");
        assert_eq!((source, index, times.map(time)), ('b', u64::from(n), place.time));
    }
}

#[test]
fn reports_follow_the_live_frames_not_the_burst() {
    let mut rewriter = shown();
    let newest = 7 + 99 * FRAME;
    rewriter.start('b', 0, 7, newest, 450);
    let at = |time| rewriter.map_time(time).expect("a source");
    assert_eq!(at(newest + 90_000) - at(newest), 90_000);
}
