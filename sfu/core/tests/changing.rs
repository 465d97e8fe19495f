//! Slots that change while frames are half way through the shard: nothing goes out under numbers that are not its own (the
//! network refuses a number that is sealed twice), and a change costs no more than it has to.

mod net;

use net::streams::Stream;
use net::{CAMERA, Net, SSRC, STEP};
use sfu_core::rtcp::{self, Feedback};
use sfu_core::{CameraKey, Change, ClockPair, Input, PeerId, SlotId, SlotState, Ssrc, Subscription};
use std::time::Duration;

const OTHER: CameraKey = CameraKey(1);
const FIRST: SlotId = SlotId::Video(0);
const SECOND: SlotId = SlotId::Video(1);

fn wish(camera: CameraKey) -> Option<Subscription> {
    Some(Subscription { camera, max: net::rid("h"), priority: 0 })
}

fn send(net: &mut Net, publisher: usize, packets: impl IntoIterator<Item = (Vec<u8>, u64)>) {
    for (packet, index) in packets {
        net.peer(publisher).send_rtp(&packet, index);
    }
    net.push(publisher);
}

/// Sequence numbers of a slot's stream are contiguous.
fn check(net: &Net, viewer: usize, slot: u32) {
    for pair in net.packets(viewer, Net::ssrc(viewer, slot)).windows(2) {
        assert_eq!(pair[1].header.sequence, pair[0].header.sequence.wrapping_add(1));
    }
}

/// A viewer of two cameras in two slots: viewer, publishers, streams.
fn two(net: &mut Net) -> (usize, [usize; 2], [Stream; 2]) {
    let publishers = [net.publisher_for(0, CAMERA, &["h", "l"]), net.publisher_for(0, OTHER, &["h", "l"])];
    let viewer = net.session(0, 2);
    net.show(viewer, FIRST, Some((CAMERA, "h")));
    net.show(viewer, SECOND, Some((OTHER, "h")));
    let mut streams = [Stream::new("h", SSRC), Stream { time: 3_000_000_000, ..Stream::new("h", SSRC + 10) }];
    for _ in 0..12 {
        for (stream, publisher) in streams.iter_mut().zip(publishers) {
            send(net, publisher, stream.next_frame());
        }
        net.run(Duration::from_millis(40));
    }
    (viewer, publishers, streams)
}

#[test]
fn two_slots_change_places_while_a_frame_gathers() {
    let mut net = Net::new(1, 1);
    let (viewer, publishers, mut streams) = two(&mut net);
    let mut frame = streams[1].next_frame();
    send(&mut net, publishers[1], frame.drain(..2));
    let peer = PeerId(viewer as u64 + 1);
    let slots = vec![(FIRST, wish(OTHER)), (SECOND, wish(CAMERA))];
    net.handle(0, Input::Change(Change { peer, until: None, slots }));
    send(&mut net, publishers[1], frame);
    for _ in 0..25 {
        for (stream, publisher) in streams.iter_mut().zip(publishers) {
            send(&mut net, publisher, stream.next_frame());
        }
        net.run(Duration::from_millis(40));
    }
    check(&net, viewer, 0);
    check(&net, viewer, 1);
}

#[test]
fn another_size_takes_over_while_both_gather() {
    for (from, to) in [("h", "l"), ("l", "h")] {
        let mut net = Net::new(1, 2);
        let publisher = net.publisher_of(0, &[from, to]);
        let viewer = net.session(0, 1);
        net.show(viewer, FIRST, Some((CAMERA, from)));
        let mut before = Stream { gop: 1000, ..Stream::new(if from == "h" { "h" } else { "l" }, SSRC) };
        let mut after = Stream { gop: 1000, ..Stream::new(if to == "h" { "h" } else { "l" }, SSRC + 1) };
        before.play(&mut net, publisher, 100);
        net.show(viewer, FIRST, Some((CAMERA, to)));
        let (mut old, mut new) = (before.next_frame(), after.next_frame());
        send(&mut net, publisher, old.drain(..1));
        send(&mut net, publisher, new.drain(..3));
        // The shard's thread comes when both are due.
        net.now += STEP * 2;
        net.handle(0, Input::Timeout);
        send(&mut net, publisher, new);
        after.play(&mut net, publisher, 100);
        check(&net, viewer, 0);
    }
}

