//! A viewer's stream over changes of source: what a decoder sees is one stream without seams.

use proptest::prelude::*;
use sfu_core::rewrite::{Place, Rewriter};
use std::collections::BTreeMap;

const FRAME: u32 = 3600;

fn place(sequence: u64, time: u32) -> Option<Place> {
    Some(Place { sequence, time })
}

#[test]
fn nothing_is_placed_or_resolved_before_the_first_source() {
    let mut rewriter = Rewriter::<u8>::new(7);
    assert_eq!(rewriter.place(1, 1), None);
    assert_eq!(rewriter.resolve(7), None);
    assert_eq!(rewriter.resolve(6), None);
    assert_eq!(rewriter.map_time(1), None);
}

#[test]
fn the_first_source_keeps_its_timestamps() {
    let mut rewriter = Rewriter::new(100);
    rewriter.start('a', 65_536 + 9, 1_000_000, 1_000_000, 55_555);
    assert_eq!(rewriter.place(65_536 + 9, 1_000_000), place(100, 1_000_000));
    assert_eq!(rewriter.place(65_536 + 10, 1_000_000 + FRAME), place(101, 1_000_000 + FRAME));
    assert_eq!(rewriter.map_time(5), Some(5));
}

#[test]
fn a_first_sequence_number_leaves_room_before_the_first_roll_over() {
    for (given, first) in [(0, 0), (0x7fff, 0x7fff), (0x8000, 0), (0xffff, 0x7fff)] {
        let mut rewriter = Rewriter::new(given);
        rewriter.start('a', 0, 0, 0, 0);
        assert_eq!(rewriter.place(0, 0), place(first, 0), "{given:#x}");
    }
}

#[test]
fn a_switch_continues_numbers_and_time() {
    // Elapsed ticks, and by how much the timestamp goes on: never by nothing.
    for (elapsed, step) in [(0, 1), (1, 1), (FRAME, FRAME), (90_000, 90_000)] {
        let mut rewriter = Rewriter::new(10);
        rewriter.start('a', 500, 7_000, 7_000, 0);
        rewriter.place(500, 7_000);
        rewriter.place(501, 7_000 + FRAME);
        rewriter.start('b', 90, 4_000_000_000, 4_000_000_000, elapsed);
        assert_eq!(rewriter.place(90, 4_000_000_000), place(12, 7_000 + FRAME + step), "{elapsed}");
        assert_eq!(rewriter.place(91, 4_000_000_000 + FRAME), place(13, 7_000 + FRAME + step + FRAME), "{elapsed}");
        assert_eq!(rewriter.map_time(4_000_000_000), Some(7_000 + FRAME + step));
    }
}

#[test]
fn a_switch_continues_after_the_newest_packet_not_the_last_to_come() {
    let mut rewriter = Rewriter::new(10);
    rewriter.start('a', 500, 7_000, 7_000, 0);
    rewriter.place(500, 7_000);
    rewriter.place(502, 7_000 + 2 * FRAME);
    rewriter.place(501, 7_000 + FRAME);
    rewriter.start('b', 90, 0, 0, FRAME);
    assert_eq!(rewriter.place(90, 0), place(13, 7_000 + 3 * FRAME));
}

#[test]
fn numbers_and_times_wrap_around() {
    let mut rewriter = Rewriter::new(0x7fff);
    rewriter.start('a', 0, u32::MAX - 1, u32::MAX - 1, 0);
    assert_eq!(rewriter.place(0, u32::MAX - 1), place(0x7fff, u32::MAX - 1));
    assert_eq!(rewriter.place(0x8000, 1), place(0xffff, 1));
    assert_eq!(rewriter.place(0x8001, 1), place(0x1_0000, 1), "the roll-over is counted above bit 16");
    rewriter.start('b', 77, 5, 5, u32::MAX);
    assert_eq!(rewriter.place(77, 5), place(0x1_0001, 0), "1 and 2^32 - 1 make 0");
    assert_eq!(rewriter.place(78, 5 + FRAME), place(0x1_0002, FRAME));
}

