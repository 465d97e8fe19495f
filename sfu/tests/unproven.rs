//! What somebody without keys can make a shard do by a peer's address: little, however much is sent.

#[path = "../core/tests/net/mod.rs"]
mod net;

use net::{Net, server};
use sfu_core::{Arena, Input};
use std::time::{Duration, Instant};

/// Longest that one datagram may take. Media waits meanwhile.
const MAX_TIME: Duration = Duration::from_millis(50);
const MAX_GROWTH_KIB: u64 = 4 * 1024;

/// A record (RFC 6347, section 4.3.1) in epoch `epoch`.
fn record(kind: u8, epoch: u8, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0];
    record.extend_from_slice(&sequence.to_be_bytes());
    record.extend_from_slice(&(body.len() as u16).to_be_bytes());
    record.extend_from_slice(body);
    record
}

/// A fragment of message `message`, which is said to be 65,535 bytes long.
fn fragment(sequence: u32, message: u8, offset: u32, data: &[u8]) -> Vec<u8> {
    let [_, o0, o1, o2] = offset.to_be_bytes();
    let mut body = vec![1, 0, 0xff, 0xff, 0, message, o0, o1, o2, 0, 0, data.len() as u8];
    body.extend_from_slice(data);
    record(22, 0, sequence, &body)
}

fn send(net: &mut Net, arena: &mut Arena, at: usize, datagram: &[u8]) -> Duration {
    let (from, now) = (net.peer(at).address, net.now);
    let begun = Instant::now();
    net.shards[0].handle(now, Input::Datagram { from, bytes: datagram, waited: Duration::ZERO });
    while net.shards[0].poll_output(arena).is_some() {
        arena.clear();
    }
    begun.elapsed()
}

fn rss_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("our own memory");
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("a line");
    line.trim().strip_suffix(" kB").expect("KiB").parse().expect("a number")
}

/// A shard with a connected publisher and viewer; the viewer's place.
fn scene() -> (Net, Arena, usize) {
    let mut net = Net::new(1, 1);
    net.publisher(0);
    let viewer = net.viewer(0, "h");
    assert_eq!(server(0).socket.port(), 4000);
    (net, Arena::new(64 * 1024), viewer)
}

#[test]
fn fragments_of_a_handshake_message_take_no_time() {
    let (mut net, mut arena, viewer) = scene();
    // Messages 0 to 5 were the handshake's.
    for count in [50, 500, 2_000] {
        let first = count * 10;
        let datagram: Vec<u8> = (0..count).flat_map(|n| fragment(1_000 + first + n, 6, n, &[7])).collect();
        let took = send(&mut net, &mut arena, viewer, &datagram);
        println!("{count} fragments, {} bytes: {took:?}", datagram.len());
        assert!(took < MAX_TIME, "{count} fragments took {took:?}");
    }
}

#[test]
fn many_datagrams_of_fragments_take_no_time() {
    let (mut net, mut arena, viewer) = scene();
    for datagram in 0..200u32 {
        let bytes: Vec<u8> =
            (0..50).flat_map(|n| fragment(1_000 + datagram * 50 + n, 6, datagram * 50 + n, &[7])).collect();
        let took = send(&mut net, &mut arena, viewer, &bytes);
        assert!(took < MAX_TIME, "datagram {datagram} of {} bytes took {took:?}", bytes.len());
    }
}

#[test]
fn fragments_take_no_memory() {
    let (mut net, mut arena, viewer) = scene();
    let before = rss_kib();
    for datagram in 0..2_000u32 {
        let bytes: Vec<u8> = (0..50).flat_map(|n| fragment(1_000 + datagram * 50 + n, 9, 0, &[])).collect();
        send(&mut net, &mut arena, viewer, &bytes);
    }
    let after = rss_kib();
    println!("2000 datagrams of 1250 bytes: {} KiB", after.saturating_sub(before));
    assert!(after < before + MAX_GROWTH_KIB, "{before} KiB became {after}");
}

#[test]
fn sources_that_nobody_vouches_for_take_no_memory() {
    let (mut net, mut arena, viewer) = scene();
    let before = rss_kib();
    for ssrc in 0..100_000u32 {
        for kind in [201, 102] {
            let mut datagram = vec![0x80, kind, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0];
            let at = if kind == 201 { 4 } else { 8 };
            datagram[at..at + 4].copy_from_slice(&ssrc.to_be_bytes());
            datagram.resize(60, 0x55);
            send(&mut net, &mut arena, viewer, &datagram);
        }
    }
    let after = rss_kib();
    println!("200000 datagrams of 60 bytes: {} KiB", after.saturating_sub(before));
    assert!(after < before + MAX_GROWTH_KIB, "{before} KiB became {after}");
}

#[test]
fn records_that_come_before_their_keys_take_no_memory() {
    let (mut net, mut arena, _) = scene();
    let joiner = net.join(0, "h", false);
    net.peer(joiner).check();
    for datagram in std::mem::take(&mut net.peer(joiner).out) {
        send(&mut net, &mut arena, joiner, &datagram);
    }
    let before = rss_kib();
    for sequence in 0..2_000 {
        send(&mut net, &mut arena, joiner, &record(23, 1, sequence, &[7; 60_000]));
    }
    let after = rss_kib();
    println!("2000 datagrams of 60013 bytes: {} KiB", after.saturating_sub(before));
    assert!(after < before + MAX_GROWTH_KIB, "{before} KiB became {after}");
}

#[test]
fn a_chain_of_fragments_does_not_end_the_node() {
    let (mut net, mut arena, viewer) = scene();
    const FRAGMENTS: u32 = 40_000;
    let mut longest = Duration::ZERO;
    // The first fragment comes last.
    for chunk in (0..FRAGMENTS).rev().collect::<Vec<_>>().chunks(50) {
        let bytes: Vec<u8> = chunk.iter().flat_map(|n| fragment(1_000 + FRAGMENTS - n, 6, *n, &[7])).collect();
        longest = longest.max(send(&mut net, &mut arena, viewer, &bytes));
    }
    println!("{} datagrams, the longest took {longest:?}", FRAGMENTS / 50);
    assert!(longest < MAX_TIME, "{longest:?}");
}