#[test]
fn two_slots_of_one_camera_lose_the_picture_at_once() {
    let mut net = Net::new(1, 3);
    let publisher = net.publisher_of(0, &["h", "l"]);
    let viewer = net.session(0, 2);
    net.show(viewer, FIRST, Some((CAMERA, "h")));
    net.show(viewer, SECOND, Some((CAMERA, "h")));
    let mut stream = Stream::new("h", SSRC);
    stream.play(&mut net, publisher, 12);
    let mut frame = stream.next_frame();
    send(&mut net, publisher, frame.drain(..2));
    let mut lost = rtcp::picture_loss(Ssrc(1), Net::ssrc(viewer, 0));
    lost.extend(rtcp::picture_loss(Ssrc(1), Net::ssrc(viewer, 1)));
    net.peer(viewer).send_rtcp(&lost);
    net.push(viewer);
    send(&mut net, publisher, frame);
    stream.play(&mut net, publisher, 5);
    check(&net, viewer, 0);
    check(&net, viewer, 1);
}

#[test]
fn a_camera_of_another_shard_is_squeezed_and_paced_too() {
    for warm in [0, 1] {
        let mut net = Net::new(2, 4);
        let publishers = [net.publisher_for(0, CAMERA, &["h"]), net.publisher_for(1, OTHER, &["h"])];
        let watching = net.session(warm, 1);
        net.show(watching, FIRST, Some((OTHER, "h")));
        let viewer = net.session(0, 1);
        net.show(viewer, FIRST, Some((CAMERA, "h")));
        let mut streams = [Stream::new("h", SSRC), Stream { gop: 100, ..Stream::new("h", SSRC + 10) }];
        for _ in 0..90 {
            for (stream, publisher) in streams.iter_mut().zip(publishers) {
                send(&mut net, publisher, stream.next_frame());
            }
            net.run(Duration::from_millis(40));
        }
        let count = |net: &Net| net.packets(viewer, Net::ssrc(viewer, 0)).len();
        let before = count(&net);
        net.show(viewer, FIRST, Some((OTHER, "h")));
        let mut most = 0;
        for _ in 0..400 {
            let now = count(&net);
            net.step();
            most = most.max(count(&net) - now);
        }
        let packets = net.packets(viewer, Net::ssrc(viewer, 0));
        assert!(packets.len() - before > 300, "the whole GOP, warm on shard {warm}");
        assert!(most <= 32, "{most} packets in a millisecond");
        let moved = packets[packets.len() - 1].header.time.wrapping_sub(packets[before - 1].header.time);
        assert!(moved < 90 * 200, "{} ms for 90 frames", moved / 90);
    }
}

#[test]
fn reports_say_nothing_of_a_camera_that_is_not_shown_yet() {
    let mut net = Net::new(1, 5);
    let (viewer, publishers, mut streams) = two(&mut net);
    for (publisher, stream) in publishers.into_iter().zip(&streams) {
        let pair = ClockPair { ntp: 4_000_000_000 << 32, rtp: stream.time };
        net.peer(publisher).send_rtcp(&rtcp::sender_report(Ssrc(stream.ssrc), pair, 1, 1));
    }
    net.run(Duration::from_millis(1500));
    // The other camera has stopped; what it sent is stale.
    streams[0].play(&mut net, publishers[0], 60);
    net.show(viewer, FIRST, Some((OTHER, "h")));
    net.peer(viewer).rtcp.clear();
    net.run(Duration::from_secs(4));
    let reports = net.peer(viewer).rtcp.iter().flat_map(|d| rtcp::read(d));
    let of_first = |f: &Feedback| matches!(f, Feedback::SenderReport { ssrc, .. } if *ssrc == Net::ssrc(viewer, 0));
    assert_eq!(reports.filter(of_first).count(), 0);
}

