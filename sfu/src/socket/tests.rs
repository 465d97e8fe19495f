//! Addresses: what a peer's does to the traffic of others (nothing), and ours where there is no IPv6.

use super::{Incoming, bind, bindable_if, deferred, split};
use nix::errno::Errno;
use sfu_core::{Arena, Input, Train, TransportAddress};
use socket2::{Domain, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn socket() -> UdpSocket {
    bind((Ipv4Addr::LOCALHOST, 0).into(), 1 << 16).expect("a free port")
}

#[test]
fn a_train_that_cannot_be_sent_leaves_segmentation_on_and_the_others_arrive() {
    let (_, mut outgoing) = split(socket()).expect("two sides");
    let had_gso = outgoing.has_gso;
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    receiver.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    let good = receiver.local_addr().expect("bound");
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let train = |to| Train { to: TransportAddress::udp(to), bytes: 0..250, segment: 100 };
    outgoing.send(&Arena::new(1 << 16), &[train(good), train(nowhere), train(good)]);
    let mut buffer = [0; 1000];
    let lengths: Vec<usize> = (0..6).map(|_| receiver.recv(&mut buffer).expect("in time")).collect();
    assert_eq!(lengths, [100, 100, 50, 100, 100, 50]);
    assert_eq!(outgoing.has_gso, had_gso);
    assert_eq!(outgoing.counters.trains_dropped, 3, "the packets that went nowhere");
}

#[test]
fn a_datagram_from_port_0_is_not_there() {
    let (mut incoming, _) = split(socket()).expect("two sides");
    let to = incoming.socket.local_addr().expect("bound");
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port").send_to(b"hello", to).expect("sent");
    while incoming.received == 0 {
        incoming.receive().expect("no error");
    }
    assert_eq!(incoming.datagrams().count(), 1);
    incoming.metas[0].addr.set_port(0);
    assert_eq!(incoming.datagrams().count(), 0);
}

/// The next datagram, and how long it is said to have waited.
fn next(incoming: &mut Incoming) -> (Vec<u8>, Duration) {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(10), "nothing comes");
        incoming.receive().expect("no error");
        if let Some(Input::Datagram { bytes, waited, .. }) = incoming.datagrams().next() {
            return (bytes.to_vec(), waited);
        }
    }
}

#[test]
fn receiver_reports_and_checks_come_in_by_a_socket_of_their_own_and_all_else_by_the_other() {
    for any in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::UNSPECIFIED.into()] {
        let Ok(media) = bind((any, 0).into(), 1 << 16) else { continue };
        let mut later = Incoming::new(Arc::new(deferred::beside(&media, 1 << 16).expect("steered"))).expect("ready");
        let to = (Ipv4Addr::LOCALHOST, media.local_addr().expect("bound").port());
        let (mut media, _) = split(media).expect("two sides");
        let urgent: [&[u8]; 8] = [
            &[],
            &[0x80],                       // cut
            &[0x80, 200, 0, 6],            // a sender report
            &[0x81, 205, 0, 3],            // a NACK alone
            &[0x81, 206, 0, 2],            // a keyframe request alone
            &[0x90, 102, 0, 1],            // media
            &[22, 0xfe, 0xfd, 0, 0, 0, 0], // a handshake
            &[0x40, 201, 0, 1],            // of another version
        ];
        let can_wait: [&[u8]; 5] = [
            &[0x80, 201, 0, 1],        // a report without blocks
            &[0x9f, 201, 0, 1],        // with as many as there can be
            &[0x8f, 205, 0, 5],        // transport-wide feedback
            &[0, 1, 0, 0, 0x21, 0x12], // a check
            &[1, 1, 0, 0, 0x21, 0x12], // the answer to one
        ];
        // From many ports: none is left to chance.
        for n in 0..32 {
            let from = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let (urgent, can_wait) = (urgent[n % urgent.len()], can_wait[n % can_wait.len()]);
            from.send_to(urgent, to).expect("sent");
            from.send_to(can_wait, to).expect("sent");
            if !urgent.is_empty() {
                assert_eq!(next(&mut media).0, urgent);
            }
            assert_eq!(next(&mut later).0, can_wait);
        }
    }
}

#[test]
fn nobody_else_gets_what_comes_to_a_port_with_two_sockets() {
    let media = socket();
    let address = media.local_addr().expect("bound");
    let _deferred = deferred::beside(&media, 1 << 16).expect("steered");
    let error = bind(address, 1 << 16).expect_err("a second node is refused");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    let third = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
    third.set_reuse_port(true).expect("set");
    third.set_nonblocking(true).expect("set");
    third.bind(&address.into()).expect("the system lets the same user share");
    let (mut media, _) = split(media).expect("two sides");
    for n in 128..192 {
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port").send_to(&[n], address).expect("sent");
        assert_eq!(next(&mut media).0, [n]);
    }
    let nothing = UdpSocket::from(third).recv(&mut [0; 9]).expect_err("nothing");
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_datagram_says_how_long_it_has_waited() {
    let (mut incoming, _) =
        split(bind((Ipv4Addr::LOCALHOST, 0).into(), 1 << 20).expect("a free port")).expect("two sides");
    let to = incoming.socket.local_addr().expect("bound");
    let from = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    // The kernel begins to keep times of arrival a little after it was asked to, and gives those of reading until then.
    let is_said = (0..1000).any(|_| {
        let begun = Instant::now();
        from.send_to(b"hello", to).expect("sent");
        let sent = Instant::now();
        // The others take their time.
        (0..200).for_each(|_| assert_eq!(from.send_to(b"hello", to).expect("sent"), 5));
        let at_least = sent.elapsed();
        let (_, first) = next(&mut incoming);
        assert!(first <= begun.elapsed(), "{first:?}");
        while incoming.received > 0 {
            incoming.receive().expect("no error");
        }
        first >= at_least
    });
    assert!(is_said);
}

#[test]
fn without_ipv6_any_address_is_any_ipv4_address_and_another_one_is_an_error() {
    let (any, loopback): (IpAddr, IpAddr) = (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into());
    let refused = || Some(Errno::EAFNOSUPPORT.into());
    assert_eq!(bindable_if(any, None).expect("as it is"), any);
    assert_eq!(bindable_if(any, refused()).expect("a fallback"), Ipv4Addr::UNSPECIFIED);
    assert!(bindable_if(loopback, refused()).is_err());
    assert!(bindable_if(any, Some(Errno::EMFILE.into())).is_err());
}
