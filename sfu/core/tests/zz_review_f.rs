//! throw-away
#![allow(warnings)]
mod net;
use net::{CAMERA, Net, SSRC, Stream, rid, server};
use sfu_core::*;
use std::time::{Duration, Instant};
struct R(u64);
impl R { fn n(&mut self) -> u64 { self.0 ^= self.0 << 13; self.0 ^= self.0 >> 7; self.0 ^= self.0 << 17; self.0 } }
#[test]
fn stalled() {
    let mut net = Net::new(1, 9);
    let p = net.publisher(0);
    let v1 = net.viewer(0, "h");
    let mut s = Stream::new("h", SSRC);
    s.play(&mut net, p, 30);
    for _ in 0..60 { net.peer(p).check(); net.peer(v1).check(); net.run(Duration::from_secs(10)); }
    println!("before join: {} peers {:?}", net.shards[0].peer_count(), net.notices);
    let v2 = net.viewer(0, "h");
    net.run(Duration::from_millis(100));
    println!("STALE 10 min: {} packets {:?} {:?}", net.peer(v2).packets.len(), net.shards[0].counters(), net.notices.last());
}
#[test]
fn grant_max_l_single_h() {
    // camera whose publisher offers only what is not l: see best_encoding
    let mut net = Net::new(1, 9);
    let v = net.viewer(0, "l");
    net.handle(0, Input::FromShard(ShardMessage::Origin { camera: CAMERA, origin: Some(ShardId(0)), encodings: vec![rid("h")] }));
    println!("counters {:?}", net.notices);
}
#[test]
fn fuzz_auth() {
    let mut r = R(0x4242);
    for round in 0..40 {
        let mut net = Net::new(1, 9);
        let p = net.publisher(0);
        let v = net.viewer(0, "h");
        let mut s = Stream::new("h", SSRC);
        s.play(&mut net, p, 1);
        let mut idx = s.sequence;
        for _ in 0..400 {
            for (mut pk, i) in s.next_frame() {
                let n = 12 + (r.n() as usize % (pk.len() - 12));
                match r.n() % 5 {
                    0 => { pk[20.min(n)] = r.n() as u8; let k = 20 + r.n() as usize % 8; if k < pk.len() { pk[k] = r.n() as u8; } }
                    1 => { pk.truncate(n.max(20)); pk[0] |= 0x20; }
                    2 => { let seq = r.n() as u16; pk[2..4].copy_from_slice(&seq.to_be_bytes()); let ii = (i & !0xffff) | seq as u64; net.peer(p).send_rtp(&pk, ii); continue; }
                    3 => { let ss = r.n() as u32 % 9; pk[8..12].copy_from_slice(&ss.to_be_bytes()); }
                    _ => {}
                }
                net.peer(p).send_rtp(&pk, i);
            }
            let nack: Vec<u16> = (0..20).map(|_| r.n() as u16).collect();
            let ssrc = Ssrc(1_000_001);
            net.peer(v).send_rtcp(&rtcp::nack(Ssrc(5), ssrc, &nack));
            net.run(Duration::from_millis(3));
        }
        println!("round {round} und {} got {}", net.peer(v).undecryptable, net.peer(v).packets.len());
    }
}
