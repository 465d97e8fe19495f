//! throw-away
#![allow(warnings)]
mod net;
use net::{CAMERA, Net, SSRC, Stream, rid, server};
use sfu_core::*;
use std::time::{Duration, Instant};

struct R(u64);
impl R { fn n(&mut self) -> u64 { self.0 ^= self.0 << 13; self.0 ^= self.0 >> 7; self.0 ^= self.0 << 17; self.0 } }
fn mutate(r: &mut R, base: &[u8]) -> Vec<u8> {
    let mut b = base.to_vec();
    for _ in 0..1 + r.n() % 6 {
        if b.is_empty() { b.push(0); }
        let i = (r.n() as usize) % b.len();
        match r.n() % 6 {
            0 => b[i] = r.n() as u8,
            1 => b[i] = 0xff,
            2 => b[i] = 0,
            3 => b.truncate(i),
            4 => { let l = r.n() as usize % 40; b.splice(i..i, (0..l).map(|_| 0xffu8)); }
            _ => b[i] = b[i].wrapping_add(1),
        }
    }
    b
}
#[test]
fn fuzz() {
    let mut net = Net::new(1, 9);
    let p = net.publisher(0);
    let v = net.viewer(0, "h");
    let u = net.join(0, "h", false);
    net.peer(u).check();
    let stun = net.peer(u).out[0].clone();
    net.step();
    let now = net.now;
    net.peer(u).handshake(now);
    let hello = net.peer(u).out[0].clone();
    let from_u = net.peer(u).address; let from_v = net.peer(v).address;
    let mut r = R(0x1234567);
    let t = Instant::now();
    let mut n = 0u64;
    while t.elapsed() < Duration::from_secs(6) {
        let b = mutate(&mut r, &stun);
        net.handle(0, Input::Datagram { from: from_u, bytes: &b }); n += 1;
    }
    println!("stun {n}");
    let t = Instant::now(); n = 0;
    while t.elapsed() < Duration::from_secs(8) {
        let b = mutate(&mut r, &hello);
        net.handle(0, Input::Datagram { from: from_u, bytes: &b }); n += 1;
        let b = mutate(&mut r, &hello);
        net.handle(0, Input::Datagram { from: from_v, bytes: &b });
    }
    println!("dtls {n}");
    let t = Instant::now(); n = 0;
    while t.elapsed() < Duration::from_secs(4) {
        let base: Vec<u8> = (0..20).map(|_| r.n() as u8).collect();
        let mut b = mutate(&mut r, &base);
        if b.is_empty() { continue; }
        b[0] = 0x80 | (b[0] & 0x3f);
        net.handle(0, Input::Datagram { from: from_v, bytes: &b });
        if b.len() > 1 { b[1] = 192 + b[1] % 32; net.handle(0, Input::Datagram { from: from_v, bytes: &b }); }
        n += 1;
    }
    println!("srtp {n}");
    println!("still there: {} peers; gone {:?}", net.shards[0].peer_count(), net.notices);
}
#[test]
fn fuzz_rtcp() {
    let mut r = R(0x99);
    let bases = [rtcp::sender_report(Ssrc(1), ClockPair{ntp:1<<40,rtp:3}, 1, 2), rtcp::nack(Ssrc(1), Ssrc(2), &[1,2,3,65535]), rtcp::reference_time_answer(Ssrc(1),Ssrc(2),5), rtcp::picture_loss(Ssrc(1),Ssrc(2)), rtcp::goodbye(&[Ssrc(1)]),
      vec![0x80,207,0,4,0,0,0,1,4,0,0,2,0,0,0,1,0,0,0,2], vec![0x8f,205,0,5,0,0,0,1,0,0,0,2,0,1,0,2,0,0,1,2,0x20,3,4,5], vec![0x8f,206,0,5,0,0,0,1,0,0,0,2,b'R',b'E',b'M',b'B',1,0x20,3,4,0,0,0,1], vec![0x84,206,0,4,0,0,0,1,0,0,0,2,0,0,0,1,1,0,0,0], vec![0x81,202,0,3,0,0,0,1,1,2,b'a',b'b',0,0,0,0], vec![0x81,204,0,2,0,0,0,1,65,65,65,65]];
    let t = Instant::now(); let mut n=0u64;
    std::panic::set_hook(Box::new(|i| println!("PANIC {i}")));
    let mut seen = 0;
    while t.elapsed() < Duration::from_secs(8) {
        let b = mutate(&mut r, &bases[(r.n() as usize) % bases.len()].clone());
        if std::panic::catch_unwind(|| rtcp::read(&b)).is_err() { seen += 1; println!("rtcp {b:02x?}"); if seen > 4 { break; } }
        n+=1;
    }
    println!("rtcp {n} panics {seen}");
}
#[test]
fn fuzz_sdp() {
    let mut r = R(0x77);
    std::panic::set_hook(Box::new(|i| println!("PANIC {i}")));
    let base = net::publish_offer(&vec!["AB";32].join(":"));
    let base2 = net::view_offer(&vec!["AB";32].join(":"));
    let t = Instant::now(); let mut n=0u64; let mut seen=0;
    let ice = ice::Credentials::from_random(&[7;24]);
    while t.elapsed() < Duration::from_secs(6) {
        let b = mutate(&mut r, if n%2==0 {base.as_bytes()} else {base2.as_bytes()});
        let s = String::from_utf8_lossy(&b).into_owned();
        let res = std::panic::catch_unwind(|| { if let Ok(o) = sdp::Offer::parse(&s) { let c=[server(0)]; let l = sdp::Local{ice:&ice,fingerprint:dtls::Fingerprint([0;32]),candidates:&c,session:1}; let _=o.view(&l,Ssrc(1),Ssrc(2)); let _=o.publish(&l);} });
        if res.is_err() { seen+=1; println!("sdp {s}"); if seen>2 {break;} }
        n+=1;
    }
    println!("sdp {n} panics {seen}");
}
