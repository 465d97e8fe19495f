//! Where packets are lost, pictures wait for what comes again; where none are, they are shown as they come.

mod net;

use net::streams::Stream;
use net::{CAMERA, Net, SSRC};
use rtc_rtcp::extended_report::ExtendedReport;
use rtc_rtcp::extended_report::dlrr::DLRRReportBlock;
use rtc_rtcp::extended_report::rrt::ReceiverReferenceTimeReportBlock;
use rtc_rtcp::packet::{marshal, unmarshal};
use sfu_core::path::{Path, SentReports};
use sfu_core::rtcp::{self, Feedback};
use sfu_core::rtp::Header;
use sfu_core::source::Reception;
use sfu_core::{ClockPair, Input, SlotId, Ssrc};
use std::time::{Duration, Instant};

/// Extension id of the playout delay in the offers of sessions.
const PLAYOUT_DELAY: u8 = 5;
/// 1/256 of a share in percent.
const PERCENT: f64 = 2.56;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn a_round_trip_is_that_of_the_report_which_is_spoken_of() {
    let (mut sent, start) = (SentReports::default(), start());
    let stamp = |ntp: u64| (ntp >> 16) as u32;
    let [first, second, third] = [7 << 32, 8 << 32, 9 << 32];
    assert_eq!(sent.round_trip(0, 0, start), None, "none was sent");
    sent.sent(first, start);
    sent.sent(second, start + ms(1000));
    let delay = 65_536 / 4;
    assert_eq!(sent.round_trip(stamp(first), delay, start + ms(330)), Some(ms(80)));
    assert_eq!(sent.round_trip(stamp(second), 0, start + ms(1060)), Some(ms(60)));
    assert_eq!(sent.round_trip(stamp(second), 2 * delay, start + ms(1060)), None, "held for longer than it is out");
    sent.sent(third, start + ms(2000));
    assert_eq!(sent.round_trip(stamp(first), delay, start + ms(2500)), None, "too long ago");
}

#[test]
fn the_wait_comes_with_lasting_loss_and_goes_with_it() {
    let mut path = Path::default();
    for n in 0..100 {
        path.report(u8::from(n % 4 == 0), Some(ms(60)));
    }
    path.report((2.0 * PERCENT) as u8, Some(ms(60)));
    assert_eq!(path.wait(), Duration::ZERO, "a little now and then");
    let changes = (0..60).filter(|_| path.report((5.0 * PERCENT) as u8, Some(ms(60)))).count();
    assert_eq!((path.wait(), changes), (ms(90), 1), "1.5 round trips, said once");
    let clean = (1..100).find(|_| path.report(0, Some(ms(60)))).expect("it ends");
    assert_eq!(path.wait(), Duration::ZERO);
    assert!((10..40).contains(&clean), "after {clean} reports");
}

#[test]
fn the_wait_follows_the_round_trip_within_bounds() {
    let wait = |round_trip: Option<Duration>| {
        let mut path = Path::default();
        for _ in 0..100 {
            path.report(20, round_trip);
        }
        path.wait()
    };
    assert_eq!(wait(None), ms(150), "before a round trip was measured");
    assert_eq!(wait(Some(ms(1))), ms(40));
    assert_eq!(wait(Some(ms(200))), ms(300));
    assert_eq!(wait(Some(ms(60_000))), ms(1000));
}

/// A viewer of a picture with a clock, and what it is asked to wait at least and at most, in units of 10 ms.
struct Stage {
    net: Net,
    publisher: usize,
    viewer: usize,
    picture: Stream,
    steps: u32,
    /// How long what the viewer says waits to be read.
    waited: Duration,
}

impl Stage {
    fn new(seed: u64) -> Self {
        let mut net = Net::new(1, seed);
        let publisher = net.publisher(0);
        let viewer = net.watching_session(0);
        let mut stage = Self { net, publisher, viewer, picture: Stream::new("h", SSRC), steps: 0, waited: ms(0) };
        stage.play(25);
        let clock = ClockPair { ntp: 9 << 32, rtp: 5_000 };
        stage.net.peer(publisher).send_rtcp(&rtcp::sender_report(Ssrc(SSRC), clock, 1, 1));
        stage.play(25);
        stage
    }

    fn play(&mut self, frames: usize) {
        self.picture.play(&mut self.net, self.publisher, frames);
    }

    fn wait(&mut self) -> (u32, u32) {
        self.play(1);
        let packet = self.net.peer(self.viewer).raw.clone().expect("a packet");
        let header = Header::read(&packet, false).expect("well-formed");
        let value = header.extension(&packet, PLAYOUT_DELAY).expect("a playout delay");
        let value = u32::from_be_bytes([0, value[0], value[1], value[2]]);
        (value >> 12, value & 0xfff)
    }

    /// A millisecond, the camera sending its 25 frames a second.
    fn step(&mut self) {
        self.steps += 1;
        if self.steps.is_multiple_of(40) {
            for (packet, index) in self.picture.next_frame() {
                self.net.peer(self.publisher).send_rtp(&packet, index);
            }
        }
        self.net.step();
    }

