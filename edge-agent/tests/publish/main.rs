//! What reaches a media node: nothing that is unwanted; else the cached GOP in order, then live, sound, and answers to
//! NACKs; and that it is reached again when it ends a connection.

mod holding_back;
mod setup;
mod whip_server;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use edge_agent::sound::{Codec, Packet};
use protocol::Rid;
use rtc::rtcp::sender_report::SenderReport;
use setup::{EPOCH, PATIENCE, Setup, frame, has_extension};
use std::time::{Duration, Instant, SystemTime};
use tokio::time::timeout;
use whip_server::{Seen, WhipServer};

#[tokio::test(flavor = "multi_thread")]
async fn the_cached_gop_of_what_is_wanted_goes_out_four_times_as_fast_and_nothing_else() {
    let mut setup = Setup::published().await;
    let start = Instant::now();
    setup.want([Rid::low()]);
    let last = 49 * 3600;
    let first = setup.packets(|_| true).await.remove(0);
    let base = first.header.timestamp;
    let rest = setup.packets(|p| p.header.timestamp.wrapping_sub(base) == last && p.header.marker).await;
    let burst = start.elapsed();
    assert!((400..900).contains(&burst.as_millis()), "2 s of pictures took {burst:?}");

    let packets: Vec<_> = std::iter::once(first).chain(rest).collect();
    assert_eq!(packets[0].payload[0] & 0x1f, 24, "SPS and PPS first");
    assert_eq!((packets[1].payload[0] & 0x1f, packets[1].payload[1] & 0x9f), (28, 0x85), "then an IDR's start");
    for pair in packets.windows(2) {
        let [a, b] = pair else { unreachable!("windows of two") };
        assert_eq!(a.header.marker, a.header.timestamp != b.header.timestamp);
    }
    let numbers = packets.iter().map(|p| p.header.sequence_number);
    let missing: u16 = numbers.clone().zip(numbers.skip(1)).map(|(a, b)| b.wrapping_sub(a) - 1).sum();
    assert_eq!(missing, 1, "the one that the path loses");
    for packet in &packets {
        assert!(has_extension(packet, "l") && has_extension(packet, "0"), "{:?}", packet.header.extensions);
    }
    let health = setup.board.health().remove(0);
    assert_eq!((health.encodings[0].sending, health.encodings[0].sent_bytes), (false, 0));
    assert!(health.encodings[1].sending && health.encodings[1].sent_bytes > 150_000);

    let live = Instant::now();
    setup.low.push(frame(50));
    setup.packets(|p| p.header.timestamp.wrapping_sub(base) == 50 * 3600).await;
    assert!(live.elapsed() < Duration::from_millis(100), "a live frame goes out at once");
}

/// An NTP timestamp in microseconds since the Unix epoch.
fn micros(ntp: u64) -> u64 {
    ((ntp >> 32) - 2_208_988_800) * 1_000_000 + (((ntp & 0xffff_ffff) * 1_000_000) >> 32)
}

