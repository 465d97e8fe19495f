//! From a publisher to viewers, on a virtual network: every packet opened and looked at.

mod net;

use net::streams::{Stream, video_packet};
use net::{CAMERA, Net, SSRC};
use sfu_core::{Ended, Input, Notice, PeerId, ShardId, ShardMessage, rtcp};
use std::collections::BTreeSet;
use std::time::Duration;

/// Sequence numbers follow each other, timestamps never go back; returns how many packets of media there are.
fn check_stream(net: &mut Net, viewer: usize) -> usize {
    let peer = net.peer(viewer);
    assert_eq!(peer.undecryptable, 0);
    let media: Vec<_> = peer.packets.iter().filter(|p| p.header.payload_type == 102).collect();
    for pair in media.windows(2) {
        assert_eq!(pair[1].header.sequence, pair[0].header.sequence.wrapping_add(1), "sequence numbers are contiguous");
        assert!(pair[1].header.time.wrapping_sub(pair[0].header.time) < 1 << 31, "timestamps never go back");
    }
    media.len()
}

fn frame_of(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[2..6].try_into().expect("a fragment"))
}

#[test]
fn a_viewer_gets_every_packet_of_the_encoding_it_may_see() {
    let mut net = Net::new(1, 1);
    let publisher = net.publisher(0);
    let (large, small) = (net.viewer(0, "h"), net.viewer(0, "l"));
    let mut high = Stream::new("h", SSRC);
    let mut low = Stream { packets_per_frame: 1, ..Stream::new("l", SSRC + 1) };
    for _ in 0..60 {
        high.play(&mut net, publisher, 1);
        low.play(&mut net, publisher, 1);
    }
    let expected = |stream: &Stream| (stream.sequence - 65_500) as usize;
    assert_eq!(check_stream(&mut net, large), expected(&high));
    assert_eq!(check_stream(&mut net, small), expected(&low));
    let first = &net.peer(large).packets[0];
    assert_eq!(first.payload[0], 24, "the first packet holds the parameter sets");
    assert_eq!(first.header.time, 1_000_000, "the first source keeps its timestamps");
}

#[test]
fn a_client_without_gcm_is_served_with_aes_cm() {
    let mut net = Net::new(1, 2);
    let publisher = net.publisher(0);
    let old = net.join(0, "h", true);
    net.connect(old);
    Stream::new("h", SSRC).play(&mut net, publisher, 30);
    assert_eq!(check_stream(&mut net, old), 41 + 29 * 3);
}

#[test]
fn a_join_in_mid_gop_starts_at_once_with_the_cached_gop_and_goes_on_live() {
    let mut net = Net::new(1, 3);
    let publisher = net.publisher(0);
    let watching = net.viewer(0, "h");
    let mut stream = Stream::new("h", SSRC);
    stream.play(&mut net, publisher, 30);
    let joined = net.viewer(0, "h");
    net.run(Duration::from_millis(5));
    let first = net.peer(joined).packets.first().expect("packets at once").clone();
    assert_eq!(first.payload[0], 24);
    net.run(Duration::from_millis(145));
    assert_eq!(frame_of(&net.peer(joined).packets[1].payload), 0, "the GOP's own keyframe");
    assert_eq!(check_stream(&mut net, joined), 41 + 29 * 3, "all of the GOP");
    stream.play(&mut net, publisher, 10);
    assert_eq!(check_stream(&mut net, joined), 41 + 39 * 3);
    check_stream(&mut net, watching);
}

#[test]
fn frames_leave_as_trains() {
    let mut net = Net::new(1, 4);
    let publisher = net.publisher(0);
    net.viewer(0, "h");
    let mut stream = Stream { packets_per_frame: 5, ..Stream::new("h", SSRC) };
    stream.play(&mut net, publisher, 1);
    net.trains.clear();
    stream.play(&mut net, publisher, 10);
    let trains = net.trains.iter().filter(|n| **n == 5).count();
    assert_eq!(trains, 10, "a frame of five packets is one train: {:?}", net.trains);
}

