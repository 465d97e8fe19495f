//! Addresses: what a peer's does to the traffic of others (nothing), and ours where there is no IPv6.

use super::{bind, bindable_if, split};
use nix::errno::Errno;
use sfu_core::{Arena, Train, TransportAddress};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

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

#[test]
fn without_ipv6_any_address_is_any_ipv4_address_and_another_one_is_an_error() {
    let (any, loopback): (IpAddr, IpAddr) = (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into());
    let refused = || Some(Errno::EAFNOSUPPORT.into());
    assert_eq!(bindable_if(any, None).expect("as it is"), any);
    assert_eq!(bindable_if(any, refused()).expect("a fallback"), Ipv4Addr::UNSPECIFIED);
    assert!(bindable_if(loopback, refused()).is_err());
    assert!(bindable_if(any, Some(Errno::EMFILE.into())).is_err());
}