#[test]
fn a_late_packet_fills_the_hole_it_left() {
    let mut rewriter = Rewriter::new(10);
    rewriter.start('a', 500, 0, 0, 0);
    assert_eq!(rewriter.place(500, 0), place(10, 0));
    assert_eq!(rewriter.place(503, 3), place(13, 3));
    assert_eq!(rewriter.place(501, 1), place(11, 1));
    assert_eq!(rewriter.place(504, 4), place(14, 4));
    assert_eq!(rewriter.place(502, 2), place(12, 2));
}

#[test]
fn a_packet_from_before_the_source_was_begun_has_no_place() {
    let mut rewriter = Rewriter::new(10);
    rewriter.start('a', 500, 0, 0, 0);
    rewriter.place(500, 0);
    assert_eq!(rewriter.place(499, 0), None);
    rewriter.start('b', 700, 0, 0, 1);
    assert_eq!(rewriter.place(699, 0), None);
    assert_eq!(rewriter.place(500, 0), None, "the source before counts no more");
    assert_eq!(rewriter.place(700, 0), place(11, 1));
}

/// Four segments over the roll-over: a at 0x7ff0, b, a again, c.
fn four_segments() -> Rewriter<char> {
    let mut rewriter = Rewriter::new(0x7ff0);
    rewriter.start('a', 1_000, 0, 0, 0);
    for index in 1_000..1_000 + 0x8000 {
        rewriter.place(index, 0);
    }
    rewriter.start('b', 5, 50, 50, 1);
    for index in (5..50).filter(|i| *i != 9) {
        rewriter.place(index, 50);
    }
    rewriter.start('a', 90_000, 70, 70, 1);
    rewriter.place(90_000, 70);
    rewriter.start('c', 3, 3, 3, 1);
    rewriter.place(3, 3);
    rewriter.place(4, 3);
    rewriter
}

#[test]
fn a_sequence_number_leads_back_to_its_packet_over_segments_and_the_roll_over() {
    let rewriter = four_segments();
    let newest: u16 = 0xffef_u16.wrapping_add(45 + 1 + 2);
    let found = |sequence: u16| rewriter.resolve(sequence).map(|(source, index, _)| (source, index));
    for (sequence, packet, why) in [
        (newest, Some(('c', 4)), "the newest"),
        (newest - 1, Some(('c', 3)), "the first of the newest source"),
        (newest - 2, Some(('a', 90_000)), "a source of one packet"),
        (newest - 3, Some(('b', 49)), "the last of a source"),
        (0xfff0 + 4, Some(('b', 9)), "never came: it is the packet that would have stood there"),
        (0xffff, Some(('b', 5 + 15)), "before the roll-over"),
        (0, Some(('b', 5 + 16)), "after the roll-over"),
        (0xffef, Some(('a', 1_000 + 0x7fff)), "the last of the oldest source"),
        (newest + 1, None, "in the future"),
        (newest + 0x7fff, None, "far in the future"),
    ] {
        assert_eq!(found(sequence), packet, "{sequence:#x}: {why}");
    }
}

#[test]
fn a_number_from_before_the_first_or_of_a_forgotten_source_leads_nowhere() {
    let mut rewriter = Rewriter::new(10);
    rewriter.start(0, 100, 0, 0, 0);
    rewriter.place(100, 0);
    assert_eq!(rewriter.resolve(9), None, "before the first");
    for source in 1..5 {
        rewriter.start(source, 100, 0, 0, 1);
        rewriter.place(100, 0);
    }
    assert_eq!(rewriter.resolve(10), None, "of the fifth source before");
    assert_eq!(rewriter.resolve(11).map(|(source, index, _)| (source, index)), Some((1, 100)));
}