#[test]
fn lost_packets_come_again_as_retransmissions_when_asked_for() {
    let mut net = Net::new(1, 5);
    let publisher = net.publisher(0);
    let viewer = net.viewer(0, "h");
    let mut stream = Stream::new("h", SSRC);
    stream.play(&mut net, publisher, 1);
    net.loss = 100;
    stream.play(&mut net, publisher, 60);
    net.loss = 0;
    stream.play(&mut net, publisher, 1);
    let got: BTreeSet<u16> = net.peer(viewer).packets.iter().map(|p| p.header.sequence).collect();
    let (first, last) =
        (net.peer(viewer).packets[0].header.sequence, net.peer(viewer).packets.last().expect("some").header.sequence);
    let all = (0..=last.wrapping_sub(first)).map(|n| first.wrapping_add(n));
    let missing: Vec<u16> = all.filter(|n| !got.contains(n)).collect();
    assert!(missing.len() > 10, "{} packets were lost", missing.len());
    let ssrc = net.peer(viewer).packets[0].header.ssrc;
    let before = net.peer(viewer).packets.len();
    net.peer(viewer).send_rtcp(&rtcp::nack(sfu_core::Ssrc(5), ssrc, &missing));
    net.run(Duration::from_millis(5));
    let again = net.peer(viewer).packets.split_off(before);
    let restored: Vec<u16> = again
        .iter()
        .filter(|p| p.header.payload_type == 103)
        .map(|p| u16::from_be_bytes([p.payload[0], p.payload[1]]))
        .collect();
    assert_eq!(restored, missing, "each by its original sequence number");
    assert_eq!(net.peer(viewer).undecryptable, 0);
}

#[test]
fn packets_lost_on_the_way_in_are_asked_for_and_passed_on_late() {
    let mut net = Net::new(1, 6);
    let publisher = net.publisher(0);
    let viewer = net.viewer(0, "h");
    let mut stream = Stream::new("h", SSRC);
    stream.play(&mut net, publisher, 2);
    let mut frame = stream.next_frame();
    let (lost, index) = frame.remove(1);
    for (packet, index) in frame {
        net.peer(publisher).send_rtp(&packet, index);
    }
    net.run(Duration::from_millis(60));
    let asked = net
        .peer(publisher)
        .rtcp
        .iter()
        .flat_map(|d| rtcp::read(d))
        .any(|f| matches!(f, rtcp::Feedback::Nack { sequences, .. } if sequences == [index as u16]));
    assert!(asked, "the publisher was asked for the packet");
    net.peer(publisher).send_rtp(&lost, index);
    net.run(Duration::from_millis(5));
    let sequences: BTreeSet<u16> = net.peer(viewer).packets.iter().map(|p| p.header.sequence).collect();
    assert_eq!(sequences.len(), 41 + 3 + 3, "nothing is missing at the viewer");
}

#[test]
fn another_shard_gets_the_gop_and_then_every_packet_as_shared_batches() {
    let mut net = Net::new(2, 7);
    let publisher = net.publisher(0);
    let near = net.viewer(0, "h");
    let mut stream = Stream::new("h", SSRC);
    stream.play(&mut net, publisher, 20);
    let (far, far_too) = (net.viewer(1, "h"), net.viewer(1, "h"));
    stream.play(&mut net, publisher, 20);
    let all = 41 + 39 * 3;
    for viewer in [near, far, far_too] {
        assert_eq!(check_stream(&mut net, viewer), all);
    }
    assert_eq!(net.shards[1].counters().packets_in, 0);
}

#[test]
fn an_encoding_is_wanted_from_the_first_offer_until_it_has_lingered() {
    let mut net = Net::new(2, 8);
    net.publisher(0);
    assert!(!net.is_wanted("h") && !net.is_wanted("l"));
    let far = net.join(1, "l", false);
    net.run(Duration::from_millis(3));
    assert!(net.is_wanted("l"), "wanted before the viewer has connected");
    assert!(!net.is_wanted("h"));
    net.connect(far);
    net.handle(1, Input::Disconnect(PeerId(2)));
    net.run(Duration::from_secs(4));
    assert!(net.is_wanted("l"), "it lingers");
    net.run(Duration::from_secs(3));
    assert!(!net.is_wanted("l"), "nobody wants it any more");
}

