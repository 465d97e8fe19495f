//! A viewer with several slots: what each shows, how quickly it changes, what its app is told.

mod net;

use net::streams::Stream;
use net::{CAMERA, Net, SSRC};
use sfu_core::{CameraKey, SlotId, SlotState};
use std::time::Duration;

const OTHER: CameraKey = CameraKey(1);
const FIRST: SlotId = SlotId::Video(0);
const SECOND: SlotId = SlotId::Video(1);

/// Two cameras that play, and what they play; both wanted by a first viewer.
struct Stage {
    net: Net,
    publishers: [usize; 2],
    streams: [Stream; 2],
}

impl Stage {
    fn new(seed: u64) -> Self {
        let mut net = Net::new(2, seed);
        let publishers = [net.publisher_for(0, CAMERA, &["h", "l"]), net.publisher_for(1, OTHER, &["h", "l"])];
        let watching = net.session(0, 2);
        net.show(watching, FIRST, Some((CAMERA, "h")));
        net.show(watching, SECOND, Some((OTHER, "h")));
        let streams = [Stream::new("h", SSRC), Stream { time: 3_000_000_000, ..Stream::new("h", SSRC + 10) }];
        let mut stage = Self { net, publishers, streams };
        stage.play(20);
        stage
    }

    fn play(&mut self, frames: usize) {
        for _ in 0..frames {
            for (stream, publisher) in self.streams.iter_mut().zip(self.publishers) {
                for (packet, index) in stream.next_frame() {
                    self.net.peer(publisher).send_rtp(&packet, index);
                }
            }
            self.net.run(Duration::from_millis(40));
        }
    }

    /// Checks a slot's stream: numbers contiguous, time never back; returns its timestamps.
    fn times(&self, viewer: usize, slot: u32) -> Vec<u32> {
        let packets = self.net.packets(viewer, Net::ssrc(viewer, slot));
        for pair in packets.windows(2) {
            let (before, after) = (&pair[0].header, &pair[1].header);
            assert_eq!(after.sequence, before.sequence.wrapping_add(1), "sequence numbers are contiguous");
            assert!(after.time.wrapping_sub(before.time) < 1 << 31, "timestamps never go back");
        }
        packets.iter().map(|p| p.header.time).collect()
    }
}

#[test]
fn each_slot_is_a_stream_of_its_own() {
    let mut stage = Stage::new(1);
    let viewer = stage.net.session(0, 3);
    stage.net.show(viewer, FIRST, Some((CAMERA, "h")));
    stage.net.show(viewer, SECOND, Some((OTHER, "h")));
    stage.play(10);
    assert_eq!(stage.times(viewer, 0).len(), 41 + 29 * 3, "the cached GOP and what followed");
    assert_eq!(stage.times(viewer, 1).len(), 41 + 29 * 3);
    assert_eq!(stage.times(viewer, 2).len(), 0, "an empty slot is silent");
    assert_eq!(stage.net.peer(viewer).undecryptable, 0);
}

#[test]
fn another_camera_begins_at_once_and_nothing_of_the_former_follows() {
    let mut stage = Stage::new(2);
    let viewer = stage.net.session(0, 1);
    stage.net.show(viewer, FIRST, Some((CAMERA, "h")));
    stage.play(10);
    let before = stage.times(viewer, 0).len();
    stage.net.show(viewer, FIRST, Some((OTHER, "h")));
    stage.net.run(Duration::from_millis(150));
    let packets = stage.net.packets(viewer, Net::ssrc(viewer, 0));
    assert_eq!(packets[before].payload[0], 24, "the other camera's parameter sets come first");
    assert_eq!(packets.len() - before, 41 + 29 * 3, "its whole cached GOP comes, at 10 Mbit/s");
    stage.play(5);
    let times = stage.times(viewer, 0);
    assert_eq!(times.len() - before, 41 + 34 * 3, "and what followed, of that camera alone");
    let (last, burst_end) = (times[before - 1], times[before + 41 + 29 * 3 - 1]);
    let span = burst_end.wrapping_sub(last);
    assert!(span < 90 * 100, "30 frames are squeezed into {} ms", span / 90);
    assert_eq!(times[times.len() - 1].wrapping_sub(times[times.len() - 4]), 3600, "live frames keep their distance");
}

#[test]
fn a_slot_says_how_it_is() {
    let mut stage = Stage::new(3);
    let viewer = stage.net.session(1, 2);
    stage.net.show(viewer, FIRST, Some((CameraKey(7), "h")));
    assert_eq!(stage.net.states(viewer, FIRST), [(Some(CameraKey(7)), SlotState::NoSignal)], "nobody publishes it");
    stage.net.show(viewer, FIRST, Some((CAMERA, "h")));
    stage.play(2);
    let states = stage.net.states(viewer, FIRST);
    assert_eq!(states[1..], [(Some(CAMERA), SlotState::Waiting), (Some(CAMERA), SlotState::Live)]);
    stage.net.run(Duration::from_secs(5));
    assert_eq!(
        stage.net.states(viewer, FIRST).last(),
        Some(&(Some(CAMERA), SlotState::NoSignal)),
        "the camera stopped"
    );
    stage.play(60);
    assert_eq!(stage.net.states(viewer, FIRST).last(), Some(&(Some(CAMERA), SlotState::Live)), "and went on");
    stage.net.show(viewer, FIRST, None);
    assert_eq!(stage.net.states(viewer, FIRST).last(), Some(&(None, SlotState::Empty)));
    assert_eq!(stage.net.states(viewer, SECOND), [], "what was empty and stays so is not worth saying");
}

