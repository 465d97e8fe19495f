//! A fan-out that takes long: other input is heard in between, and what waits stays right.

mod net;

use net::streams::Stream;
use net::{CAMERA, Net, SSRC};
use sfu_core::{CameraKey, Input, PeerId, SlotId, Ssrc, TransportAddress};
use std::time::Duration;

const OTHER: CameraKey = CameraKey(1);
const SLOT: SlotId = SlotId::Video(0);
const VIEWERS: usize = 100;

/// A camera that many watch, and another that one viewer watches, on one shard.
struct Stage {
    net: Net,
    publishers: [usize; 2],
    streams: [Stream; 2],
    viewers: Vec<usize>,
    other: usize,
}

impl Stage {
    fn new(seed: u64) -> Self {
        let mut net = Net::new(1, seed);
        let publishers = [CAMERA, OTHER].map(|camera| net.publisher_for(0, camera, &["h"]));
        let watching = |camera, net: &mut Net| {
            let viewer = net.session(0, 1);
            net.show(viewer, SLOT, Some((camera, "h")));
            viewer
        };
        let viewers = (0..VIEWERS).map(|_| watching(CAMERA, &mut net)).collect();
        let other = watching(OTHER, &mut net);
        let streams = [Stream::new("h", SSRC), Stream::new("h", SSRC + 10)];
        let mut stage = Self { net, publishers, streams, viewers, other };
        for _ in 0..3 {
            [0, 1].into_iter().for_each(|camera| stage.frame(camera));
            stage.net.send(0, usize::MAX);
            stage.net.run(Duration::from_millis(40));
        }
        stage
    }

    /// A camera's next frame comes in; nothing is sent yet.
    fn frame(&mut self, camera: usize) {
        let publisher = self.publishers[camera];
        for (packet, index) in self.streams[camera].next_frame() {
            self.net.peer(publisher).send_rtp(&packet, index);
        }
        self.hear(publisher);
    }

    /// What a peer has to send comes in; nothing is sent in turn yet.
    fn hear(&mut self, at: usize) {
        let from = self.net.peer(at).address;
        for datagram in std::mem::take(&mut self.net.peer(at).out) {
            self.net.tell(0, Input::Datagram { from, bytes: &datagram, waited: Duration::ZERO });
        }
    }

    fn address(&mut self, at: usize) -> TransportAddress {
        self.net.peer(at).address
    }

    /// Packets that a viewer's slot got, checked to be contiguous.
    fn got(&self, viewer: usize) -> usize {
        let packets = self.net.packets(viewer, Net::ssrc(viewer, 0));
        let follows = |pair: &[net::peer::Packet]| pair[1].header.sequence == pair[0].header.sequence.wrapping_add(1);
        assert!(packets.windows(2).all(follows), "sequence numbers are contiguous");
        packets.len()
    }
}

const BEFORE: usize = 41 + 2 * 3;

#[test]
fn a_peer_is_answered_before_a_fan_out_goes_on() {
    let mut stage = Stage::new(1);
    let joining = stage.net.join(0, "h", false);
    stage.frame(0);
    assert_eq!(stage.net.send(0, 10).len(), 10);
    stage.net.peer(joining).check();
    stage.hear(joining);
    let address = stage.address(joining);
    assert_eq!(stage.net.send(0, 1), [address], "the answer comes next");
    stage.net.send(0, usize::MAX);
    for viewer in stage.viewers.clone() {
        assert_eq!(stage.got(viewer), BEFORE + 3);
    }
}

#[test]
fn a_frame_for_few_leaves_before_a_fan_out_to_many_is_over() {
    let mut stage = Stage::new(2);
    stage.frame(0);
    stage.frame(1);
    let address = stage.address(stage.other);
    let sent = stage.net.send(0, usize::MAX);
    assert_eq!(sent.len(), VIEWERS + 1, "a train each");
    let place = sent.iter().position(|to| *to == address);
    assert!(place.is_some_and(|place| place < VIEWERS), "it waits for a turn, not for all viewers");
}

#[test]
fn a_slot_that_changes_during_a_fan_out_gets_nothing_more_of_it() {
    let mut stage = Stage::new(3);
    stage.frame(0);
    let sent = stage.net.send(0, 50);
    let (early, late): (Vec<usize>, Vec<usize>) =
        stage.viewers.clone().into_iter().partition(|viewer| sent.contains(&stage.address(*viewer)));
    for (viewer, camera) in [(early[3], None), (late[0], None), (late[7], Some((OTHER, "h")))] {
        let change = Net::change(viewer, SLOT, camera);
        stage.net.tell(0, Input::Change(change));
    }
    stage.net.send(0, usize::MAX);
    assert_eq!(stage.got(early[3]), BEFORE + 3, "it had the frame already");
    assert_eq!(stage.got(late[0]), BEFORE);
    let other = stage.net.packets(late[7], Net::ssrc(late[7], 0));
    assert_eq!(other[BEFORE].payload[0], 24, "the other camera's parameter sets come next");
    for viewer in early.iter().chain(&late).filter(|v| ![early[3], late[0], late[7]].contains(v)) {
        assert_eq!(stage.got(*viewer), BEFORE + 3, "everybody else has it once");
    }
}

#[test]
fn a_viewer_that_leaves_during_a_fan_out_gets_nothing_more_of_it() {
    let mut stage = Stage::new(4);
    let leaving = stage.viewers[VIEWERS - 1];
    let address = stage.address(leaving);
    let lost = stage.net.packets(leaving, Net::ssrc(leaving, 0))[BEFORE - 1].header.sequence;
    stage.frame(0);
    stage.net.send(0, 10);
    let nack = sfu_core::rtcp::nack(Ssrc(1), Net::ssrc(leaving, 0), &[lost]);
    stage.net.peer(leaving).send_rtcp(&nack);
    stage.hear(leaving);
    stage.net.tell(0, Input::Disconnect(PeerId(leaving as u64 + 1)));
    let sent = stage.net.send(0, usize::MAX);
    let to_leaving = sent.iter().filter(|to| **to == address).count();
    assert_eq!(to_leaving, 2, "the good-byes of RTCP and of DTLS, neither the frame nor what it asked for");
    assert_eq!(sent.len(), 2 + VIEWERS - 11);
}

#[test]
fn what_has_waited_for_a_second_is_dropped_and_what_is_new_goes_on() {
    let mut stage = Stage::new(5);
    stage.frame(0);
    stage.net.send(0, 10);
    stage.net.now += Duration::from_millis(1100);
    stage.frame(0);
    let sent = stage.net.send(0, usize::MAX).len();
    let late = stage.net.shards[0].counters().trains_late as usize;
    assert!(late > 0 && sent + late == 90 + VIEWERS, "{sent} sent, {late} dropped");
    let newest = stage.streams[0].frame - 1;
    for viewer in stage.viewers.clone() {
        let packets = stage.net.packets(viewer, Net::ssrc(viewer, 0));
        let last = packets.last().map(|packet| packet.payload[2..6].to_vec());
        assert_eq!(last, Some(newest.to_be_bytes().to_vec()), "the new frame reaches everybody");
    }
}
