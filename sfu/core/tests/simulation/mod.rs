//! A viewer as Chromium is one, before cameras and behind a network, in virtual time: what it sees and what it tells.

pub(crate) mod camera;
mod estimator;
mod screen;

use crate::net::{Line, Net, rid};
use camera::{Camera, rate_of};
use estimator::Estimator;
use loadtest::impairment::{self, Conditions, Fate, Impairment, Step};
use rtc_rtcp::packet::marshal;
use rtc_rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use screen::Screen;
pub(crate) use screen::Seen;
use sfu_core::arrivals::Arrivals;
use sfu_core::bandwidth::Estimation;
use sfu_core::rtcp::{self, Feedback};
use sfu_core::source::Reception;
use sfu_core::{CameraKey, Change, Input, Notice, PeerId, SlotId, SlotState, Ssrc, Subscription};
use std::path::Path;
use std::time::{Duration, Instant};

/// The SSRC that the viewer reports under.
const REPORTER: Ssrc = Ssrc(1);
/// Cameras play so long before anybody watches.
const WARM_UP: Duration = Duration::from_secs(4);
/// From one feedback on arrivals to the next.
const TELLS: Duration = Duration::from_millis(100);
/// Of retransmissions.
pub(crate) const RTX: u8 = 103;

/// What a slot is to show: the largest encoding, and its priority.
pub(crate) type Wish = (&'static str, u8);

/// One large picture.
pub(crate) const ONE: &[Wish] = &[("h", 0)];
/// A wall of nine cameras, the one in the middle large and first.
pub(crate) const WALL: &[Wish] =
    &[("l", 0), ("l", 0), ("l", 0), ("l", 0), ("h", 1), ("l", 0), ("l", 0), ("l", 0), ("l", 0)];

/// What came of a scenario.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figures {
    /// Pictures shown, of what the link carries of the wishes, in percent of the bits.
    pub(crate) utilisation: f64,
    /// Of the time that slots are not told to be paused, in percent.
    pub(crate) freeze: f64,
    /// Of the time of all slots, in percent.
    pub(crate) paused: f64,
    /// Of all slots together.
    pub(crate) switches_per_minute: f64,
    /// In the link's queue until they have left it, in milliseconds.
    pub(crate) wait_p95: f64,
}

impl Figures {
    /// Of several plays.
    pub(crate) fn mean(plays: &[Self]) -> Self {
        let mean = |figure: fn(&Self) -> f64| plays.iter().map(figure).sum::<f64>() / plays.len() as f64;
        Self {
            utilisation: mean(|play| play.utilisation),
            freeze: mean(|play| play.freeze),
            paused: mean(|play| play.paused),
            switches_per_minute: mean(|play| play.switches_per_minute),
            wait_p95: mean(|play| play.wait_p95),
        }
    }
}

impl Line for impairment::Line {
    fn up(&mut self, at: Duration, bytes: usize) -> Option<Duration> {
        arrival(self.up.pass(at, bytes))
    }

    fn down(&mut self, at: Duration, bytes: usize) -> Option<Duration> {
        arrival(self.down.pass(at, bytes))
    }
}

fn arrival(fate: Fate) -> Option<Duration> {
    match fate {
        Fate::Arrives(at) => Some(at),
        Fate::Dropped | Fate::Lost => None,
    }
}

/// Reads a network that the load test's relay plays.
pub(crate) fn network(name: &str) -> Impairment {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../loadtest/networks/{name}.yaml"));
    let network: Impairment = settings::load(&file).expect("a network");
    network.check().expect("a sound network");
    network
}

/// What a viewer tells of how it receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tells {
    Nothing,
    /// What it can take (REMB), beside reports.
    Estimates,
    /// When packets came (TWCC), beside reports.
    Arrivals,
}

/// Watches over a network for so long.
pub(crate) fn play(network: &Impairment, wishes: &[Wish], time: Duration, tells: Tells) -> Figures {
    let (mut net, viewer, began) = watch(network, wishes, time, tells, |_| ());
    assert_eq!(net.peer(viewer.at).undecryptable, 0);
    let wait = wait_p95(network, net.sent(viewer.at));
    viewer.figures(net.now, began, carried(network, wishes, time), wait)
}

