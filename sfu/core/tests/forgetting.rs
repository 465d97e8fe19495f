//! Cameras that nobody publishes or watches any more leave nothing behind.

mod net;

use net::streams::Stream;
use net::{Net, SSRC};
use sfu_core::{CameraKey, Input, PeerId, SlotId, Ssrc};
use std::time::Duration;

const OTHER: CameraKey = CameraKey(1);
const SLOT: SlotId = SlotId::Video(0);
/// Longer than an encoding lingers, and a turn of the wheel.
const LONG: Duration = Duration::from_secs(7);

fn leave(net: &mut Net, at: usize) {
    net.handle(0, Input::Disconnect(PeerId(at as u64 + 1)));
}

fn nack(net: &mut Net, viewer: usize, sequence: u16) {
    let nack = sfu_core::rtcp::nack(Ssrc(1), Net::ssrc(viewer, 0), &[sequence]);
    net.peer(viewer).send_rtcp(&nack);
    net.push(viewer);
}

#[test]
fn encodings_are_forgotten_once_their_camera_is_neither_published_nor_watched() {
    let mut net = Net::new(1, 1);
    let stays = net.session(0, 1);
    for round in 0..3 {
        let publisher = net.publisher_for(0, OTHER, &["h", "l"]);
        let viewer = net.session(0, 1);
        net.show(viewer, SLOT, Some((OTHER, "h")));
        Stream::new("h", SSRC + round).play(&mut net, publisher, 5);
        assert_eq!(net.packets(viewer, Net::ssrc(viewer, 0)).len(), 41 + 4 * 3);
        assert_eq!(net.shards[0].encoding_count(), 3, "two of pictures, one of sound");
        leave(&mut net, publisher);
        net.run(Duration::from_secs(2));
        assert_eq!(net.shards[0].encoding_count(), 3, "somebody waits for the camera");
        leave(&mut net, viewer);
        net.peer(stays).check();
        net.run(LONG);
        assert_eq!(net.shards[0].encoding_count(), 0);
    }
}

#[test]
fn a_published_camera_is_kept_though_nobody_watches() {
    let mut net = Net::new(1, 2);
    net.publisher(0);
    net.run(LONG);
    assert_eq!(net.shards[0].encoding_count(), 3);
}

#[test]
fn a_lost_packet_of_a_forgotten_camera_is_not_answered_from_the_one_in_its_place() {
    let mut net = Net::new(1, 3);
    let publisher = net.publisher_of(0, &["h"]);
    let viewer = net.viewer(0, "h");
    Stream::new("h", SSRC).play(&mut net, publisher, 5);
    let old = net.packets(viewer, Net::ssrc(viewer, 0)).last().map(|packet| packet.header.sequence).unwrap();
    nack(&mut net, viewer, old);
    assert_eq!(net.shards[0].counters().retransmissions, 1);
    leave(&mut net, publisher);
    net.show(viewer, SLOT, None);
    net.run(LONG);
    assert_eq!(net.shards[0].encoding_count(), 0);
    let publisher = net.publisher_for(0, OTHER, &["h"]);
    net.show(viewer, SLOT, Some((OTHER, "h")));
    Stream::new("h", SSRC + 1).play(&mut net, publisher, 5);
    let newest = net.packets(viewer, Net::ssrc(viewer, 0)).last().map(|packet| packet.header.sequence).unwrap();
    assert_eq!(newest.wrapping_sub(old), 41 + 4 * 3, "the other camera's packets follow");
    nack(&mut net, viewer, old);
    assert_eq!(net.shards[0].counters().retransmissions, 1, "nobody has that packet any more");
    nack(&mut net, viewer, newest);
    assert_eq!(net.shards[0].counters().retransmissions, 2);
}
