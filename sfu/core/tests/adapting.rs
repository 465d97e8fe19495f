//! A viewer's pictures follow what its network carries: step by step, and in simulations of whole networks.

mod net;
mod simulation;
mod thinning;

use net::peer::Packet;
use net::streams::Stream;
use net::{Net, SSRC};
use sfu_core::{Input, SlotId, SlotState, Ssrc, rtcp};
use simulation::camera::{Camera, FRAME, Part, rate_of};
use simulation::{Figures, ONE, RTX, Tells, WALL, Wish, cameras, change, network, play, remb};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// What a packet takes beside its payload, in bytes.
const OVERHEAD: usize = 64;
/// From one estimate to the next, in milliseconds.
const REPORT: u64 = 200;

/// A viewer who tells what the test wants.
struct Stage {
    net: Net,
    cameras: Vec<Camera>,
    viewer: usize,
    ms: u64,
    /// The last estimate, and what came of late: when, and how many bytes of payload.
    estimate: u64,
    came: VecDeque<(u64, usize)>,
}

impl Stage {
    /// It watches, and nothing is known of its network.
    fn new(seed: u64, wishes: &[Wish]) -> Self {
        Self::on(0, seed, wishes)
    }

    /// The same on this shard; cameras are on the first.
    fn on(shard: usize, seed: u64, wishes: &[Wish]) -> Self {
        let mut stage = Self::beginning(shard, seed, wishes);
        stage.run(3000);
        stage
    }

    /// The same, of which nothing has come yet.
    fn beginning(shard: usize, seed: u64, wishes: &[Wish]) -> Self {
        let mut net = Net::new(shard + 1, seed);
        let cameras = cameras(&mut net, wishes, seed);
        let viewer = net.wall(shard, wishes.len());
        let mut stage = Self { net, cameras, viewer, ms: 0, estimate: 0, came: VecDeque::new() };
        stage.run(4000);
        stage.net.handle(shard, Input::Change(change(viewer, wishes)));
        stage
    }

    /// Lets time pass; returns what came.
    fn run(&mut self, ms: u64) -> Vec<Packet> {
        for _ in 0..ms {
            simulation::step(&mut self.net, &mut self.cameras, self.ms);
            self.ms += 1;
        }
        self.take()
    }

    fn take(&mut self) -> Vec<Packet> {
        let packets = std::mem::take(&mut self.net.peer(self.viewer).packets);
        self.came.extend(packets.iter().map(|packet| (self.ms, packet.payload.len())));
        while self.came.pop_front_if(|(at, _)| *at + 1000 < self.ms).is_some() {}
        packets
    }

    fn tell(&mut self, estimate: u64) {
        self.estimate = estimate;
        self.net.peer(self.viewer).send_rtcp(&remb(estimate));
        self.net.push(self.viewer);
        self.net.step();
    }

    /// The receiver says that it can take `from` bit/s and more, then `to`.
    fn fall(&mut self, from: u64, to: u64) {
        for n in 0..5 {
            self.tell(from + n * 50_000);
            self.run(REPORT);
        }
        self.tell(to);
        self.take();
    }

    /// What a receiver says whose network is not full: more and more, up to 1.5 times of what comes.
    fn rise(&mut self) {
        let bits = 8 * self.came.iter().map(|(_, bytes)| *bytes as u64).sum::<u64>();
        let most = bits + bits / 2;
        self.tell(self.estimate.max((self.estimate + self.estimate / 60).min(most)));
    }

    fn states(&self, slot: u8) -> Vec<SlotState> {
        self.net.states(self.viewer, SlotId::Video(slot)).into_iter().map(|(_, state)| state).collect()
    }
}

fn is_again(packet: &Packet) -> bool {
    packet.header.payload_type == RTX
}

/// What is in a packet that was not sent before.
fn part(packet: &Packet) -> Part {
    assert!(!is_again(packet), "a retransmission that nobody asked for");
    Part::read(&packet.payload)
}

#[test]
fn a_clear_fall_ends_the_large_picture_at_once_even_when_the_small_one_has_to_be_waited_for() {
    let mut stage = Stage::new(1, ONE);
    stage.cameras[0].send("l", false);
    // What is cached of it is forgotten.
    stage.run(3000);
    stage.fall(2_500_000, 600_000);
    assert_eq!(stage.run(1000), [], "nothing of the large picture follows");
    stage.cameras[0].send("l", true);
    let parts: Vec<Part> = stage.run(1000).iter().map(part).collect();
    assert!(parts[0].is_key && parts[0].number == 0, "it begins with a keyframe: {:?}", parts[0]);
    assert!(parts.iter().all(|part| part.rid == b'l'));
    assert!(parts.last().expect("frames").frame >= parts[0].frame + 20, "it plays");
}

