//! Viewers whose network changes: another address, new ICE credentials; no new handshake.

mod net;

use net::streams::Stream;
use net::{Net, SSRC};
use sfu_core::ice::Credentials;
use sfu_core::{Input, PeerId, ShardId, TransportAddress};
use std::time::Duration;

/// A camera that plays and its viewer.
fn stage(seed: u64) -> (Net, usize, usize, Stream) {
    let mut net = Net::new(1, seed);
    let publisher = net.publisher(0);
    let viewer = net.viewer(0, "h");
    let mut stream = Stream::new("h", SSRC);
    stream.play(&mut net, publisher, 10);
    (net, publisher, viewer, stream)
}

fn count(net: &mut Net, viewer: usize) -> usize {
    assert_eq!(net.peer(viewer).undecryptable, 0);
    net.peer(viewer).packets.len()
}

#[test]
fn the_picture_follows_a_viewer_to_another_address() {
    let (mut net, publisher, viewer, mut stream) = stage(1);
    net.peer(viewer).address = net::udp("10.9.9.9:1234");
    net.peer(viewer).check();
    net.peer(viewer).send_rtcp(&sfu_core::rtcp::receiver_report(sfu_core::Ssrc(1), &[]));
    net.step();
    let before = count(&mut net, viewer);
    stream.play(&mut net, publisher, 10);
    assert_eq!(count(&mut net, viewer) - before, 30, "under the same keys");
}

#[test]
fn what_came_before_a_viewer_moved_and_is_read_after_does_not_take_it_back() {
    let (mut net, publisher, viewer, mut stream) = stage(9);
    let home = net.peer(viewer).address;
    let report = sfu_core::rtcp::receiver_report(sfu_core::Ssrc(1), &[]);
    net.peer(viewer).send_rtcp(&report);
    let late = net.peer(viewer).out.pop().expect("a report");
    net.run(Duration::from_millis(20));
    net.peer(viewer).address = net::udp("10.9.9.9:1234");
    net.peer(viewer).check();
    net.peer(viewer).send_rtcp(&report);
    net.step();
    net.run(Duration::from_millis(20));
    net.handle(0, Input::Datagram { from: home, bytes: &late, waited: Duration::from_millis(41) });
    let before = count(&mut net, viewer);
    stream.play(&mut net, publisher, 10);
    assert_eq!(count(&mut net, viewer) - before, 30);
}

#[test]
fn a_check_that_is_repeated_from_elsewhere_does_not_take_the_picture_away() {
    let (mut net, publisher, viewer, mut stream) = stage(6);
    let home = net.peer(viewer).address;
    net.peer(viewer).send_rtcp(&sfu_core::rtcp::receiver_report(sfu_core::Ssrc(1), &[]));
    net.step();
    net.peer(viewer).check();
    let check = net.peer(viewer).out.pop().expect("a check");
    let elsewhere = net::udp("203.0.113.9:9");
    net.handle(0, Input::Datagram { from: elsewhere, bytes: &check, waited: Duration::ZERO });
    let before = count(&mut net, viewer);
    stream.play(&mut net, publisher, 10);
    assert_eq!((net.peer(viewer).address, count(&mut net, viewer) - before), (home, 30));
}

#[test]
fn a_viewer_whose_address_fell_silent_is_found_by_its_checks_alone() {
    let (mut net, publisher, viewer, mut stream) = stage(7);
    net.run(Duration::from_secs(3));
    net.peer(viewer).address = net::udp("10.9.9.9:1234");
    net.peer(viewer).check();
    net.step();
    let before = count(&mut net, viewer);
    stream.play(&mut net, publisher, 60);
    assert!(count(&mut net, viewer) > before + 100);
}

