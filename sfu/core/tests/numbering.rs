//! Transport-wide numbers of what a viewer is sent: one space for pictures, sound and what is sent again.

mod net;

use net::streams::{Stream, sound_packet};
use net::{CAMERA, Net, SSRC};
use sfu_core::bandwidth::Estimation;
use sfu_core::rtcp::{self, Feedback};
use sfu_core::{SlotId, Ssrc};
use std::collections::BTreeSet;

const SOUND: u32 = 0x5000;

/// A viewer of a camera with sound, which misses packets now and then.
fn watch(net: &mut Net) -> usize {
    let publisher = net.publisher(0);
    let viewer = net.watching_session(0);
    net.show(viewer, SlotId::Audio, Some((CAMERA, "h")));
    let mut picture = Stream::new("h", SSRC);
    for n in 0..50 {
        picture.play(net, publisher, 1);
        let (packet, index) = sound_packet(SOUND, n);
        net.peer(publisher).send_rtp(&packet, index);
        if n % 10 == 9 {
            let pictures = Net::ssrc(viewer, 0);
            let last = net.peer(viewer).packets.iter().rfind(|packet| packet.header.ssrc == pictures);
            let last = last.expect("a picture").header.sequence;
            net.peer(viewer).send_rtcp(&rtcp::nack(Ssrc(1), pictures, &[last, last.wrapping_sub(1)]));
        }
        net.step();
    }
    viewer
}

#[test]
fn whatever_a_viewer_is_sent_has_the_next_number() {
    let mut net = Net::new(1, 1);
    net.estimation = Estimation::Twcc;
    let viewer = watch(&mut net);
    let packets = &net.peer(viewer).packets;
    let streams: BTreeSet<u32> = packets.iter().map(|packet| packet.header.ssrc.0).collect();
    assert_eq!(streams.len(), 3, "pictures, sound, retransmissions");
    for (n, packet) in packets.iter().enumerate() {
        assert_eq!(packet.number, Some(n as u16), "{:?}", packet.header);
        assert_eq!(packet.send_time, None);
    }
    assert!(net.trains.iter().any(|packets| *packets > 1), "frames are trains all the same");
}

#[test]
fn viewers_whose_networks_are_estimated_otherwise_get_no_numbers() {
    let mut net = Net::new(1, 2);
    let viewer = watch(&mut net);
    let is_sound = |ssrc| ssrc == Net::ssrc(viewer, 16);
    for packet in &net.peer(viewer).packets {
        assert_eq!((packet.number, packet.send_time.is_none()), (None, is_sound(packet.header.ssrc)));
    }
}

#[test]
fn packets_of_a_datagram_are_found_whatever_stands_in_it() {
    let nack = rtcp::nack(Ssrc(1), Ssrc(2), &[7]);
    let loss = rtcp::picture_loss(Ssrc(1), Ssrc(2));
    let both = [nack.clone(), loss.clone()].concat();
    assert_eq!(rtcp::packets(&both).collect::<Vec<_>>(), [nack.as_slice(), &loss]);
    assert_eq!(rtcp::read(&loss), [Feedback::KeyframeRequest { ssrc: Ssrc(2) }]);
    assert_eq!(rtcp::packets(&both[..both.len() - 1]).map(<[u8]>::len).sum::<usize>(), both.len() - 1, "one is cut");
    assert_eq!(rtcp::packets(&[0x80]).count(), 1);
    assert_eq!(rtcp::packets(&[]).count(), 0);
}