#[test]
fn slots_that_a_small_network_cannot_carry_are_told_to_be_paused_and_come_back_when_it_does() {
    let wishes: Vec<Wish> = (0..9).map(|n| ("l", u8::from(n == 4))).collect();
    let mut stage = Stage::new(2, &wishes);
    stage.fall(5_500_000, 1_200_000);
    let paused = |stage: &Stage| -> Vec<u8> {
        (0..9).filter(|slot| stage.states(*slot).last() == Some(&SlotState::Paused)).collect()
    };
    assert!(paused(&stage).is_empty(), "it may have been a moment of jitter");
    stage.run(REPORT);
    stage.tell(1_150_000);
    stage.take();
    assert_eq!(paused(&stage), [1, 2, 3, 5, 6, 7, 8], "the first by priority stays, then the first by number");
    let ours: BTreeSet<_> = [0, 4].map(|slot| Net::ssrc(stage.viewer, slot)).into();
    assert!(stage.run(1000).iter().all(|packet| ours.contains(&packet.header.ssrc)), "the others are silent");
    let mut has_probed = false;
    let is_live = |stage: &Stage, slot| stage.states(slot).last() == Some(&SlotState::Live);
    for _ in 0..60_000 / REPORT {
        stage.rise();
        has_probed |= stage.run(REPORT).iter().any(is_again);
        if (0..9).all(|slot| is_live(&stage, slot)) {
            break;
        }
        assert!(has_probed || !is_live(&stage, 1), "a slot came back without a probe");
    }
    for slot in 0..9 {
        assert_eq!(stage.states(slot).last(), Some(&SlotState::Live), "slot {slot}");
    }
    assert!(!stage.states(4).contains(&SlotState::Paused), "the first of all never pauses");
}

/// Of networks that have shown no limit: what is cached of so many cameras is far more than may be sent at once. A second
/// viewer's turns fall between the first one's.
fn walls_move_while_they_catch_up(slots: usize, most: usize) {
    let wishes = vec![("l", 0); slots];
    let mut stage = Stage::beginning(0, 6, &wishes);
    let viewers = [stage.viewer, stage.net.wall(0, slots)];
    let mut whole = [const { Vec::<u64>::new() }; 2].map(|times| vec![times; slots]);
    let (mut newest, mut bits) = ([vec![0; slots], vec![0; slots]], [[0; 8]; 2]);
    for ms in 0..4000 {
        if ms == 3 {
            stage.net.handle(0, Input::Change(change(viewers[1], &wishes)));
        }
        let packets = [stage.run(1), std::mem::take(&mut stage.net.peer(viewers[1]).packets)];
        for (viewer, packet) in (0..2).flat_map(|viewer| packets[viewer].iter().map(move |packet| (viewer, packet))) {
            bits[viewer][ms as usize / 500] += 8 * packet.payload.len();
            let is_of = |slot: &usize| Net::ssrc(viewers[viewer], *slot as u32) == packet.header.ssrc;
            let slot = (0..slots).find(is_of).expect("a slot");
            newest[viewer][slot] = part(packet).frame;
            if packet.header.marker {
                whole[viewer][slot].push(ms);
            }
        }
    }
    // In half a second, and a keyframe.
    assert!(bits.as_flattened().iter().all(|bits| *bits < most / 2 + 250_000), "{bits:?} in each half second");
    for (viewer, slot) in (0..2).flat_map(|viewer| (0..slots).map(move |slot| (viewer, slot))) {
        let times = &whole[viewer][slot];
        assert!(times[0] < 200, "the first picture of {slot} at {viewer} comes after {} ms", times[0]);
        let gap = times.windows(2).map(|pair| pair[1] - pair[0]).max().expect("pictures");
        assert!(gap < 150, "{slot} at {viewer} stands for {gap} ms");
        assert_eq!(newest[viewer][slot] + 1, stage.cameras[slot].frame, "{slot} at {viewer} has caught up");
    }
}

#[test]
fn walls_move_while_they_catch_up_and_take_no_more_than_half_as_much_again_as_they_may() {
    walls_move_while_they_catch_up(9, 7_500_000);
}

#[test]
fn the_largest_walls_take_no_more_than_half_as_much_again_as_they_play() {
    walls_move_while_they_catch_up(16, 12_500_000);
}