#[test]
fn the_same_address_by_tcp_is_another_one() {
    let (mut net, publisher, viewer, mut stream) = stage(8);
    let by_udp = net.peer(viewer).address;
    let by_tcp = TransportAddress::tcp(by_udp.socket);
    assert!(net.shards[0].knows(by_udp) && !net.shards[0].knows(by_tcp));
    net.run(Duration::from_secs(3));
    net.peer(viewer).address = by_tcp;
    net.peer(viewer).check();
    net.step();
    let before = count(&mut net, viewer);
    stream.play(&mut net, publisher, 10);
    assert!(count(&mut net, viewer) > before, "the picture has followed");
    assert!(net.shards[0].knows(by_udp) && net.shards[0].knows(by_tcp), "it may go back");
    net.handle(0, Input::Closed(by_tcp));
    assert!(net.shards[0].knows(by_udp) && !net.shards[0].knows(by_tcp));
    let before = count(&mut net, viewer);
    stream.play(&mut net, publisher, 10);
    assert_eq!(count(&mut net, viewer), before, "nothing is sent to where nobody is");
    net.peer(viewer).address = by_udp;
    net.peer(viewer).check();
    net.step();
    stream.play(&mut net, publisher, 60);
    assert!(count(&mut net, viewer) > before, "and it goes on where the next check comes from");
    net.handle(0, Input::Disconnect(PeerId(viewer as u64 + 1)));
    assert!(!net.shards[0].knows(by_udp) && !net.shards[0].knows(by_tcp));
}

#[test]
fn an_address_that_proves_nothing_gets_nothing() {
    let (mut net, publisher, viewer, mut stream) = stage(2);
    let home = net.peer(viewer).address;
    net.peer(viewer).address = net::udp("10.9.9.9:1234");
    net.peer(viewer).send_rtcp(&sfu_core::rtcp::picture_loss(sfu_core::Ssrc(1), Net::ssrc(viewer, 0)));
    net.step();
    let before = count(&mut net, viewer);
    stream.play(&mut net, publisher, 5);
    assert_eq!(count(&mut net, viewer), before);
    net.peer(viewer).address = home;
    stream.play(&mut net, publisher, 5);
    assert_eq!(count(&mut net, viewer) - before, 15, "it goes on where it was proved");
}

#[test]
fn an_ice_restart_moves_the_connection_and_ends_the_old_credentials() {
    let (mut net, publisher, viewer, mut stream) = stage(3);
    let old = net.peer(viewer).credentials();
    let ice = Credentials::new(ShardId(0), &[77; 24]);
    assert!(!net.shards[0].expects_checks(), "nobody is to connect");
    net.handle(0, Input::Restart { peer: PeerId(viewer as u64 + 1), ice: ice.clone() });
    assert!(net.shards[0].expects_checks(), "from where it is now");
    stream.play(&mut net, publisher, 5);
    let before = count(&mut net, viewer);
    net.peer(viewer).check();
    stream.play(&mut net, publisher, 5);
    assert_eq!(count(&mut net, viewer) - before, 15, "the old credentials hold until the new ones are used");
    net.peer(viewer).restart(ice);
    net.peer(viewer).address = net::udp("10.9.9.9:1234");
    net.peer(viewer).check();
    net.step();
    assert!(!net.shards[0].expects_checks());
    let before = count(&mut net, viewer);
    stream.play(&mut net, publisher, 5);
    assert_eq!(count(&mut net, viewer) - before, 15);
    net.peer(viewer).restart(old);
    net.peer(viewer).address = net::udp("10.9.9.10:1234");
    net.peer(viewer).check();
    net.step();
    let refused = net.shards[0].counters().refused_stun;
    assert_eq!(refused, 1, "the old ones are over");
}

#[test]
fn restarts_that_are_never_used_leave_nothing_behind() {
    let (mut net, _, viewer, _) = stage(4);
    for n in 0..100 {
        let ice = Credentials::new(ShardId(0), &[n; 24]);
        net.handle(0, Input::Restart { peer: PeerId(viewer as u64 + 1), ice });
    }
    net.peer(viewer).restart(Credentials::new(ShardId(0), &[98; 24]));
    net.peer(viewer).check();
    net.step();
    assert_eq!(net.shards[0].counters().refused_stun, 1, "only the newest counts");
    net.peer(viewer).restart(Credentials::new(ShardId(0), &[99; 24]));
    net.peer(viewer).check();
    net.step();
    assert_eq!(net.shards[0].counters().refused_stun, 1);
}

#[test]
fn a_viewer_that_vanishes_is_freed_within_30_seconds() {
    let (mut net, publisher, viewer, mut stream) = stage(5);
    net.peer(viewer).address = net::udp("10.9.9.9:1234");
    stream.play(&mut net, publisher, 1);
    assert_eq!(net.shards[0].peer_count(), 2);
    for _ in 0..30 {
        net.peer(publisher).check();
        net.run(Duration::from_secs(1));
    }
    assert_eq!(net.shards[0].peer_count(), 1);
}