#[test]
fn the_picture_comes_back_when_the_publisher_does() {
    let mut net = Net::new(2, 9);
    let publisher = net.publisher(0);
    let viewers = [net.viewer(0, "h"), net.viewer(1, "h")];
    Stream::new("h", SSRC).play(&mut net, publisher, 20);
    net.handle(0, Input::Disconnect(PeerId(1)));
    net.run(Duration::from_secs(2));
    assert!(net.notices.contains(&(0, Notice::Unpublished(PeerId(1), CAMERA))));
    let again = net.publisher(1);
    let mut stream = Stream { sequence: 7, time: 5, ..Stream::new("h", SSRC + 9) };
    stream.play(&mut net, again, 20);
    for viewer in viewers {
        assert_eq!(check_stream(&mut net, viewer), 2 * (41 + 19 * 3));
        let times: Vec<u32> = net.peer(viewer).packets.iter().map(|p| p.header.time).collect();
        let gap = times[41 + 19 * 3].wrapping_sub(times[40 + 19 * 3]);
        assert!((90_000..400_000).contains(&gap), "the pause stands in the timestamps: {gap} ticks");
    }
}

#[test]
fn viewers_keyframe_requests_end_at_the_node_and_the_publisher_is_asked_once_a_second() {
    let mut net = Net::new(2, 10);
    let publisher = net.publisher(0);
    let viewers = [net.viewer(0, "h"), net.viewer(1, "h")];
    // In the middle of a GOP that never ends: there is nothing cached that could help.
    let mut stream = Stream { frame: 1, gop: 10_000, ..Stream::new("h", SSRC) };
    stream.play(&mut net, publisher, 5);
    net.peer(publisher).rtcp.clear();
    for _ in 0..100 {
        for viewer in viewers {
            net.peer(viewer).send_rtcp(&rtcp::picture_loss(sfu_core::Ssrc(1), Net::ssrc(viewer, 0)));
        }
        stream.play(&mut net, publisher, 1);
    }
    let requests = net.peer(publisher).rtcp.iter().flat_map(|d| rtcp::read(d));
    let requests = requests.filter(|f| matches!(f, rtcp::Feedback::KeyframeRequest { .. })).count();
    assert!((3..=6).contains(&requests), "{requests} requests in 4 s");
}

#[test]
fn a_sender_report_keeps_the_publishers_relation_of_clock_and_timestamps() {
    let mut net = Net::new(2, 11);
    let publisher = net.publisher(0);
    let viewers = [net.viewer(0, "h"), net.viewer(1, "h")];
    let mut stream = Stream::new("h", SSRC);
    stream.play(&mut net, publisher, 3);
    let pair = sfu_core::ClockPair { ntp: 0xdead_beef_0000_0000, rtp: 1_000_000 };
    net.peer(publisher).send_rtcp(&rtcp::sender_report(sfu_core::Ssrc(SSRC), pair, 1, 1));
    net.run(Duration::from_millis(1500));
    for viewer in viewers {
        let reports = net.peer(viewer).rtcp.iter().flat_map(|d| rtcp::read(d)).filter_map(|f| match f {
            rtcp::Feedback::SenderReport { pair, .. } => Some(pair),
            _ => None,
        });
        let got = reports.reduce(|_, last| last).expect("a sender report within 1.5 s");
        let seconds = (got.ntp.wrapping_sub(pair.ntp)) as f64 / 4_294_967_296.0;
        let ticks = f64::from(got.rtp.wrapping_sub(pair.rtp));
        assert!((0.0..2.0).contains(&seconds));
        assert!((ticks - seconds * 90_000.0).abs() < 90.0, "{ticks} ticks in {seconds} s");
    }
}

#[test]
fn a_receiver_that_gives_its_clock_gets_it_back() {
    let mut net = Net::new(1, 12);
    net.publisher(0);
    let viewer = net.viewer(0, "h");
    // An extended report with a receiver reference time block (RFC 3611, section 4.4).
    let report = [0x80, 207, 0, 4, 0, 0, 0, 9, 4, 0, 0, 2, 0x11, 0x11, 0xaa, 0xbb, 0xcc, 0xdd, 0x22, 0x22];
    net.peer(viewer).send_rtcp(&report);
    net.run(Duration::from_millis(5));
    let answers = &net.peer(viewer).rtcp;
    let answer = answers.iter().find(|d| d[1] == 207).expect("an extended report");
    assert_eq!(answer[8..], [5, 0, 0, 3, 0, 0, 0, 9, 0xaa, 0xbb, 0xcc, 0xdd, 0, 0, 0, 0]);
}

#[test]
fn silent_peers_and_those_that_never_connect_are_let_go() {
    let mut net = Net::new(1, 13);
    net.publisher(0);
    net.viewer(0, "h");
    net.join(0, "h", false);
    net.run(Duration::from_secs(17));
    assert!(net.notices.contains(&(0, Notice::Gone(PeerId(3), Ended::NeverConnected))));
    net.run(Duration::from_secs(17));
    assert!(net.notices.contains(&(0, Notice::Gone(PeerId(2), Ended::Silent))));
    assert_eq!(net.shards[0].peer_count(), 0);
}