/// What comes from a clear fall until the large picture is back, millisecond by millisecond, and what follows for a second.
fn step_up(seed: u64) -> (Stage, Vec<(u64, Packet)>) {
    let mut stage = Stage::new(seed, ONE);
    stage.fall(2_500_000, 600_000);
    let (mut came, mut back) = (Vec::new(), None);
    for ms in 0..30_000u64 {
        if ms.is_multiple_of(REPORT) {
            stage.rise();
        }
        let packets = stage.run(1);
        let is_large = |packet: &Packet| !is_again(packet) && part(packet).rid == b'h';
        if back.is_none() && packets.iter().any(is_large) {
            back = Some(ms);
            assert_eq!(part(&packets[0]).frame + 1, stage.cameras[0].frame, "it is a frame of the moment");
        }
        came.extend(packets.into_iter().map(|packet| (stage.ms, packet)));
        if back.is_some_and(|back| ms > back + 1000) {
            return (stage, came);
        }
    }
    panic!("the large picture does not come back");
}

#[test]
fn a_probe_repeats_what_was_sent_and_keeps_to_what_it_is_for() {
    let (_, came) = step_up(3);
    let mut sent: BTreeMap<u16, (u32, Vec<u8>)> = BTreeMap::new();
    let mut window: VecDeque<(u64, usize)> = VecDeque::new();
    let mut repeated = 0;
    for (ms, packet) in came {
        if is_again(&packet) {
            let [high, low, payload @ ..] = packet.payload.as_slice() else { panic!("too short") };
            let original = sent.get(&u16::from_be_bytes([*high, *low])).expect("it was sent");
            assert_eq!((packet.header.time, payload), (original.0, original.1.as_slice()));
            repeated += 1;
        } else if part(&packet).rid == b'h' {
            break;
        } else {
            sent.insert(packet.header.sequence, (packet.header.time, packet.payload.clone()));
        }
        window.push_back((ms, packet.payload.len() + OVERHEAD));
        while window.pop_front_if(|(at, _)| *at + 1000 < ms).is_some() {}
        let bits = 8 * window.iter().map(|(_, bytes)| bytes).sum::<usize>();
        // The large picture, and 15 % more.
        let goal = 1.15 * rate_of("h") * (1100 + OVERHEAD) as f64 / 1100.0;
        assert!((bits as f64) < 1.2 * goal, "{bits} in a second, for {goal}");
    }
    assert!(repeated > 20, "{repeated} packets");
}

#[test]
fn a_larger_picture_begins_with_a_keyframe_of_the_moment_on_a_network_that_showed_its_limit() {
    let (_, came) = step_up(4);
    let parts = came.iter().filter(|(_, packet)| !is_again(packet)).map(|(ms, packet)| (*ms, part(packet)));
    let large: Vec<(u64, Part)> = parts.filter(|(_, part)| part.rid == b'h').collect();
    let (began, first) = large[0];
    assert!(first.is_key && first.number == 0, "{first:?}");
    let at_once: BTreeSet<u32> =
        large.iter().filter(|(ms, _)| *ms < began + FRAME).map(|(_, part)| part.frame).collect();
    assert_eq!(at_once, BTreeSet::from([first.frame]), "no other frame comes with it");
    assert!(large.iter().all(|(ms, part)| ms - began + FRAME > u64::from(part.frame - first.frame) * FRAME));
}

/// The network itself looks that nothing is sealed twice.
#[test]
fn a_keyframe_that_gathers_while_a_slot_lags_is_begun_once() {
    for seed in 0..10 {
        let mut net = Net::new(1, seed);
        let publisher = net.publisher_of(0, &["l"]);
        let viewer = net.viewer(0, "h");
        let mut stream = Stream { gop: 25, ..Stream::new("l", SSRC) };
        stream.play(&mut net, publisher, 30);
        for estimate in [3_000_000, 3_100_000, 3_200_000, 300_000] {
            net.peer(viewer).send_rtcp(&remb(estimate));
            stream.play(&mut net, publisher, 10);
        }
        for n in 0..300 {
            let packets = stream.next_frame();
            let split = (n + seed as usize) % packets.len();
            for (at, (packet, index)) in packets.into_iter().enumerate() {
                if at == split {
                    net.step();
                }
                net.peer(publisher).send_rtp(&packet, index);
            }
            net.run(Duration::from_millis(30 + (n as u64 + seed) % 7));
        }
        let pictures = net.packets(viewer, Net::ssrc(viewer, 0));
        let frames = pictures.iter().filter(|packet| packet.header.marker).count();
        assert_eq!(net.peer(viewer).undecryptable, 0);
        assert!(frames > 60, "it lags, and goes on with each keyframe: {frames} frames");
    }
}

#[test]
fn a_receiver_that_gives_no_estimate_gets_again_what_it_asks_for() {
    let mut stage = Stage::new(5, ONE);
    // Longer than the shard waits for an estimate.
    stage.run(9000);
    let newest = stage.run(FRAME).last().expect("a frame").header.sequence;
    let nack = rtcp::nack(Ssrc(1), Net::ssrc(stage.viewer, 0), &[newest]);
    stage.net.peer(stage.viewer).send_rtcp(&nack);
    assert_eq!(stage.run(FRAME).iter().filter(|packet| is_again(packet)).count(), 1);
}