    /// Reports so much loss `after` the newest sender report came.
    fn report(&mut self, fraction_lost: u8, after: Duration) {
        let ours = Net::ssrc(self.viewer, 0);
        self.net.peer(self.viewer).rtcp.clear();
        let seen = loop {
            self.step();
            let said = self.net.peer(self.viewer).rtcp.iter().flat_map(|datagram| rtcp::read(datagram)).last();
            if let Some(Feedback::SenderReport { ssrc, pair }) = said {
                assert_eq!(ssrc, ours);
                break pair.ntp;
            }
        };
        (0..after.as_millis()).for_each(|_| self.step());
        let last_report = (seen >> 16) as u32;
        let reception = Reception { fraction_lost, total_lost: 0, highest: 0, jitter: 0, last_report, delay: 0 };
        self.say(&rtcp::receiver_report(Ssrc(1), &[(ours, reception)]));
    }

    /// What the viewer says comes at once, and waits to be read.
    fn say(&mut self, plain: &[u8]) {
        let viewer = self.net.peer(self.viewer);
        viewer.send_rtcp(plain);
        let (from, datagram) = (viewer.address, viewer.out.pop().expect("a datagram"));
        (0..self.waited.as_millis()).for_each(|_| self.step());
        self.net.handle(0, Input::Datagram { from, bytes: &datagram, waited: self.waited });
    }
}

#[test]
fn a_viewer_that_loses_packets_is_told_to_wait_until_they_can_come_again() {
    let mut stage = Stage::new(3);
    assert_eq!(stage.wait(), (0, 0));
    stage.report(0, ms(80));
    assert_eq!(stage.wait(), (0, 0), "nothing is lost");
    for _ in 0..4 {
        stage.report(26, ms(80));
    }
    let (least, most) = stage.wait();
    assert!((12..=13).contains(&least) && most == 50, "1.5 times 80 ms: {least}, {most}");
    for _ in 0..40 {
        stage.report(0, ms(80));
    }
    assert_eq!(stage.wait(), (0, 0));
}

#[test]
fn a_picture_waits_for_whichever_takes_longer_its_sound_or_what_is_lost() {
    let mut stage = Stage::new(4);
    stage.net.show(stage.viewer, SlotId::Audio, Some((CAMERA, "h")));
    assert_eq!(stage.wait(), (10, 50));
    for _ in 0..4 {
        stage.report(26, ms(400));
    }
    let (least, most) = stage.wait();
    assert!((60..=61).contains(&least) && most == 2 * least, "1.5 times 400 ms: {least}, {most}");
}

#[test]
fn what_came_and_waited_to_be_read_took_no_longer() {
    let mut stage = Stage::new(5);
    stage.waited = ms(60);
    for _ in 0..4 {
        stage.report(26, ms(80));
    }
    let (least, _) = stage.wait();
    assert!((12..=13).contains(&least), "1.5 times 80 ms: {least}");
    let times = ReceiverReferenceTimeReportBlock { ntp_timestamp: 7 << 48 | 5 << 16 };
    let asks = ExtendedReport { sender_ssrc: 1, reports: vec![Box::new(times)] };
    stage.net.peer(stage.viewer).rtcp.clear();
    stage.say(&marshal(&[Box::new(asks)]).expect("written"));
    stage.step();
    let said = stage.net.peer(stage.viewer).rtcp.iter().flat_map(|datagram| unmarshal(&mut &datagram[..])).flatten();
    let answers = said.filter_map(|packet| packet.as_any().downcast_ref::<ExtendedReport>().cloned());
    let blocks: Vec<_> = answers.flat_map(|answer| answer.reports).collect();
    let [block] = &blocks[..] else { panic!("{blocks:?}") };
    let [answer] = &block.as_any().downcast_ref::<DLRRReportBlock>().expect("its clock").reports[..] else { panic!() };
    assert_eq!((answer.ssrc, answer.last_rr), (1, 5), "its clock comes back");
    assert_eq!(answer.dlrr, 65_536 * 60 / 1000, "and how long we had it");
}

#[test]
fn a_shard_that_wakes_up_as_late_as_it_may_reports_once_a_second_all_the_same() {
    let mut stage = Stage::new(6);
    stage.net.peer(stage.viewer).rtcp.clear();
    let (end, mut wakes) = (stage.net.now + ms(3500), 0);
    while stage.net.now < end {
        stage.net.now = stage.net.shards[0].poll_latest().expect("somebody is connected");
        stage.net.handle(0, Input::Timeout);
        wakes += 1;
    }
    let said = stage.net.peer(stage.viewer).rtcp.iter().flat_map(|datagram| rtcp::read(datagram));
    let reports = said.filter(|said| matches!(said, Feedback::SenderReport { .. })).count();
    assert!((3..=4).contains(&reports), "{reports} reports in 3.5 s");
    assert!(wakes <= 3500 / 40, "{wakes}");
}
