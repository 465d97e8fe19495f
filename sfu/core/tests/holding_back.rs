//! A publisher that holds an encoding back says good-bye to it: viewers are shown the smaller one at once, and the large
//! one again when it comes.

mod net;

use net::streams::Stream;
use net::{CAMERA, Net, SSRC};
use sfu_core::{SlotId, SlotState, rtcp};
use std::time::Duration;

const SLOT: SlotId = SlotId::Video(0);

/// Plays some frames of 40 ms of those streams that are not held back.
fn play(net: &mut Net, publisher: usize, streams: &mut [&mut Stream], frames: usize) {
    for _ in 0..frames {
        for stream in &mut *streams {
            for (packet, index) in stream.next_frame() {
                net.peer(publisher).send_rtp(&packet, index);
            }
        }
        net.run(Duration::from_millis(40));
    }
}

/// How many packets a viewer has got.
fn packets(net: &Net, viewer: usize) -> usize {
    net.packets(viewer, Net::ssrc(viewer, 0)).len()
}

/// Holds `h` back of a publisher on shard 0, of a viewer on `shard`.
fn holds_back(shard: usize, seed: u64) {
    let mut net = Net::new(2, seed);
    let publisher = net.publisher(0);
    let viewer = net.session(shard, 1);
    net.show(viewer, SLOT, Some((CAMERA, "h")));
    let mut large = Stream::new("h", SSRC);
    let mut small = Stream { packets_per_frame: 1, ..Stream::new("l", SSRC + 1) };
    play(&mut net, publisher, &mut [&mut large], 30);
    assert!(packets(&net, viewer) > 0, "the large one plays");

    net.peer(publisher).send_rtcp(&rtcp::goodbye(&[sfu_core::Ssrc(SSRC)]));
    let before = packets(&net, viewer);
    play(&mut net, publisher, &mut [&mut small], 5);
    assert!(packets(&net, viewer) > before + 40, "the small one plays within 200 ms, from its keyframe");
    assert!(net.is_wanted("h") && net.is_wanted("l"), "both are wanted: one plays, one is awaited");

    // It says so again, lest it was not heard.
    net.peer(publisher).send_rtcp(&rtcp::goodbye(&[sfu_core::Ssrc(SSRC)]));
    play(&mut net, publisher, &mut [&mut small], 100);
    let states = net.states(viewer, SLOT);
    assert_eq!(states.last(), Some(&(Some(CAMERA), SlotState::Live)));

    let before = packets(&net, viewer);
    let mut again = Stream { sequence: large.sequence, time: large.time + 90_000, ..Stream::new("h", SSRC) };
    play(&mut net, publisher, &mut [&mut again, &mut small], 10);
    let got = net.packets(viewer, Net::ssrc(viewer, 0))[before..].to_vec();
    let tall = got.iter().filter(|packet| packet.payload.len() == 1100).count();
    assert!(tall > 50, "the large one plays again, from its keyframe: {tall} of {} packets", got.len());
    for pair in got.windows(2) {
        assert_eq!(pair[1].header.sequence, pair[0].header.sequence.wrapping_add(1));
    }
}

#[test]
fn a_viewer_is_shown_the_small_picture_while_the_large_one_is_held_back() {
    holds_back(0, 1);
}

#[test]
fn so_is_a_viewer_of_another_shard() {
    holds_back(1, 2);
}
