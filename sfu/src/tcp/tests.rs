//! Frames over real connections: in pieces, too long, to a peer that does not read; and who is let in.

use super::accept::{Stranger, Strangers};
use super::{Accepted, Streams, accept};
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

const PATIENCE: Duration = Duration::from_secs(10);

/// A shard's streams with one connection, and its peer.
fn connected() -> (Streams, TcpStream, SocketAddr) {
    let listener = accept::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    listener.set_nonblocking(false).expect("set");
    let peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    peer.set_read_timeout(Some(PATIENCE)).expect("set");
    let (socket, from) = listener.accept().expect("accepted");
    socket.set_nonblocking(true).expect("set");
    let mut streams = Streams::new().expect("an epoll file");
    let place = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a place");
    streams.adopt(Accepted { socket, from, first: Vec::new(), place }).expect("adopted");
    (streams, peer, from)
}

fn frame(datagram: &[u8]) -> Vec<u8> {
    [&(datagram.len() as u16).to_be_bytes(), datagram].concat()
}

/// Turns until `done` says so; returns the datagrams that came.
fn turn_until(streams: &mut Streams, done: impl Fn(&Streams, &[Vec<u8>]) -> bool) -> Vec<Vec<u8>> {
    let (mut came, begun) = (Vec::new(), Instant::now());
    while !done(streams, &came) {
        assert!(begun.elapsed() < PATIENCE, "it takes too long");
        streams.turn(|_, datagram| came.push(datagram.to_vec())).expect("no error");
    }
    came
}

#[test]
fn datagrams_come_whole_however_their_bytes_arrive() {
    let (mut streams, mut peer, _) = connected();
    let datagrams = [b"one".to_vec(), vec![7; 1500], Vec::new(), b"four".to_vec()];
    let bytes = datagrams.iter().flat_map(|d| frame(d)).collect::<Vec<u8>>();
    let (together, apart) = bytes.split_at(1);
    peer.write_all(together).expect("sent");
    assert_eq!(turn_until(&mut streams, |streams, _| streams.len() == 1), Vec::<Vec<u8>>::new());
    for piece in apart.chunks(400) {
        peer.write_all(piece).expect("sent");
    }
    assert_eq!(turn_until(&mut streams, |_, came| came.len() == 4), datagrams);
}

#[test]
fn a_frame_longer_than_any_packet_ends_its_connection() {
    let (mut streams, mut peer, from) = connected();
    peer.write_all(&[0xff, 0xff, 1]).expect("sent");
    turn_until(&mut streams, |streams, _| streams.len() == 0);
    streams.send(from, b"to nobody", 9);
    assert_eq!(streams.counters.trains_dropped, 1);
    assert_eq!((streams.take_closed(), streams.take_closed()), (vec![from], vec![]));
    assert_eq!(peer.read(&mut [0; 1]).expect("an end"), 0);
}

#[test]
fn a_peer_that_leaves_or_is_no_longer_known_is_forgotten() {
    let (mut streams, peer, _) = connected();
    drop(peer);
    turn_until(&mut streams, |streams, _| streams.len() == 0);
    let (mut streams, _peer, _) = connected();
    streams.retain(|_| true);
    assert_eq!(streams.len(), 1);
    streams.retain(|_| false);
    assert_eq!(streams.len(), 0);
}

#[test]
fn a_peer_that_does_not_read_loses_whole_trains_and_delays_nobody() {
    let (mut streams, mut peer, from) = connected();
    // Packet n of a train of three is full of n, the last is shorter.
    let train: Vec<u8> = [vec![1; 1000], vec![2; 1000], vec![3; 500]].concat();
    let mut sent = 0u64;
    while streams.counters.trains_dropped < 100 {
        streams.send(from, &train, 1000);
        sent += 1;
        assert!(sent < 100_000, "the kernel takes all of it");
    }
    let whole = sent - streams.counters.trains_dropped;
    assert!(streams.counters.bytes_out == whole * (2500 + 6));
    let reading = std::thread::spawn(move || {
        let (mut packets, mut header) = (Vec::new(), [0; 2]);
        for _ in 0..3 * whole {
            peer.read_exact(&mut header).expect("a header");
            let mut packet = vec![0; usize::from(u16::from_be_bytes(header))];
            peer.read_exact(&mut packet).expect("a packet");
            packets.push(packet);
        }
        packets
    });
    turn_until(&mut streams, |_, _| reading.is_finished());
    let packets = reading.join().expect("all of it");
    let kinds: HashSet<&[Vec<u8>]> = packets.chunks(3).collect();
    assert_eq!(kinds.len(), 1);
    assert_eq!(packets[..3].concat(), train);
}

#[test]
fn strangers_are_few_and_fewer_of_one_network() {
    let strangers = Strangers::default();
    let address = |n: u16| IpAddr::from(Ipv4Addr::new(192, 0, (n >> 8) as u8, n as u8));
    let one: Vec<Stranger> = std::iter::from_fn(|| strangers.admit(address(0))).collect();
    assert_eq!(one.len(), 32);
    let in_one_48 = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, n, 0, 0, 0, 1]);
    assert_eq!((0..100).filter_map(|n| strangers.admit(in_one_48(n))).collect::<Vec<Stranger>>().len(), 32);
    let mapped = Ipv4Addr::new(192, 0, 0, 0).to_ipv6_mapped().into();
    assert!(strangers.admit(mapped).is_none(), "IPv4 is what it is");
    let others: Vec<Stranger> = (1..2000).filter_map(|n| strangers.admit(address(n))).collect();
    assert_eq!(others.len(), 1024 - 32);
    drop(one);
    assert!(strangers.admit(address(0)).is_some(), "who has left makes room");
}
