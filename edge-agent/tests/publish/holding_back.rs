//! What the uplink does not carry: it is held back and said so, what stands in for it goes on, and probes find out when
//! it is carried.

use crate::{
    setup::{PATIENCE, Setup, frame},
    whip_server::{Seen, WhipServer},
};
use edge_agent::{
    h264::AccessUnit,
    uplink::{Estimator, Told, Uplink},
};
use protocol::Rid;
use std::time::{Duration, Instant};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_back_says_goodbye_and_what_stands_in_for_it_goes_on_when_it_is_wanted() {
    let mut setup = Setup::published().await;
    setup.want([Rid::high()]);
    let large = setup.packets(|p| p.header.marker).await.remove(0).header.ssrc;
    setup.hold([Rid::high()], &[Rid::low()]);
    let gone = async {
        loop {
            match setup.server.seen.recv().await {
                Some(Seen::Goodbye(gone)) => return gone,
                seen => assert!(seen.is_some(), "open"),
            }
        }
    };
    assert_eq!(timeout(PATIENCE, gone).await.expect("in time"), [large]);
    let small = setup.packets(|p| p.header.ssrc != large && p.header.marker).await.pop().expect("one");
    setup.hold([Rid::high(), Rid::low()], &[Rid::low()]);
    (50..60).for_each(|i| setup.low.push(frame(i)));
    // A frame's bytes are its number.
    let number = u32::from(*small.payload.last().expect("not empty"));
    let end = small.header.timestamp.wrapping_add((59 - number) * 3600);
    let rest = setup.packets(|p| p.header.ssrc != large && p.header.timestamp == end && p.header.marker).await;
    assert!(!rest.iter().any(|p| p.payload[0] & 0x1f == 24), "it does not begin anew");
    setup.hold([Rid::high(), Rid::low()], &[Rid::low(), Rid::high()]);
    let high = setup.high.clone();
    let playing = tokio::spawn(async move {
        for i in 60.. {
            high.push(AccessUnit { ticks: i * 3600, ..frame(if i % 10 == 0 { 0 } else { i }) });
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let packets = setup.packets(|p| p.header.ssrc == large && p.header.marker).await;
    playing.abort();
    let first = packets.iter().find(|p| p.header.ssrc == large).expect("one");
    assert_eq!(first.payload[0] & 0x1f, 24, "a step up begins with the next keyframe");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_up_is_sent_again_on_request_once_its_keyframe_has_left() {
    let mut setup = Setup::published().await;
    setup.want([Rid::high()]);
    let large = setup.packets(|p| p.header.marker).await.remove(0).header.ssrc;
    setup.hold([Rid::high(), Rid::low()], &[Rid::low()]);
    setup.until(|b| !b.health()[0].encodings[0].sending && b.health()[0].encodings[1].sending).await;
    setup.hold([Rid::high(), Rid::low()], &[Rid::low(), Rid::high()]);
    setup.until(|b| b.health()[0].encodings[0].sending).await;
    let starts = |packets: &[rtc::rtp::Packet]| {
        packets.iter().filter(|p| p.header.ssrc == large && p.payload[0] & 0x1f == 24).count()
    };
    // Longer than a GOP is not sent again after it was.
    let asking = Instant::now();
    while asking.elapsed() < Duration::from_millis(2500) {
        setup.server.request_keyframe(large).await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    setup.high.push(AccessUnit { ticks: 60 * 3600, ..frame(0) });
    // A frame's bytes are its number.
    (61..70).for_each(|i| setup.high.push(frame(i)));
    let is_last = |p: &rtc::rtp::Packet| p.header.ssrc == large && p.header.marker && p.payload.last() == Some(&69);
    let packets = setup.packets(is_last).await;
    let step = packets.iter().rposition(|p| p.payload.last() == Some(&49)).map_or(0, |at| at + 1);
    assert_eq!(starts(&packets[step..]), 1, "nothing is sent before the step's keyframe, and that once");
    let asked = Instant::now();
    let again = loop {
        setup.server.request_keyframe(large).await;
        match timeout(Duration::from_secs(1), setup.packets(is_last)).await {
            Ok(packets) => break packets,
            Err(_) => assert!(asked.elapsed() < PATIENCE, "never sent again"),
        }
    };
    assert_eq!(starts(&again), 1);
}

/// An uplink that was full, and that is probed for more from now on.
fn probed() -> Uplink {
    let (began, mut estimator) = (Instant::now() - Duration::from_secs(30), Estimator::default());
    let (way, mut now) = (estimator.open(began), began);
    // 400 packets in a second, ever later; then 100 a second, as soon as they are sent.
    for at in 0..2000u64 {
        let (interval, late) = if at < 400 { (2500, at * 1000) } else { (10_000, 0) };
        now += Duration::from_micros(interval);
        let number = estimator.send(now, way, 1200);
        let came = (now - began).as_micros() as i64 + late as i64;
        estimator.hear(now, way, [Told { number, came: Some(came) }]);
        if at % 20 == 0 {
            estimator.tick(now);
            estimator.aim(estimator.limit().map(|limit| 4 * limit));
        }
        if estimator.is_probing() {
            return Uplink::from(estimator);
        }
    }
    panic!("no probe began: {estimator:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_uplink_is_probed_though_no_picture_leaves() {
    let mut setup = Setup::over(probed(), WhipServer::start().await, &[Rid::high()], "the-grant").await;
    setup.want([Rid::high()]);
    setup.packets(|p| p.header.marker && p.payload.last() == Some(&49)).await;
    let mut large = setup.server.large();
    let enough = *large.borrow() + 500;
    // No more pictures come.
    timeout(Duration::from_secs(4), large.wait_for(|came| *came >= enough)).await.expect("in time").expect("counted");
}
