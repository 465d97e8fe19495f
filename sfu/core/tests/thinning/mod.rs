//! Cameras whose every second frame is referred to by no other, before networks that do not carry all of them.

use crate::net::Net;
use crate::net::peer::Packet;
use crate::simulation::camera::Part;
use crate::simulation::{ONE, Seen, WALL, network, play_referring};
use crate::{REPORT, Stage, is_again};
use loadtest::impairment::Impairment;
use sfu_core::{Ssrc, rtcp};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// A link that carries all, from 15 s on so many bit/s, and all again from 40 s on.
fn falls_to(rate: f64, seed: u64) -> Impairment {
    let mut network = network("drop");
    network.seed += 1000 * seed;
    network.steps[1].down.as_mut().expect("it falls").rate = Some(rate);
    network
}

/// What is shown of a large picture that takes 2.1 Mbit/s when a link falls to `rate` bit/s, by the second, where frames
/// refer to every so many-th of them only.
fn shown(referred: u32, rate: f64, seed: u64) -> Vec<(u64, Part)> {
    let (seen, began) = play_referring(&falls_to(rate, seed), ONE, Duration::from_secs(100), referred);
    seen[0].frames.iter().map(|(at, part)| ((*at - began).as_secs(), *part)).collect()
}

/// How many frames of the large picture are shown in these seconds.
fn large(shown: &[(u64, Part)], seconds: Range<u64>) -> u32 {
    shown.iter().filter(|(second, part)| seconds.contains(second) && part.rid == b'h').count() as u32
}

/// Every frame has come to which it refers: the last before it that is no disposable one.
fn assert_decodable(frames: &[Part]) {
    let mut reference: Option<Part> = None;
    for frame in frames {
        let is_other = reference.is_some_and(|before| before.rid != frame.rid);
        assert!(frame.is_key || !is_other, "{frame:?} begins with no keyframe");
        if let Some(before) = reference.filter(|_| !frame.is_key) {
            let back = if frame.is_disposable { 1 } else { 2 };
            assert_eq!(frame.frame - before.frame, back, "{frame:?} refers to what did not come");
        }
        if !frame.is_disposable {
            reference = Some(*frame);
        }
    }
}

#[test]
fn a_link_that_carries_most_of_a_large_picture_shows_it_at_a_lower_frame_rate() {
    for (share, rate, least) in [(70, 1_480_000.0, 500), (85, 1_800_000.0, 900)] {
        let (mut thinned, mut whole, mut slow) = (0, 0, 0);
        for seed in 0..5 {
            let seen = shown(2, rate, seed);
            assert_decodable(&seen.iter().map(|(_, part)| *part).collect::<Vec<_>>());
            thinned += large(&seen, 18..40);
            let after = large(&seen, 90..100);
            assert!(after > 240, "whole again: {after} frames, seed {seed}");
            whole += large(&shown(1, rate, seed), 18..40);
            slow += large(&shown(10, rate, seed), 18..40);
        }
        // Of 275 for each seed.
        println!("figure sim_thinned_{share}_large_pct {:.0} %", 100.0 * f64::from(thinned) / (5.0 * 275.0));
        println!("figure sim_whole_{share}_large_pct {:.0} %", 100.0 * f64::from(whole) / (5.0 * 550.0));
        assert!(thinned > least, "{thinned} frames of the large picture");
        assert!(whole < 100, "without disposable frames it is the small one: {whole} frames of the large picture");
        assert!(slow < 100, "so it is where 2.5 frames a second are left: {slow} frames of the large picture");
    }
}

#[test]
fn a_wall_goes_on_at_a_lower_frame_rate_where_slots_would_pause() {
    let time = Duration::from_secs(60);
    // And freezes, in percent of the time of all slots.
    let paused = |referred: u32| {
        let play = |seed| play_referring(&falls_to(4_000_000.0, seed), WALL, time, referred).0;
        let seen: Vec<Seen> = (0..5).flat_map(play).collect();
        let share = |part: fn(&Seen) -> Duration| {
            100.0 * seen.iter().map(part).sum::<Duration>().as_secs_f64() / (time.as_secs_f64() * seen.len() as f64)
        };
        (share(|seen| seen.paused), share(|seen| seen.frozen))
    };
    let (whole, thinned) = (paused(1), paused(2));
    for (name, (paused, frozen)) in [("whole", whole), ("thinned", thinned)] {
        println!("figure sim_{name}_wall_paused_pct {paused:.1} %");
        println!("figure sim_{name}_wall_freeze_pct {frozen:.1} %");
    }
    assert!(whole.0 > 10.0 && thinned.0 < 1.0, "{whole:?}, {thinned:?}");
    assert!(thinned.1 < 3.0, "{thinned:?}");
}

/// A viewer, on this shard, of a large picture that can be thinned, once that is known of it.
fn stage(shard: usize, seed: u64) -> Stage {
    let mut stage = Stage::on(shard, seed, ONE);
    stage.cameras[0].referred = 2;
    stage.run(9000);
    stage
}

/// The receiver says twice that it can take some 70 % of the picture; returns what comes in the second after that.
fn shrink(stage: &mut Stage) -> Vec<Packet> {
    stage.fall(2_600_000, 1_450_000);
    let mut came = stage.run(REPORT);
    stage.tell(1_400_000);
    came.extend(stage.run(1000 - REPORT));
    came
}