/// What a scenario has to reach, in percent, and a minute.
#[derive(Clone, Copy)]
struct Limits {
    utilisation: f64,
    freeze: f64,
    switches: f64,
}

/// Each network is watched with so many seeds: one alone is chance.
const SEEDS: u64 = 5;

/// Watches a network for so long as one large picture and as a wall, by REMB and by TWCC, and prints what came of it in
/// the mean.
fn watch(name: &str, file: &str, seconds: u64, limits: [Limits; 2]) {
    watch_by(Tells::Estimates, name, file, seconds, limits);
    watch_by(Tells::Arrivals, &format!("twcc_{name}"), file, seconds, limits);
}

#[expect(clippy::print_stdout, reason = "figures are printed")]
fn watch_by(tells: Tells, name: &str, file: &str, seconds: u64, limits: [Limits; 2]) {
    for ((scene, wishes), limits) in [("one", ONE), ("wall", WALL)].into_iter().zip(limits) {
        let play_with = |seed: u64| {
            let mut network = network(file);
            network.seed += 1000 * seed;
            play(&network, wishes, Duration::from_secs(seconds), tells)
        };
        let plays: Vec<Figures> = (0..SEEDS).map(play_with).collect();
        let seen = Figures::mean(&plays);
        for (figure, value, unit) in [
            ("utilisation_pct", seen.utilisation, "%"),
            ("freeze_pct", seen.freeze, "%"),
            ("paused_pct", seen.paused, "%"),
            ("switches_per_min", seen.switches_per_minute, "1/min"),
            ("queue_p95_ms", seen.wait_p95, "ms"),
        ] {
            println!("figure sim_{name}_{scene}_{figure} {value:.1} {unit}");
        }
        assert!(seen.utilisation >= limits.utilisation, "{name}, {scene}: {seen:?}");
        assert!(seen.freeze <= limits.freeze, "{name}, {scene}: {seen:?}");
        assert!(seen.switches_per_minute <= limits.switches, "{name}, {scene}: {seen:?}");
    }
}

#[test]
fn a_line_that_carries_a_whole_wall() {
    let one = Limits { utilisation: 95.0, freeze: 0.5, switches: 1.5 };
    let wall = Limits { utilisation: 90.0, freeze: 1.5, switches: 1.5 };
    watch("wall8", "wall", 40, [one, wall]);
}

/// Its tunnel alone is 4.4 % of the time.
#[test]
fn a_phone_in_a_bus() {
    let one = Limits { utilisation: 40.0, freeze: 15.0, switches: 5.0 };
    let wall = Limits { utilisation: 30.0, freeze: 12.0, switches: 6.0 };
    watch("bus4g", "bus-4g", 90, [one, wall]);
}

#[test]
fn wifi_in_the_kitchen() {
    let one = Limits { utilisation: 95.0, freeze: 0.5, switches: 1.0 };
    let wall = Limits { utilisation: 65.0, freeze: 6.5, switches: 12.0 };
    watch("wifi", "kitchen-wifi", 120, [one, wall]);
}

#[test]
fn a_slow_line_with_a_long_queue() {
    let one = Limits { utilisation: 75.0, freeze: 1.5, switches: 4.0 };
    let wall = Limits { utilisation: 45.0, freeze: 8.0, switches: 4.0 };
    watch("dsl", "dsl-bufferbloat", 120, [one, wall]);
}

#[test]
fn a_link_that_loses_most_of_what_it_carries() {
    let one = Limits { utilisation: 55.0, freeze: 7.0, switches: 5.0 };
    let wall = Limits { utilisation: 33.0, freeze: 9.0, switches: 5.0 };
    watch("drop", "drop", 75, [one, wall]);
}

#[test]
fn without_reports_of_how_they_arrive_pictures_freeze_far_more() {
    for (file, wishes, seconds, least) in [
        ("bus-4g", ONE, 90, 20.0),
        ("bus-4g", WALL, 90, 25.0),
        ("drop", ONE, 75, 25.0),
        ("dsl-bufferbloat", WALL, 30, 50.0),
    ] {
        let seen = play(&network(file), wishes, Duration::from_secs(seconds), Tells::Nothing);
        assert!(seen.freeze >= least, "{file}: {seen:?}");
    }
}

#[test]
fn a_simulation_comes_to_the_same_each_time() {
    for tells in [Tells::Estimates, Tells::Arrivals] {
        let play = || play(&network("drop"), WALL, Duration::from_secs(75), tells);
        assert_eq!(play(), play());
    }
}