/// Watches cameras whose frames refer to every so many-th of them only; returns what was shown in each slot, and since
/// when.
pub(crate) fn play_referring(
    network: &Impairment,
    wishes: &[Wish],
    time: Duration,
    referred: u32,
) -> (Vec<Seen>, Instant) {
    let (mut net, viewer, began) = watch(network, wishes, time, Tells::Estimates, |cameras| {
        cameras.iter_mut().for_each(|camera| camera.referred = referred);
    });
    assert_eq!(net.peer(viewer.at).undecryptable, 0);
    (viewer.screens.into_iter().map(|screen| screen.seen).collect(), began)
}

/// Lets cameras play, then a viewer watch; returns it, and since when it watches.
fn watch(
    network: &Impairment,
    wishes: &[Wish],
    time: Duration,
    tells: Tells,
    prepare: impl FnOnce(&mut [Camera]),
) -> (Net, Viewer, Instant) {
    let mut net = Net::new(1, network.seed);
    net.estimation = if tells == Tells::Arrivals { Estimation::Twcc } else { Estimation::Remb };
    let mut cameras = cameras(&mut net, wishes, network.seed);
    let viewer = net.wall(0, wishes.len());
    prepare(&mut cameras);
    for ms in 0..WARM_UP.as_millis() as u64 {
        step(&mut net, &mut cameras, ms);
    }
    let mut viewer = Viewer::new(viewer, wishes.len(), round_trip(network));
    viewer.tells = tells;
    net.lay(viewer.at, network.line(0));
    net.handle(0, Input::Change(change(viewer.at, wishes)));
    let began = net.now;
    for ms in 0..time.as_millis() as u64 {
        step(&mut net, &mut cameras, ms);
        viewer.step(&mut net);
    }
    (net, viewer, began)
}