fn sequences(packets: &[Packet]) -> Vec<u16> {
    packets.iter().map(|packet| packet.header.sequence).collect()
}

fn is_contiguous(sequences: &[u16]) -> bool {
    sequences.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1))
}

#[test]
fn a_thinned_stream_has_no_gaps_and_becomes_whole_again() {
    let mut stage = stage(0, 1);
    let before = shrink(&mut stage);
    let thin = stage.run(4000);
    let all = sequences(&before).into_iter().chain(sequences(&thin)).collect::<Vec<_>>();
    assert!(is_contiguous(&all));
    let parts: Vec<Part> = thin.iter().map(|packet| Part::read(&packet.payload)).collect();
    assert!(parts.iter().all(|part| part.rid == b'h' && !part.is_disposable));
    let frames: Vec<Part> = parts.iter().filter(|part| part.number == 0).copied().collect();
    assert_eq!(frames.len(), 50, "every second one, for 4 s");
    assert_decodable(&frames);
    assert!(thin.iter().filter(|packet| packet.header.marker).count() == 50, "each is complete");
    let steps = thin.windows(2).map(|pair| pair[1].header.time - pair[0].header.time);
    assert!(steps.filter(|step| *step > 0).all(|step| step == 7200), "times are the camera's");

    let mut frames = frames;
    for _ in 0..30_000 / REPORT {
        stage.rise();
        let came = stage.run(REPORT);
        let fresh: Vec<Packet> = came.into_iter().filter(|packet| !is_again(packet)).collect();
        assert!(is_contiguous(&sequences(&fresh)));
        let begun = fresh.iter().map(|packet| Part::read(&packet.payload)).filter(|part| part.number == 0);
        frames.extend(begun);
        if frames.len() > 50 && frames[frames.len() - 50..].windows(2).all(|pair| pair[1].frame == pair[0].frame + 1) {
            assert_decodable(&frames);
            return;
        }
    }
    panic!("it does not become whole again");
}

#[test]
fn what_a_thinned_viewer_asks_for_is_what_it_was_sent() {
    let mut stage = stage(0, 2);
    let mut sent: BTreeMap<u16, Packet> = BTreeMap::new();
    sent.extend(shrink(&mut stage).into_iter().map(|packet| (packet.header.sequence, packet)));
    let thin = stage.run(400);
    assert!(thin.iter().all(|packet| !Part::read(&packet.payload).is_disposable), "it is thinned");
    let whole: Vec<u16> = sent.keys().copied().take(3).collect();
    let asked: Vec<u16> = whole.into_iter().chain(thin[..3].iter().map(|packet| packet.header.sequence)).collect();
    sent.extend(thin.into_iter().map(|packet| (packet.header.sequence, packet)));
    let nack = rtcp::nack(Ssrc(1), Net::ssrc(stage.viewer, 0), &asked);
    stage.net.peer(stage.viewer).send_rtcp(&nack);
    let again: Vec<Packet> = stage.run(20).into_iter().filter(is_again).collect();
    assert_eq!(again.len(), asked.len());
    for (packet, sequence) in again.iter().zip(asked) {
        let original = &sent[&sequence];
        assert_eq!(packet.payload[..2], sequence.to_be_bytes());
        assert_eq!((packet.header.time, &packet.payload[2..]), (original.header.time, &original.payload[..]));
    }
}

/// The network itself looks that nothing is sealed twice.
#[test]
fn numbers_stay_true_whatever_a_camera_loses_and_whenever_it_is_thinned() {
    let (mut thinned, mut empty, mut again) = (0, 0, 0);
    for seed in 0..8 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let shard = seed as usize % 2;
        let mut stage = stage(shard, seed);
        stage.cameras[0].is_uneven = true;
        let mut sent: BTreeMap<u16, (u32, Vec<u8>)> = BTreeMap::new();
        for _ in 0..6 {
            let mut came = shrink(&mut stage);
            for _ in 0..chance.u64(5..40) {
                for packet in std::mem::take(&mut came) {
                    let Packet { header, payload, .. } = packet;
                    if header.payload_type != crate::RTX {
                        empty += u32::from(payload.is_empty());
                        assert_eq!(sent.insert(header.sequence, (header.time, payload)), None);
                    } else if let Some(original) = sent.get(&u16::from_be_bytes([payload[0], payload[1]])) {
                        assert_eq!((header.time, &payload[2..]), (original.0, &original.1[..]), "seed {seed}");
                        again += 1;
                    }
                }
                let newest = sent.last_key_value().expect("packets").0;
                let asked: Vec<u16> = (0..8).map(|_| newest.wrapping_sub(chance.u16(0..300))).collect();
                stage.net.peer(stage.viewer).send_rtcp(&rtcp::nack(Ssrc(1), Net::ssrc(stage.viewer, 0), &asked));
                stage.rise();
                came = stage.run(REPORT);
            }
        }
        let times = sent.values().map(|(time, _)| *time).collect::<Vec<_>>();
        assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "times go on, seed {seed}");
        assert_eq!(stage.net.peer(stage.viewer).undecryptable, 0, "seed {seed}");
        thinned += stage.net.shards[shard].counters().packets_thinned;
    }
    assert!(thinned > 1000 && empty > 100, "{thinned} packets were left out, {empty} went out empty");
    assert!(again > 1000, "{again} packets came again");
}