#[test]
fn a_viewer_that_is_removed_is_told() {
    let mut net = Net::new(1, 14);
    let viewer = net.viewer(0, "h");
    net.handle(0, Input::Disconnect(PeerId(1)));
    let said = net.peer(viewer).rtcp.iter().flat_map(|d| rtcp::read(d)).any(|f| matches!(f, rtcp::Feedback::Bye(_)));
    assert!(said, "RTCP BYE");
    assert!(net.peer(viewer).closed, "DTLS close_notify");
}

#[test]
fn what_a_publisher_pads_with_leaves_no_gap() {
    let mut net = Net::new(1, 16);
    let publisher = net.publisher(0);
    let viewer = net.viewer(0, "h");
    let mut stream = Stream::new("h", SSRC);
    for _ in 0..10 {
        stream.play(&mut net, publisher, 1);
        // Padding alone: the payload is none.
        let padding = video_packet(b'h', SSRC, stream.sequence as u16, stream.time, false, &[]);
        net.peer(publisher).send_rtp(&padding, stream.sequence);
        stream.sequence += 1;
        net.run(Duration::from_millis(5));
    }
    let sequences: Vec<u16> = net.peer(viewer).packets.iter().map(|packet| packet.header.sequence).collect();
    assert!(sequences.len() >= 40, "three of each picture, and the padding");
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{sequences:?}");
}

#[test]
fn strangers_get_no_answer_and_cost_nothing_but_a_count() {
    let mut net = Net::new(1, 15);
    net.publisher(0);
    let from = net::udp("10.9.9.9:9");
    net.trains.clear();
    let hello = [22u8, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0];
    for bytes in [&hello[..], &[0x80, 102, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1], &[0, 1, 0, 0], &[200], &[]] {
        net.handle(0, Input::Datagram { from, bytes, waited: Duration::ZERO });
    }
    assert!(net.trains.is_empty(), "nothing answers an address that proved nothing");
    let counters = net.shards[0].counters();
    assert_eq!(counters.refused_unknown_address + counters.refused_stun, 5);
}

#[test]
fn no_packet_is_sealed_twice_whatever_is_late_while_viewers_join() {
    for seed in 0..20 {
        let mut net = Net::new(2, seed);
        let publisher = net.publisher(0);
        let mut stream = Stream::new("h", SSRC);
        let mut held = Vec::new();
        for round in 0..40u64 {
            let turn = (seed + round) as usize;
            for (i, packet) in stream.next_frame().into_iter().enumerate() {
                if (turn + i).is_multiple_of(5) {
                    held.push(packet);
                } else {
                    net.peer(publisher).send_rtp(&packet.0, packet.1);
                }
            }
            net.step();
            let late = held.len() * turn % 3;
            for (packet, index) in held.drain(..late.min(held.len())).collect::<Vec<_>>() {
                net.peer(publisher).send_rtp(&packet, index);
            }
            if round % 4 == 1 {
                net.viewer(turn % 2, "h");
            }
            net.run(Duration::from_millis(turn as u64 % 7));
        }
        net.run(Duration::from_millis(200));
        assert!(net.peers.iter().skip(1).all(|(_, peer)| peer.packets.len() > 40), "everybody has a picture");
    }
}

#[test]
fn a_publisher_that_leaves_late_does_not_harm_the_one_that_replaced_it() {
    let mut net = Net::new(3, 16);
    let old = net.publisher(0);
    let viewers = [net.viewer(0, "h"), net.viewer(1, "h"), net.viewer(2, "h")];
    Stream::new("h", SSRC).play(&mut net, old, 20);
    let new = net.publisher(1);
    net.handle(0, Input::Disconnect(PeerId(1)));
    let before: Vec<usize> = viewers.iter().map(|v| net.peer(*v).packets.len()).collect();
    Stream { sequence: 9, time: 77, ..Stream::new("h", SSRC + 3) }.play(&mut net, new, 20);
    for (viewer, before) in viewers.iter().zip(before) {
        assert_eq!(check_stream(&mut net, *viewer), before + 41 + 19 * 3);
    }
}

