//! A million hostile datagrams at a node's media port, while fifty viewers watch.
//!
//! The node is a process of its own; publisher, viewers and attackers are here. When packets arrived is told by the
//! kernel, so that it does not count when this process gets to read them.
#![allow(clippy::disallowed_methods)] // plain threads that keep a stream's, and an attack's, pace

mod attack;
mod datagrams;
mod node;
#[allow(dead_code, missing_docs, unreachable_pub)] // the tests' peer, of which this uses a part
#[path = "../../core/tests/net/peer.rs"]
mod peer;
mod publisher;
mod pulse;
mod viewers;

use attack::Attack;
use datagrams::Recorded;
use node::Node;
use peer::Identity;
use publisher::Publisher;
use pulse::Pulse;
use std::time::{Duration, Instant};
use viewers::Viewers;

const VIEWERS: usize = 50;
const DATAGRAMS: usize = 1_000_000;
const FRAME_TIME: Duration = Duration::from_millis(40);
/// The stream alone: long enough for the cache to be full and for every viewer to have keyframes.
const QUIET: Duration = Duration::from_secs(6);
/// Longest time without media that the node may be the cause of.
const MAX_GAP: Duration = Duration::from_millis(200);
const MAX_GROWTH_KIB: u64 = 4 * 1024;

/// Frames of 1.1 Mbit/s: payload lengths of each frame's packets, a keyframe every 2 s.
fn frame(number: usize) -> &'static [usize] {
    const KEY: [usize; 40] = [1160; 40];
    const DELTA: [usize; 4] = [1088, 1088, 1088, 688];
    pulse::beat();
    if number.is_multiple_of(50) { &KEY } else { &DELTA }
}

#[test]
fn a_million_hostile_datagrams_change_nothing_for_fifty_viewers() {
    let seed = std::env::var("HOSTILE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_123);
    println!("seed {seed} (HOSTILE_SEED sets another)");
    let mut node = Node::start();
    let identity = Identity::new();
    let mut recorded = Recorded::default();
    let (mut publisher, socket) = node.connect(&identity, 0, &mut recorded);
    recorded.first_packets(&mut publisher, &socket);
    let mut sources = vec![socket.try_clone().expect("a socket")];
    let publisher = Publisher::start(publisher, socket);
    let ends: Vec<_> = (1..=VIEWERS).map(|n| node.connect(&identity, n, &mut recorded)).collect();
    sources.extend(ends.iter().map(|(_, socket)| socket.try_clone().expect("a socket")));
    let viewers = Viewers::start(ends, &mut recorded);
    viewers.wait_for_all();
    let pulse = Pulse::start(node.pid());

    let quiet = Instant::now();
    while quiet.elapsed() < QUIET {
        std::thread::sleep(Duration::from_millis(100));
    }
    let (begun, before) = (pulse::now(), node.figures());
    let mut attack = Attack::run(seed, DATAGRAMS, node.media(), &sources, &recorded, || node.backlog());
    let (ended, after) = (pulse::now(), node.settled());
    let answers = attack.answers();
    node.assert_alive();
    let seen = viewers.stop();
    publisher.stop();
    let pulse = pulse.stop();

    let quiet_gap = seen.longest_gap(begun - QUIET.as_nanos() as u64, begun, &pulse);
    let gap = seen.longest_gap(begun, ended, &pulse);
    println!("{attack}; strangers were answered {} bytes", answers.bytes);
    println!("longest gap at a viewer that is the node's doing: quiet {quiet_gap}, under attack {gap}");
    println!("longest gap under attack, whoever's doing it is: {:.0?}", seen.longest(begun, ended));
    println!("refused: {}; kernel drops: {}", after.refused - before.refused, after.drops - before.drops);
    println!("figure hostile_gap_ms {} ms", gap.of_the_node().as_millis());
    println!("figure hostile_memory_kib {} KiB", after.rss_kib.saturating_sub(before.rss_kib));

    assert_eq!((after.connections, before.connections), (VIEWERS as u64 + 1, VIEWERS as u64 + 1));
    assert!(seen.opened > 0 && seen.wrong == 0, "{} packets could not be opened", seen.wrong);
    assert_eq!(seen.playing_at(ended), VIEWERS, "viewers that still get frames at the end");
    assert!(gap.of_the_node() <= MAX_GAP, "{gap}");
    let dropped = after.drops - before.drops;
    assert!(dropped < DATAGRAMS as u64 / 100, "the socket could not take {dropped} datagrams");
    let refused = after.refused - before.refused;
    assert!(refused + dropped >= attack.from_strangers, "{refused} of {} were refused", attack.from_strangers);
    assert!(after.rss_kib <= before.rss_kib + MAX_GROWTH_KIB, "{} KiB became {}", before.rss_kib, after.rss_kib);
    assert!(answers.worst.1 <= answers.worst.0, "{} bytes were answered by {}", answers.worst.0, answers.worst.1);
}