#[test]
fn the_smallest_picture_is_shown_where_two_larger_ones_do_not_come() {
    let mut net = Net::new(1, 6);
    let publisher = net.publisher_of(0, &["h", "m", "l"]);
    let viewer = net.session(0, 1);
    net.show(viewer, FIRST, Some((CAMERA, "h")));
    Stream { gop: 10, ..Stream::new("l", SSRC) }.play(&mut net, publisher, 25 * 8);
    assert_eq!(net.states(viewer, FIRST).last(), Some(&(Some(CAMERA), SlotState::Live)));
}

#[test]
fn a_picture_without_keyframes_is_replaced_by_a_smaller_one() {
    let mut net = Net::new(1, 7);
    let publisher = net.publisher_of(0, &["h", "l"]);
    let viewer = net.session(0, 1);
    net.show(viewer, FIRST, Some((CAMERA, "h")));
    let mut small = Stream { gop: 10, ..Stream::new("l", SSRC) };
    let mut large = Stream { gop: 100_000, frame: 1, ..Stream::new("h", SSRC + 1) };
    for _ in 0..25 * 6 {
        send(&mut net, publisher, small.next_frame().into_iter().chain(large.next_frame()));
        net.run(Duration::from_millis(40));
    }
    assert_eq!(net.states(viewer, FIRST).last(), Some(&(Some(CAMERA), SlotState::Live)));
}

#[test]
fn a_publisher_that_begins_anew_with_every_packet_is_heard_twice_a_second() {
    let mut net = Net::new(1, 8);
    let publisher = net.publisher(0);
    for _ in 0..10 {
        net.viewer(0, "h");
    }
    let before = net.notices.len();
    let mut streams = [Stream { gop: 1, ..Stream::new("h", SSRC) }, Stream { gop: 1, ..Stream::new("h", SSRC + 1) }];
    for n in 0..200 {
        send(&mut net, publisher, streams[n % 2].next_frame().into_iter().take(1));
    }
    assert!(net.notices.len() - before <= 20, "{} notices", net.notices.len() - before);
}

#[test]
fn a_viewer_draws_so_many_cached_pictures_a_second_and_no_more() {
    let mut net = Net::new(1, 9);
    let (viewer, publishers, mut streams) = two(&mut net);
    let before = net.packets(viewer, Net::ssrc(viewer, 0)).len();
    for n in 0..200 {
        net.show(viewer, FIRST, Some((if n % 2 == 0 { OTHER } else { CAMERA }, "h")));
        net.run(Duration::from_millis(5));
    }
    let drawn = net.packets(viewer, Net::ssrc(viewer, 0)).len() - before;
    assert!(drawn <= 2 * 17 * 80, "{drawn} packets in a second");
    for _ in 0..60 {
        for (stream, publisher) in streams.iter_mut().zip(publishers) {
            send(&mut net, publisher, stream.next_frame());
        }
        net.run(Duration::from_millis(40));
    }
    assert_eq!(net.states(viewer, FIRST).last(), Some(&(Some(CAMERA), SlotState::Live)), "the next keyframe serves it");
}

#[test]
fn a_cut_record_does_not_end_a_handshake() {
    let mut net = Net::new(1, 10);
    net.publisher(0);
    let viewer = net.join(0, "h", false);
    net.peer(viewer).check();
    net.step();
    let from = net.peer(viewer).address;
    let mut cut = [22u8; 40];
    cut[11] = 0xff;
    net.handle(0, Input::Datagram { from, bytes: &cut, waited: Duration::ZERO });
    net.connect(viewer);
}
