//! ICE-TCP at a real node of two shards: who proves the password has its connection with the right shard, nobody else
//! keeps one.

#[path = "../core/tests/net/mod.rs"]
mod net;
#[path = "node_api/stage.rs"]
mod stage;

use net::offers::view_offer;
use net::peer::{Identity, Peer};
use protocol::ConnectionId;
use protocol::node::Answer;
use sfu::Media;
use sfu_core::TransportAddress;
use stage::{Running, start};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

async fn node() -> Running {
    start(Media { shards: 2, advertise: vec![Ipv4Addr::LOCALHOST.into()], ..Media::default() }).await
}

/// The answer to a viewer, and where it may connect by TCP.
async fn agreed(node: &Running, identity: &Identity, n: u8) -> (String, SocketAddr) {
    let offer = view_offer(&identity.fingerprint().to_string());
    let answered = node.view_as(ConnectionId::from_random([n; 16]), &offer).await;
    let Answer { answer } = answered.json().await.expect("an answer");
    let line = answer.lines().find(|l| l.starts_with("a=candidate") && l.contains(" tcp ")).expect("a candidate");
    let words: Vec<&str> = line.split(' ').collect();
    let address = format!("{}:{}", words[4], words[5]).parse().expect("an address");
    (answer, address)
}

async fn send(socket: &mut TcpStream, datagrams: Vec<Vec<u8>>) {
    for datagram in datagrams {
        socket.write_u16(datagram.len() as u16).await.expect("sent");
        socket.write_all(&datagram).await.expect("sent");
    }
}

/// The next datagram; `None` once the node has closed the connection.
async fn receive(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let length = timeout(PATIENCE, socket.read_u16()).await.expect("in time").ok()?;
    let mut datagram = vec![0; usize::from(length)];
    timeout(PATIENCE, socket.read_exact(&mut datagram)).await.expect("in time").ok()?;
    Some(datagram)
}

#[tokio::test]
async fn peers_of_every_shard_connect_over_the_one_port() {
    let node = node().await;
    let identity = Identity::new();
    let (mut ways, mut sockets) = (Vec::new(), Vec::new());
    for n in 0..4 {
        let (answer, address) = agreed(&node, &identity, n).await;
        let mut socket = TcpStream::connect(address).await.expect("connected");
        socket.set_nodelay(true).expect("set");
        let ours = socket.local_addr().expect("an address");
        let [ours, theirs] = [ours, address].map(TransportAddress::tcp);
        let mut peer = Peer::new(&identity, ours, theirs, &answer);
        peer.check();
        send(&mut socket, std::mem::take(&mut peer.out)).await;
        let checked = receive(&mut socket).await.expect("an answer to the check");
        peer.receive(Instant::now(), &checked);
        peer.handshake(Instant::now());
        while !peer.is_connected() {
            send(&mut socket, std::mem::take(&mut peer.out)).await;
            let datagram = receive(&mut socket).await.expect("the handshake goes on");
            peer.receive(Instant::now(), &datagram);
        }
        let by_udp = answer.lines().find(|l| l.starts_with("a=candidate")).expect("a candidate").to_owned();
        ways.push((address, by_udp));
        sockets.push(socket);
    }
    ways.dedup();
    assert!(ways.len() > 1, "of both shards: {ways:?}");
    assert!(ways.iter().all(|(address, _)| *address == ways[0].0), "one port: {ways:?}");
    for (n, mut socket) in sockets.into_iter().enumerate() {
        node.delete(ConnectionId::from_random([n as u8; 16])).await;
        while receive(&mut socket).await.is_some() {}
    }
}

#[tokio::test]
async fn who_proves_no_password_is_cut_off() {
    let node = node().await;
    let identity = Identity::new();
    let (answer, address) = agreed(&node, &identity, 9).await;
    let theirs = TransportAddress::tcp(address);
    let mut thief = Peer::new(&identity, theirs, theirs, &answer.replace("a=ice-pwd:", "a=ice-pwd:x"));
    thief.check();
    let mut nobody = Peer::new(&identity, theirs, theirs, &answer.replace("a=ice-ufrag:", "a=ice-ufrag:ffff"));
    nobody.check();
    for datagram in [thief.out.remove(0), nobody.out.remove(0), b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0; 700]] {
        let mut socket = TcpStream::connect(address).await.expect("connected");
        send(&mut socket, vec![datagram]).await;
        assert_eq!(receive(&mut socket).await, None);
    }
}