#[tokio::test(flavor = "multi_thread")]
async fn sender_reports_state_when_a_frame_was_captured() {
    let mut setup = Setup::published().await;
    setup.want([Rid::high()]);
    let packet = setup.packets(|_| true).await.remove(0);
    let report = setup.report().await;
    assert_eq!(report.ssrc, packet.header.ssrc);
    let micros = micros(report.ntp_time);
    let ticks = u64::from(report.rtp_time.wrapping_sub(packet.header.timestamp));
    // A tick is 11 microseconds.
    assert!(micros.abs_diff(*EPOCH + ticks * 100 / 9) <= 12, "{micros} at {ticks}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_packet_is_sent_again_and_a_keyframe_request_arrives() {
    let mut setup = Setup::published().await;
    let mut requests = setup.high.keyframe_requests();
    setup.want([Rid::high()]);
    let packets = setup.packets(|p| p.header.marker).await;
    let gap = |p: &[rtc::rtp::Packet]| p[1].header.sequence_number.wrapping_sub(p[0].header.sequence_number) == 2;
    let before = packets.windows(2).find(|p| gap(p)).expect("one packet was lost")[0].header.clone();
    setup.server.request_keyframe(before.ssrc).await;
    timeout(PATIENCE, requests.changed()).await.expect("in time").expect("open");
    let lost = before.sequence_number.wrapping_add(1);
    setup.server.nack(before.ssrc, lost).await;
    let again = setup.packets(|p| p.header.sequence_number == lost).await;
    let again = again.last().expect("at least the one waited for");
    assert_eq!((again.header.ssrc, again.header.timestamp), (before.ssrc, before.timestamp));
    assert!(has_extension(again, "h"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gop_that_is_wanted_again_gets_later_timestamps() {
    let mut setup = Setup::published().await;
    setup.want([Rid::high()]);
    let first = setup.packets(|p| p.header.marker).await.remove(0);
    setup.want([]);
    setup.until(|b| !b.health()[0].encodings[0].sending).await;
    setup.want([Rid::high()]);
    let is_start =
        |p: &rtc::rtp::Packet| p.payload[0] & 0x1f == 24 && p.header.sequence_number != first.header.sequence_number;
    let packets = setup.packets(is_start).await;
    for pair in packets.windows(2) {
        let [a, b] = pair else { unreachable!("windows of two") };
        assert!(b.header.sequence_number.wrapping_sub(a.header.sequence_number) <= 2, "one packet is lost on the way");
        assert!(b.header.timestamp.wrapping_sub(a.header.timestamp) < 1 << 31);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_streams_are_simulcast_and_one_is_a_plain_stream_that_names_its_rid_all_the_same() {
    let setup = Setup::published().await;
    assert!(setup.server.offer().contains("a=simulcast:send h;l"), "{}", setup.server.offer());
    let mut setup = Setup::with_streams(&[Rid::high()]).await;
    assert!(!setup.server.offer().contains("a=simulcast") && setup.server.offer().contains("a=ssrc:"));
    setup.want([Rid::high()]);
    let packet = setup.packets(|_| true).await.remove(0);
    assert!(has_extension(&packet, "h") && setup.server.offer().contains(&format!("a=ssrc:{}", packet.header.ssrc)));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_the_session() {
    let setup = Setup::published().await;
    setup.stop.send_replace(true);
    timeout(PATIENCE, setup.task).await.expect("in time").expect("no panic");
    assert!(setup.server.was_deleted());
}

/// Whether a packet begins another GOP than the one that `first` began.
fn begins_anew(packet: &rtc::rtp::Packet, first: &rtc::rtp::Packet) -> bool {
    packet.payload[0] & 0x1f == 24 && packet.header.sequence_number != first.header.sequence_number
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_makes_no_keyframes_has_its_gop_sent_again_on_request() {
    let mut setup = Setup::published().await;
    setup.want([Rid::high()]);
    let first = setup.packets(|p| p.header.marker).await.remove(0);
    let end = first.header.timestamp.wrapping_add(49 * 3600);
    let last = setup.packets(|p| p.header.timestamp == end && p.header.marker).await.pop().expect("one");
    let asked = Instant::now();
    // As the node does: once a second until it comes.
    let again = loop {
        setup.server.request_keyframe(first.header.ssrc).await;
        match timeout(Duration::from_secs(1), setup.packets(|p| begins_anew(p, &first))).await {
            Ok(packets) => break packets.last().expect("the one waited for").header.clone(),
            Err(_) => assert!(asked.elapsed() < PATIENCE),
        }
    };
    assert!(again.timestamp.wrapping_sub(last.header.timestamp) < 1 << 31, "later than all before");
    let idr = setup.packets(|_| true).await.remove(0);
    assert_eq!((idr.payload[0] & 0x1f, idr.payload[1] & 0x9f), (28, 0x85), "an IDR's start");
    setup.server.request_keyframe(first.header.ssrc).await;
    let rest =
        setup.packets(|p| p.header.timestamp == again.timestamp.wrapping_add(49 * 3600) && p.header.marker).await;
    assert!(!rest.iter().any(|p| p.payload[0] & 0x1f == 24), "not again within 2 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoding_that_was_unwanted_for_a_moment_is_sent_from_its_start() {
    let mut setup = Setup::published().await;
    setup.want([Rid::high()]);
    let first = setup.packets(|p| p.header.marker).await.remove(0);
    setup.change(|w| {
        w.replace([], false);
        w.replace([Rid::high()], false)
    });
    setup.packets(|p| begins_anew(p, &first)).await;
}

/// The `i`th 20 ms of sound.
fn sound(i: u64, codec: Codec) -> Packet {
    let step = u64::from(codec.clock_rate()) / 50;
    let payload = Bytes::from(vec![i as u8; 160]);
    Packet { codec, payload, ticks: i * step, captured_micros: *EPOCH + i * 20_000, stream: 0 }
}

impl Setup {
    async fn with_sound() -> Self {
        Self::at(WhipServer::start_with(true).await, &[Rid::high(), Rid::low()], "the-grant").await
    }

    /// Packets of sound `from` on, sent as they come, until so many have arrived; and the first report.
    async fn heard(&mut self, from: u64, codec: Codec, count: usize) -> (Vec<rtc::rtp::Packet>, SenderReport) {
        let (feed, mut i) = (self.sound.clone(), from);
        let speaking = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            loop {
                tick.tick().await;
                feed.push(sound(i, codec));
                i += 1;
            }
        });
        let (mut packets, mut report) = (Vec::new(), None);
        while packets.len() < count || report.is_none() {
            match timeout(PATIENCE, self.server.seen.recv()).await.expect("in time").expect("open") {
                Seen::Rtp(packet) => packets.push(packet),
                Seen::Report(r) => report = report.or(Some(r)),
                Seen::Goodbye(_) => {}
            }
        }
        speaking.abort();
        (packets, report.expect("waited for"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_is_sent_as_it_comes_while_it_is_wanted_and_reports_state_when_it_was_captured() {
    let mut setup = Setup::with_sound().await;
    let offer = setup.server.offer();
    for line in ["a=rtpmap:111 opus/48000/2", "a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000"] {
        assert!(offer.contains(line), "{line}: {offer}");
    }
    let streams: Vec<_> = offer.lines().filter_map(|l| l.strip_prefix("a=msid:")?.split(' ').next()).collect();
    assert!(streams.len() == 2 && streams[0] == streams[1], "one media stream: {streams:?}");
    (0..10).for_each(|i| setup.sound.push(sound(i, Codec::Pcma)));
    setup.change(|w| w.replace([], true));
    let (packets, report) = setup.heard(100, Codec::Pcma, 10).await;
    assert!(packets[0].header.marker && !packets[1].header.marker);
    for pair in packets.windows(2) {
        let [a, b] = [&pair[0], &pair[1]];
        assert_eq!((b.header.payload_type, b.payload.len()), (8, 160));
        assert_eq!(b.header.sequence_number.wrapping_sub(a.header.sequence_number), 1);
        assert_eq!(b.header.timestamp.wrapping_sub(a.header.timestamp), 160);
        assert_eq!(b.payload[0].wrapping_sub(a.payload[0]), 1);
    }
    assert_eq!(report.ssrc, packets[0].header.ssrc);
    // The second of frame 0 of the picture is that of packet 0 of the sound.
    let number = u64::from(packets[0].payload[0]);
    let ticks = u64::from(report.rtp_time.wrapping_sub(packets[0].header.timestamp));
    let expected = *EPOCH + number * 20_000 + ticks * 125;
    assert!(micros(report.ntp_time).abs_diff(expected) <= 126, "within a tick");

    let (packets, _) = setup.heard(40, Codec::Opus, 5).await;
    assert_eq!(packets.last().map(|p| p.header.payload_type), Some(111));
    setup.change(|w| w.replace([Rid::low()], false));
    let picture =
        setup.packets(|p| p.header.payload_type == packets[0].header.payload_type || has_extension(p, "l")).await;
    assert!(picture.last().is_some_and(|p| has_extension(p, "l")), "no more sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_takes_no_sound_gets_the_pictures() {
    let mut setup = Setup::published().await;
    assert!(setup.server.answer().contains("m=audio 0 "), "{}", setup.server.answer());
    setup.change(|w| w.replace([Rid::high()], true));
    (0..10).for_each(|i| setup.sound.push(sound(i, Codec::Pcma)));
    let packets = setup.packets(|p| p.header.marker).await;
    assert!(packets.iter().all(|p| has_extension(p, "h")));
    assert!(setup.board.health()[0].published);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_node_ends_is_made_anew_at_once() {
    let mut setup = Setup::published().await;
    setup.want([Rid::high()]);
    setup.packets(|p| p.header.marker).await;
    let ended = Instant::now();
    setup.server.say_goodbye().await;
    setup.until(|b| !b.health()[0].published).await;
    setup.until(|b| b.health()[0].published).await;
    assert!(ended.elapsed() < Duration::from_secs(1), "after {:?}", ended.elapsed());
    assert_eq!(setup.server.grants().len(), 2);
}

/// A grant that ends in so many seconds.
fn grant_for(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{}}}", now + seconds)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_grant_opens_a_new_connection_before_the_old_one_is_given_up() {
    let (old, new) = (grant_for(60), grant_for(3600));
    let setup = Setup::at(WhipServer::start().await, &[Rid::high()], &old).await;
    let mut changed = setup.board.changed();
    let watched = setup.board.clone();
    let never_down =
        tokio::spawn(async move { while watched.health()[0].published && changed.changed().await.is_ok() {} });
    setup.signaling.grant().renew(new.clone().into()).await.expect("kept");
    let replaced = async {
        while !setup.server.was_deleted() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, replaced).await.expect("the old session is ended");
    assert_eq!(setup.server.grants(), [old, new]);
    assert!(!never_down.is_finished(), "published all the time");
    never_down.abort();
}