#[test]
fn a_number_in_the_future_is_no_old_packet_even_after_a_roll_over() {
    let mut rewriter = Rewriter::new(0);
    rewriter.start('a', 0, 0, 0, 0);
    for index in 0..100 {
        rewriter.place(index, 0);
    }
    rewriter.start('b', 0, 0, 0, 1);
    for index in 0..0x1_0000 - 50 {
        rewriter.place(index, 0);
    }
    // The newest is 0x1_0031; 0x32 was a packet of `a` one cycle ago.
    assert_eq!(rewriter.resolve(0x31).map(|(s, i, _)| (s, i)), Some(('b', 0x1_0000 - 51)));
    for future in [0x32, 0x33, 0x63, 0x64, 0x8000] {
        assert_eq!(rewriter.resolve(future), None, "{future:#x}");
    }
}

#[test]
fn a_source_that_was_begun_but_showed_nothing_takes_no_numbers() {
    let mut rewriter = Rewriter::new(10);
    rewriter.start('a', 100, 0, 0, 0);
    rewriter.place(100, 0);
    rewriter.start('b', 100, 0, 0, 1);
    rewriter.start('c', 7, 0, 0, 1);
    assert_eq!(rewriter.resolve(10).map(|(s, i, _)| (s, i)), Some(('a', 100)));
    assert_eq!(rewriter.resolve(11), None);
    assert_eq!(rewriter.place(7, 0), place(11, 1));
    assert_eq!(rewriter.resolve(11).map(|(s, i, _)| (s, i)), Some(('c', 7)));
}

#[test]
fn another_selection_goes_on_without_a_seam_from_a_frame_that_comes_next() {
    let mut rewriter = Rewriter::new(10);
    rewriter.start('a', 100, 0, 0, 0);
    assert!(!rewriter.branch('b', 99, 5, 0), "what lies before the source");
    for (index, time) in [(100, 0), (101, 0), (103, FRAME)] {
        rewriter.place(index, time);
    }
    for (what, index, time) in [
        ("a late packet", 102, 0),
        ("one of a frame that has begun", 104, FRAME),
        ("one after a packet that is missing", 105, 2 * FRAME),
    ] {
        assert!(!rewriter.branch('b', index, 50, time), "{what}");
        assert_eq!(rewriter.source(), Some('a'));
    }
    assert!(rewriter.branch('b', 104, 50, 2 * FRAME));
    assert_eq!(rewriter.place(50, 2 * FRAME), place(14, 2 * FRAME));
    assert_eq!(rewriter.place(51, 3 * FRAME), place(15, 3 * FRAME));
    assert_eq!(rewriter.place(49, FRAME), None, "it is the other selection's");
    let resolved = |sequence| rewriter.resolve(sequence).map(|(source, index, times)| (source, index, times.map(7)));
    assert_eq!(resolved(12), Some(('a', 102, 7)));
    assert_eq!(resolved(14), Some(('b', 50, 7)));
    assert!(!Rewriter::new(1).branch('b', 1, 1, 1), "before the first source");
}

#[derive(Clone, Debug)]
enum Event {
    Switch { source: usize, skip: u64, elapsed: u32 },
    Packet { ahead: u64, ticks: u32 },
    Late { back: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => (0..3usize, 1..1000u64, 0..900_000u32).prop_map(|(source, skip, elapsed)| Event::Switch { source, skip, elapsed }),
        12 => (prop_oneof![9 => Just(1u64), 2 => 1..20u64, 1 => 1..3000u64, 1 => 1..30_000u64], 0..10_000u32)
            .prop_map(|(ahead, ticks)| Event::Packet { ahead, ticks }),
        3 => (0..40u64).prop_map(|back| Event::Late { back }),
    ]
}

/// A packet as it was shown.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shown {
    source: usize,
    index: u64,
    /// The source's own timestamp.
    time: u32,
    place: Place,
    segment: usize,
}

/// Three sources, each at its own index and time; what became of every packet.
struct Schedule {
    rewriter: Rewriter<usize>,
    sources: [(u64, u32); 3],
    current: usize,
    segments: usize,
    shown: BTreeMap<u64, Shown>,
    /// Timestamp by (source, index): a packet has one.
    times: BTreeMap<(usize, u64), u32>,
    newest: Option<Shown>,
}