#[test]
fn what_a_former_origin_still_says_is_void() {
    let mut net = Net::new(2, 17);
    let publisher = net.publisher(1);
    let viewer = net.viewer(1, "h");
    let void = ShardMessage::Origin { camera: CAMERA, from: ShardId(0), tracks: None };
    net.handle(1, Input::FromShard(void));
    Stream::new("h", SSRC).play(&mut net, publisher, 10);
    assert_eq!(check_stream(&mut net, viewer), 41 + 9 * 3);
}

#[test]
fn what_a_camera_showed_before_it_stopped_is_shown_to_nobody() {
    let mut net = Net::new(2, 18);
    let publisher = net.publisher(0);
    let watching = net.viewer(1, "h");
    let mut stream = Stream::new("h", SSRC);
    stream.play(&mut net, publisher, 30);
    net.run(Duration::from_secs(3));
    let late = [net.viewer(0, "h"), net.viewer(1, "h")];
    net.run(Duration::from_secs(1));
    for viewer in late {
        assert!(net.peer(viewer).packets.is_empty(), "the camera is silent: nothing of the past");
    }
    stream.play(&mut net, publisher, 40);
    net.handle(0, Input::Disconnect(PeerId(1)));
    let after = [net.viewer(0, "h"), net.viewer(1, "h")];
    net.run(Duration::from_millis(500));
    for viewer in after {
        assert!(net.peer(viewer).packets.is_empty(), "the camera is off: nothing of the past");
    }
    assert!(check_stream(&mut net, late[0]) > 40 && check_stream(&mut net, watching) > 40);
}

#[test]
fn a_viewer_that_lost_the_picture_gets_the_cached_gop_again() {
    let mut net = Net::new(1, 19);
    let publisher = net.publisher(0);
    let viewer = net.viewer(0, "h");
    let mut stream = Stream { gop: 10_000, ..Stream::new("h", SSRC) };
    stream.play(&mut net, publisher, 20);
    let before = check_stream(&mut net, viewer);
    for _ in 0..5 {
        let ssrc = net.peer(viewer).packets[0].header.ssrc;
        net.peer(viewer).send_rtcp(&rtcp::picture_loss(sfu_core::Ssrc(1), ssrc));
        net.run(Duration::from_millis(10));
    }
    assert_eq!(net.peer(viewer).packets[before].payload[0], 24, "the parameter sets");
    assert_eq!(net.shards[0].counters().keyframe_requests_out, 0, "the publisher is left alone");
    stream.play(&mut net, publisher, 1);
    net.run(Duration::from_millis(100));
    assert_eq!(check_stream(&mut net, viewer), 2 * before + 3, "once, and then live");
}

#[test]
fn a_burst_that_a_later_gop_overtakes_begins_with_that_one() {
    let mut net = Net::new(1, 23);
    let publisher = net.publisher(0);
    let watching = net.viewer(0, "h");
    let mut stream = Stream { gop: 125, packets_per_frame: 6, ..Stream::new("h", SSRC) };
    stream.play(&mut net, publisher, 122);
    let viewer = net.viewer(0, "h");
    stream.play(&mut net, publisher, 50);
    let packets = net.peer(viewer).packets.clone();
    let gaps = packets.windows(2).filter(|pair| pair[1].header.sequence != pair[0].header.sequence.wrapping_add(1));
    assert_eq!(gaps.count(), 0, "no sequence number stands for a packet that nobody holds any more");
    assert_eq!(
        packets.last().map(|p| &p.payload),
        net.peer(watching).packets.last().map(|p| &p.payload),
        "it caught up"
    );
}

#[test]
fn nobody_is_shown_more_than_granted() {
    let mut net = Net::new(2, 20);
    let publisher = net.publisher_of(0, &["h"]);
    let (small, large) = (net.viewer(1, "l"), net.viewer(1, "h"));
    Stream::new("h", SSRC).play(&mut net, publisher, 10);
    assert!(net.peer(small).packets.is_empty());
    assert!(check_stream(&mut net, large) > 40);
}

#[test]
fn an_address_in_use_is_not_taken_over() {
    let mut net = Net::new(1, 21);
    let publisher = net.publisher(0);
    let viewer = net.viewer(0, "h");
    let thief = net.join(0, "h", false);
    net.peer(thief).address = net.peers[publisher].1.address;
    net.peer(thief).check();
    net.step();
    Stream::new("h", SSRC).play(&mut net, publisher, 5);
    assert_eq!(check_stream(&mut net, viewer), 41 + 4 * 3);
    assert_eq!(net.shards[0].counters().refused_stun, 1);
}