/// A camera for each wish, which sends what may be shown of it.
pub(crate) fn cameras(net: &mut Net, wishes: &[Wish], seed: u64) -> Vec<Camera> {
    let mut cameras = Vec::new();
    for (n, (max, _)) in wishes.iter().enumerate() {
        let rids: &[&'static str] = if *max == "h" { &["h", "l"] } else { &["l"] };
        let publisher = net.publisher_for(0, CameraKey(n as u32), rids);
        cameras.push(Camera::new(publisher, rids, 100 * seed + n as u64));
    }
    cameras
}

/// What shows cameras in a viewer's slots, each in one.
pub(crate) fn change(at: usize, wishes: &[Wish]) -> Change {
    let wish = |(n, (max, priority)): (usize, &Wish)| {
        let subscription = Subscription { camera: CameraKey(n as u32), max: rid(max), priority: *priority };
        (SlotId::Video(n as u8), Some(subscription))
    };
    Change { peer: PeerId(at as u64 + 1), until: None, slots: wishes.iter().enumerate().map(wish).collect() }
}

/// A millisecond; cameras send in turn.
pub(crate) fn step(net: &mut Net, cameras: &mut [Camera], ms: u64) {
    for (n, camera) in cameras.iter_mut().enumerate() {
        if ms % camera::FRAME == 4 * n as u64 % camera::FRAME {
            camera.play(net);
        }
    }
    net.step();
}

/// There and back, in the beginning.
fn round_trip(network: &Impairment) -> Duration {
    let way = |conditions: Option<Conditions>| conditions.map_or(Duration::ZERO, |c| c.delay + c.jitter / 2);
    network.steps.first().map_or(Duration::ZERO, |step| way(step.up) + way(step.down))
}

/// What 95 % of all datagrams that find room in the link's queue wait there at most, until they have left.
fn wait_p95(network: &Impairment, sent: &[(Duration, usize)]) -> Duration {
    let (delay, jitter) = (Duration::ZERO, Duration::ZERO);
    let queue = |down: Conditions| Conditions { delay, jitter, loss_percent: 0.0, ..down };
    let steps = network.steps.iter().map(|step| Step { down: step.down.map(queue), ..step.clone() }).collect();
    let mut link = Impairment { steps, ..network.clone() }.line(0).down;
    let wait = |(at, bytes): &(Duration, usize)| arrival(link.pass(*at, *bytes)).map(|left| left - *at);
    let mut waits: Vec<Duration> = sent.iter().filter_map(wait).collect();
    waits.sort_unstable();
    waits.get(waits.len() * 95 / 100).copied().unwrap_or_default()
}

/// What the link carries of the wishes, in bits.
fn carried(network: &Impairment, wishes: &[Wish], time: Duration) -> f64 {
    let wished: f64 = wishes.iter().map(|(max, _)| rate_of(max)).sum();
    let steps: Vec<_> = network.steps.iter().filter_map(|step| Some((step.at, step.down?))).collect();
    let ends = steps.iter().skip(1).map(|(at, _)| *at).chain([time]);
    let part = |((at, down), end): (&(Duration, Conditions), Duration)| {
        let most = if down.loss_percent < 100.0 { down.rate.unwrap_or(wished).min(wished) } else { 0.0 };
        most * end.min(time).saturating_sub(*at).as_secs_f64()
    };
    steps.iter().zip(ends).map(part).sum()
}

/// See the module.
struct Viewer {
    at: usize,
    estimator: Estimator,
    screens: Vec<Screen>,
    /// The newest sender report of each slot, and when it came.
    reports: Vec<Option<(u32, Instant)>>,
    round_trip: Duration,
    began: Option<Instant>,
    reported: Option<Instant>,
    /// Notices that were read.
    read: usize,
    tells: Tells,
    /// When packets came, and when it was told last.
    arrivals: Arrivals,
    told: Option<Instant>,
}

impl Viewer {
    fn new(at: usize, slots: usize, round_trip: Duration) -> Self {
        Self {
            at,
            estimator: Estimator::new(1000.0 * round_trip.as_secs_f64()),
            screens: (0..slots).map(|_| Screen::default()).collect(),
            reports: vec![None; slots],
            round_trip,
            began: None,
            reported: None,
            read: 0,
            tells: Tells::Estimates,
            arrivals: Arrivals::default(),
            told: None,
        }
    }

    fn id(&self) -> PeerId {
        PeerId(self.at as u64 + 1)
    }

    /// Takes in what came in the last millisecond, and answers.
    fn step(&mut self, net: &mut Net) {
        let now = net.now;
        self.hear(net);
        let packets = std::mem::take(&mut net.peer(self.at).packets);
        let began = *self.began.get_or_insert(now);
        let ms = 1000.0 * (now - began).as_secs_f64();
        let mut estimate = None;
        for packet in &packets {
            let is_again = packet.header.payload_type == RTX;
            let media = if is_again { packet.header.ssrc.0 & 0x7fff_ffff } else { packet.header.ssrc.0 };
            let slot = (media - Net::ssrc(self.at, 0).0) as usize;
            let (sequence, payload) = match (is_again, packet.payload.as_slice()) {
                (true, [high, low, rest @ ..]) => (u16::from_be_bytes([*high, *low]), rest),
                (_, payload) => (packet.header.sequence, payload),
            };
            self.screens[slot].packet(now, sequence, packet, payload, is_again);
            match (packet.send_time, packet.number) {
                (Some(sent), None) => {
                    estimate = self.estimator.packet(ms, sent, packet.payload.len() as u64).or(estimate);
                }
                (_, number) => self.arrivals.note(now, began, number.expect("a number")),
            }
        }
        if let Some(estimate) = estimate.filter(|_| self.tells == Tells::Estimates) {
            net.peer(self.at).send_rtcp(&remb(estimate));
        }
        if self.tells == Tells::Arrivals && self.told.is_none_or(|at| now >= at + TELLS) {
            self.told = Some(now);
            while let Some(report) = self.arrivals.report(now) {
                let first = Net::ssrc(self.at, 0);
                net.peer(self.at).send_rtcp(&rtcp::arrivals(REPORTER, first, &report));
            }
        }
        self.ask(net);
        if self.reported.is_none_or(|at| now >= at + Duration::from_secs(1)) {
            self.reported = Some(now);
            self.report(net);
        }
    }

    /// Reads what was said to it.
    fn hear(&mut self, net: &mut Net) {
        let now = net.now;
        for feedback in std::mem::take(&mut net.peer(self.at).rtcp).iter().flat_map(|datagram| rtcp::read(datagram)) {
            if let Feedback::SenderReport { ssrc, pair } = feedback {
                let slot = (ssrc.0 - Net::ssrc(self.at, 0).0) as usize;
                self.reports[slot] = Some(((pair.ntp >> 16) as u32, now));
            }
        }
        for (_, notice) in &net.notices[self.read..] {
            match notice {
                Notice::Slot { peer, slot: SlotId::Video(slot), state, .. } if *peer == self.id() => {
                    self.screens[usize::from(*slot)].seen.pause(now, *state == SlotState::Paused);
                }
                _ => {}
            }
        }
        self.read = net.notices.len();
    }

    /// Asks for what is missing.
    fn ask(&mut self, net: &mut Net) {
        for (slot, screen) in self.screens.iter_mut().enumerate() {
            let ours = Net::ssrc(self.at, slot as u32);
            let missing = screen.ask(net.now, self.round_trip);
            if !missing.is_empty() {
                net.peer(self.at).send_rtcp(&rtcp::nack(REPORTER, ours, &missing));
            }
            if screen.needs_keyframe(net.now) {
                net.peer(self.at).send_rtcp(&rtcp::picture_loss(REPORTER, ours));
            }
        }
    }

    /// Reports how each slot arrives, and keeps its connection.
    fn report(&mut self, net: &mut Net) {
        let now = net.now;
        let mut blocks = Vec::new();
        for (slot, (screen, report)) in self.screens.iter_mut().zip(&self.reports).enumerate() {
            let Some((fraction_lost, highest)) = screen.report(now) else { continue };
            let (last_report, delay) =
                report.map_or((0, 0), |(ntp, at)| (ntp, (65_536.0 * (now - at).as_secs_f64()) as u32));
            let highest = highest as u32;
            let reception = Reception { fraction_lost, total_lost: 0, highest, jitter: 0, last_report, delay };
            blocks.push((Net::ssrc(self.at, slot as u32), reception));
        }
        let mut datagram = rtcp::receiver_report(REPORTER, &blocks);
        datagram.extend(self.estimator.estimate().map(remb).unwrap_or_default());
        net.peer(self.at).check();
        if self.tells != Tells::Nothing {
            net.peer(self.at).send_rtcp(&datagram);
        }
    }

    fn figures(mut self, now: Instant, began: Instant, carried: f64, wait: Duration) -> Figures {
        self.screens.iter_mut().for_each(|screen| screen.seen.end(now));
        let seen = || self.screens.iter().map(|screen| &screen.seen);
        let whole = (now - began).as_secs_f64();
        let all = whole * self.screens.len() as f64;
        let paused: f64 = seen().map(|seen| seen.paused.as_secs_f64()).sum();
        let frozen: f64 = seen().map(|seen| seen.frozen.as_secs_f64()).sum();
        let bits = 8 * seen().map(|seen| seen.bytes).sum::<u64>();
        Figures {
            utilisation: 100.0 * bits as f64 / carried,
            freeze: 100.0 * frozen / (all - paused).max(0.001),
            paused: 100.0 * paused / all,
            switches_per_minute: seen().map(|seen| seen.switches).sum::<u64>() as f64 / (whole / 60.0),
            wait_p95: 1000.0 * wait.as_secs_f64(),
        }
    }
}

/// What a receiver can take (draft-alvestrand-rmcat-remb-03), in bit/s.
pub(crate) fn remb(estimate: u64) -> Vec<u8> {
    let remb = ReceiverEstimatedMaximumBitrate { sender_ssrc: REPORTER.0, bitrate: estimate as f32, ssrcs: Vec::new() };
    marshal(&[Box::new(remb)]).expect("well-formed").to_vec()
}