impl Schedule {
    fn new(first_sequence: u16, times: [u32; 3]) -> Self {
        let mut schedule = Self {
            rewriter: Rewriter::new(first_sequence),
            sources: times.map(|time| (100_000, time)),
            current: 0,
            segments: 0,
            shown: BTreeMap::new(),
            times: BTreeMap::new(),
            newest: None,
        };
        schedule.switch(0, 1, 0);
        schedule
    }

    fn switch(&mut self, source: usize, skip: u64, elapsed: u32) {
        let (index, time) = &mut self.sources[source];
        *index += skip;
        *time = time.wrapping_add(9 * skip as u32);
        let (index, time) = (*index, *time);
        self.rewriter.start(source, index, time, time, elapsed);
        self.current = source;
        self.segments += 1;
        let before = self.newest;
        let first = self.show(index, time);
        if let Some(before) = before {
            assert_eq!(first.place.sequence, before.place.sequence + 1, "no seam in the numbers");
            let step = first.place.time.wrapping_sub(before.place.time);
            assert_eq!(step, elapsed.max(1), "time goes on");
        } else {
            assert_eq!(first.place.time, time, "the first source keeps its timestamps");
        }
    }

    fn show(&mut self, index: u64, time: u32) -> Shown {
        let place = self.rewriter.place(index, time).expect("at or after the source's first");
        let shown = Shown { source: self.current, index, time, place, segment: self.segments };
        self.times.insert((self.current, index), time);
        let there = self.shown.insert(place.sequence, shown);
        assert!(there.is_none_or(|there| there == shown), "{there:?} and {shown:?} got one number");
        if self.newest.is_none_or(|n| n.place.sequence < place.sequence) {
            self.newest = Some(shown);
        }
        shown
    }

    fn take(&mut self, event: &Event) {
        match *event {
            Event::Switch { source, skip, elapsed } => self.switch(source, skip, elapsed),
            Event::Packet { ahead, ticks } => {
                let (index, time) = &mut self.sources[self.current];
                *index += ahead;
                *time = time.wrapping_add(ticks);
                let (index, time) = (*index, *time);
                let before = self.newest.expect("a source is shown");
                let shown = self.show(index, time);
                assert_eq!(shown.place.sequence - before.place.sequence, ahead, "contiguous where the source is");
                assert_eq!(shown.place.time.wrapping_sub(before.place.time), ticks, "time runs as the source's does");
            }
            Event::Late { back } => {
                let (newest, time) = self.sources[self.current];
                let index = newest - back;
                let time = self.times.get(&(self.current, index)).copied().unwrap_or(time);
                let begun = self.shown.values().find(|s| s.segment == self.segments).expect("shown").index;
                if index < begun {
                    assert_eq!(self.rewriter.place(index, time), None);
                } else {
                    self.show(index, time);
                }
            }
        }
    }

    fn check_resolving(&self) {
        let newest = self.newest.expect("a source is shown").place.sequence;
        for (sequence, shown) in self.shown.iter().filter(|(s, _)| newest - *s < 0x8000) {
            let resolved = self.rewriter.resolve(*sequence as u16);
            if shown.segment + 4 > self.segments {
                let (source, index, times) = resolved.expect("a remembered packet");
                assert_eq!((source, index), (shown.source, shown.index));
                assert_eq!(times.map(shown.time), shown.place.time);
            } else {
                assert_eq!(resolved, None, "{shown:?} is forgotten");
            }
        }
        for ahead in [1, 2, 100, 0x7fff, 0x8000] {
            assert_eq!(self.rewriter.resolve((newest + ahead) as u16), None, "{ahead} in the future");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_schedule_makes_one_stream(
        first in any::<u16>(),
        times in any::<[u32; 3]>(),
        events in proptest::collection::vec(event(), 1..300),
    ) {
        let mut schedule = Schedule::new(first, times);
        for (at, event) in events.iter().enumerate() {
            schedule.take(event);
            if at % 16 == 0 {
                schedule.check_resolving();
            }
        }
        schedule.check_resolving();
    }
}
