//! Sound: it passes through as it is coded, and keeps its relation to the picture.

mod net;

use net::streams::{Stream, sound_packet};
use net::{CAMERA, Net, SSRC};
use sfu_core::rtcp::{self, Feedback};
use sfu_core::rtp::Header;
use sfu_core::{CameraKey, ClockPair, SlotId, SlotState, Ssrc, Track};
use std::time::Duration;

const SOUND: u32 = 0x5000;

fn play(net: &mut Net, publisher: usize, from: u64, count: u64) {
    for n in from..from + count {
        let (packet, index) = sound_packet(SOUND, n);
        net.peer(publisher).send_rtp(&packet, index);
        net.run(Duration::from_millis(20));
    }
}

fn ssrc(viewer: usize) -> Ssrc {
    Net::ssrc(viewer, 16)
}

#[test]
fn sound_passes_through_from_the_next_packet_on() {
    let mut net = Net::new(2, 1);
    let publisher = net.publisher(0);
    let viewers = [net.session(0, 1), net.session(1, 1)];
    for viewer in viewers {
        net.show(viewer, SlotId::Audio, Some((CAMERA, "h")));
    }
    play(&mut net, publisher, 0, 50);
    for viewer in viewers {
        let packets = net.packets(viewer, ssrc(viewer));
        assert_eq!(packets.len(), 50);
        assert_eq!(packets[7].header.payload_type, 8, "A-law, under the viewer's own number");
        assert_eq!(packets[7].payload, [7; 160]);
        assert!(packets.windows(2).all(|p| p[1].header.time - p[0].header.time == 160));
        assert_eq!(net.states(viewer, SlotId::Audio).last(), Some(&(Some(CAMERA), SlotState::Live)));
    }
    let late = net.session(0, 1);
    net.show(late, SlotId::Audio, Some((CAMERA, "h")));
    play(&mut net, publisher, 50, 10);
    assert!((10..=11).contains(&net.packets(late, ssrc(late)).len()), "no burst of what is past");
}

#[test]
fn sound_is_wanted_only_while_somebody_listens() {
    let mut net = Net::new(1, 2);
    net.publisher(0);
    let viewer = net.session(0, 1);
    let wanted = |net: &Net| {
        let said = net.notices.iter().rev().find_map(|(_, n)| match n {
            sfu_core::Notice::Wanted(id, wanted) if id.track == Track::Audio => Some(*wanted),
            _ => None,
        });
        said.unwrap_or(false)
    };
    assert!(!wanted(&net));
    net.show(viewer, SlotId::Audio, Some((CAMERA, "h")));
    assert!(wanted(&net));
    net.show(viewer, SlotId::Audio, None);
    net.run(Duration::from_secs(7));
    assert!(!wanted(&net));
}

#[test]
fn a_viewer_without_the_codec_gets_no_packet_of_it() {
    let mut net = Net::new(1, 3);
    let publisher = net.publisher(0);
    let viewer = net.session_without(0, "a=rtpmap:8 PCMA/8000\r\n", "111 8 0", "111 0");
    net.show(viewer, SlotId::Audio, Some((CAMERA, "h")));
    play(&mut net, publisher, 0, 10);
    assert_eq!(net.packets(viewer, ssrc(viewer)), []);
}

#[test]
fn reports_give_sound_and_picture_one_clock() {
    let mut net = Net::new(1, 4);
    let publisher = net.publisher(0);
    let viewer = net.session(0, 1);
    net.show(viewer, SlotId::Audio, Some((CAMERA, "h")));
    play(&mut net, publisher, 0, 3);
    let pair = ClockPair { ntp: 9 << 32, rtp: 5_000 };
    net.peer(publisher).send_rtcp(&rtcp::sender_report(Ssrc(SOUND), pair, 1, 1));
    net.run(Duration::from_secs(2));
    let reports = net.peer(viewer).rtcp.iter().flat_map(|d| rtcp::read(d)).filter_map(|f| match f {
        Feedback::SenderReport { ssrc: of, pair } if of == ssrc(viewer) => Some(pair),
        _ => None,
    });
    let reports: Vec<ClockPair> = reports.collect();
    assert!(!reports.is_empty());
    for report in reports {
        let micros = (u128::from(report.ntp - pair.ntp) * 1_000_000) >> 32;
        let ticks = u128::from(report.rtp - pair.rtp);
        assert!(ticks.abs_diff(micros * 8_000 / 1_000_000) <= 1, "the sound's own rate: {micros} us, {ticks} ticks");
    }
}

#[test]
fn only_a_picture_whose_sound_is_heard_waits_for_it() {
    let mut net = Net::new(1, 5);
    let publisher = net.publisher(0);
    let offer_extension = 5;
    let viewer = net.watching_session(0);
    let mut picture = Stream::new("h", SSRC);
    let mut delay = |net: &mut Net| {
        picture.play(net, publisher, 1);
        let packet = net.peer(viewer).raw.clone().expect("a packet");
        let header = Header::read(&packet, false).expect("well-formed");
        let value = header.extension(&packet, offer_extension).expect("a playout delay");
        let value = u32::from_be_bytes([0, value[0], value[1], value[2]]);
        (value >> 12, value & 0xfff)
    };
    assert_eq!(delay(&mut net), (0, 0));
    net.show(viewer, SlotId::Audio, Some((CAMERA, "h")));
    assert_eq!(delay(&mut net), (10, 50), "in units of 10 ms");
    net.show(viewer, SlotId::Audio, Some((CameraKey(1), "h")));
    assert_eq!(delay(&mut net), (0, 0), "the sound of another camera");
    net.show(viewer, SlotId::Audio, None);
    assert_eq!(delay(&mut net), (0, 0));
}