#[test]
fn a_publisher_that_goes_is_said_at_once_and_the_picture_comes_back_with_the_next() {
    let mut stage = Stage::new(4);
    let viewer = stage.net.session(1, 1);
    stage.net.show(viewer, FIRST, Some((CAMERA, "h")));
    stage.play(5);
    let gone = sfu_core::PeerId(stage.publishers[0] as u64 + 1);
    stage.net.handle(0, sfu_core::Input::Disconnect(gone));
    stage.net.step();
    assert_eq!(stage.net.states(viewer, FIRST).last(), Some(&(Some(CAMERA), SlotState::NoSignal)));
    stage.publishers[0] = stage.net.publisher_for(0, CAMERA, &["h", "l"]);
    stage.streams[0] = Stream { time: 77, sequence: 9, ..Stream::new("h", SSRC + 99) };
    stage.play(5);
    assert_eq!(stage.net.states(viewer, FIRST).last(), Some(&(Some(CAMERA), SlotState::Live)));
    stage.times(viewer, 0);
}

#[test]
fn a_larger_picture_takes_over_with_its_keyframe_and_the_smaller_plays_until_then() {
    let mut net = Net::new(1, 5);
    let publisher = net.publisher_for(0, CAMERA, &["h", "l"]);
    let viewer = net.session(0, 1);
    net.show(viewer, FIRST, Some((CAMERA, "l")));
    let mut small = Stream { packets_per_frame: 1, ..Stream::new("l", SSRC + 1) };
    small.play(&mut net, publisher, 5);
    net.show(viewer, FIRST, Some((CAMERA, "h")));
    assert!(net.is_wanted("h") && net.is_wanted("l"));
    let before = net.packets(viewer, Net::ssrc(viewer, 0)).len();
    small.play(&mut net, publisher, 5);
    assert_eq!(net.packets(viewer, Net::ssrc(viewer, 0)).len() - before, 5, "the smaller goes on");
    let mut large = Stream::new("h", SSRC);
    large.play(&mut net, publisher, 2);
    small.play(&mut net, publisher, 5);
    let packets = net.packets(viewer, Net::ssrc(viewer, 0));
    assert_eq!(packets.len() - before, 5 + 41 + 3, "then the larger alone");
    large.play(&mut net, publisher, 7 * 25);
    assert!(net.is_wanted("h") && !net.is_wanted("l"), "the smaller is wanted no more");
}

#[test]
fn a_slot_that_changes_its_mind_before_the_keyframe_keeps_what_it_has() {
    let mut net = Net::new(1, 6);
    let publisher = net.publisher_for(0, CAMERA, &["h", "l"]);
    let viewer = net.session(0, 1);
    net.show(viewer, FIRST, Some((CAMERA, "l")));
    let mut small = Stream { packets_per_frame: 1, ..Stream::new("l", SSRC + 1) };
    small.play(&mut net, publisher, 5);
    net.show(viewer, FIRST, Some((CAMERA, "h")));
    net.show(viewer, FIRST, Some((CAMERA, "l")));
    Stream::new("h", SSRC).play(&mut net, publisher, 2);
    let before = net.packets(viewer, Net::ssrc(viewer, 0)).len();
    small.play(&mut net, publisher, 5);
    assert_eq!(net.packets(viewer, Net::ssrc(viewer, 0)).len() - before, 5);
    net.handle(0, sfu_core::Input::Disconnect(sfu_core::PeerId(viewer as u64 + 1)));
    net.run(Duration::from_secs(7));
    assert!(!net.is_wanted("h") && !net.is_wanted("l"), "nothing is counted twice");
}

#[test]
fn any_schedule_of_changes_makes_streams_without_seams() {
    let mut stage = Stage::new(7);
    let viewer = stage.net.session(1, 2);
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..120 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let slot = if random & 1 == 0 { FIRST } else { SECOND };
        let max = if random & 2 == 0 { "h" } else { "l" };
        let wish = [Some((CAMERA, max)), Some((OTHER, max)), Some((CAMERA, "h")), None][(random >> 8) as usize % 4];
        stage.net.show(viewer, slot, wish);
        stage.play((random >> 16) as usize % 4);
    }
    for slot in [0, 1] {
        assert!(stage.times(viewer, slot).len() > 100);
    }
}

#[test]
fn the_smaller_picture_is_shown_while_the_larger_does_not_come() {
    let mut net = Net::new(2, 8);
    let publisher = net.publisher_for(0, CAMERA, &["h", "l"]);
    let viewer = net.session(1, 1);
    net.show(viewer, FIRST, Some((CAMERA, "h")));
    let mut small = Stream { packets_per_frame: 1, gop: 10, ..Stream::new("l", SSRC + 1) };
    let mut large = Stream { gop: 10, ..Stream::new("h", SSRC) };
    small.play(&mut net, publisher, 100);
    let shown = net.packets(viewer, Net::ssrc(viewer, 0)).len();
    assert!(shown > 20, "{shown} packets of the smaller one within 4 s");
    assert_eq!(net.states(viewer, FIRST).last(), Some(&(Some(CAMERA), SlotState::Live)));
    assert!(net.is_wanted("h"), "the larger one stays wanted");
    large.play(&mut net, publisher, 20);
    let shown = net.packets(viewer, Net::ssrc(viewer, 0)).len();
    small.play(&mut net, publisher, 20);
    assert_eq!(net.packets(viewer, Net::ssrc(viewer, 0)).len(), shown, "it took over with its first keyframe");
    small.play(&mut net, publisher, 150);
    assert!(net.packets(viewer, Net::ssrc(viewer, 0)).len() > shown + 20, "it stopped: the smaller one again");
    for pair in net.packets(viewer, Net::ssrc(viewer, 0)).windows(2) {
        assert_eq!(pair[1].header.sequence, pair[0].header.sequence.wrapping_add(1));
    }
}
