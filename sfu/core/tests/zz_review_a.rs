//! throw-away
#![allow(warnings)]
mod net;
use net::{CAMERA, Net, SSRC, Stream, rid};
use sfu_core::*;
use std::time::Duration;
use std::sync::Arc;

#[test]
fn late_packet_and_join() {
    for d in 0..22u64 {
        let r = std::panic::catch_unwind(|| {
            let mut net = Net::new(1, 9);
            let p = net.publisher(0);
            let _v1 = net.viewer(0, "h");
            let mut s = Stream::new("h", SSRC);
            s.play(&mut net, p, 29);
            let mut frame = s.next_frame();
            let lost = frame.remove(1);
            for (pk, i) in frame { net.peer(p).send_rtp(&pk, i); }
            net.run(Duration::from_millis(40));
            let v2 = net.viewer(0, "h");
            net.run(Duration::from_millis(d));
            net.peer(p).send_rtp(&lost.0, lost.1);
            net.run(Duration::from_millis(40));
        });
        println!("late at +{d} ms: {}", if let Err(e) = &r { e.downcast_ref::<String>().cloned().unwrap_or_default() } else { "ok".into() });
    }
}

#[test]
fn frame_in_two_halves_and_join() {
    for d in 0..22u64 {
        let r = std::panic::catch_unwind(|| {
            let mut net = Net::new(1, 9);
            let p = net.publisher(0);
            let _v1 = net.viewer(0, "h");
            let mut s = Stream::new("h", SSRC);
            s.play(&mut net, p, 29);
            let v2 = net.viewer(0, "h");
            net.run(Duration::from_millis(d));
            let frame = s.next_frame();
            for (n, (pk, i)) in frame.into_iter().enumerate() {
                if n == 2 { net.run(Duration::from_millis(3)); }
                net.peer(p).send_rtp(&pk, i);
            }
            net.run(Duration::from_millis(40));
        });
        println!("split frame at +{d} ms: {}", if let Err(e) = &r { e.downcast_ref::<String>().cloned().unwrap_or_default() } else { "ok".into() });
    }
}

#[test]
fn stale_after_unpublish() {
    let mut net = Net::new(1, 9);
    let p = net.publisher(0);
    let _v1 = net.viewer(0, "h");
    let mut s = Stream::new("h", SSRC);
    s.play(&mut net, p, 30);
    net.handle(0, Input::Disconnect(PeerId(1)));
    net.run(Duration::from_secs(20));
    // keep v1 alive? silence 30s
    let v2 = net.viewer(0, "h");
    net.run(Duration::from_millis(100));
    println!("STALE after unpublish: {} packets, playing {:?}", net.peer(v2).packets.len(), net.notices.iter().filter(|n| matches!(n.1, Notice::Playing(_))).count());
}

#[test]
fn stale_camera_stalled() {
    let mut net = Net::new(1, 9);
    let p = net.publisher(0);
    let v1 = net.viewer(0, "h");
    let mut s = Stream::new("h", SSRC);
    s.play(&mut net, p, 30);
    for _ in 0..60 { net.peer(p).check(); net.peer(v1).check(); net.run(Duration::from_secs(10)); }
    let v2 = net.viewer(0, "h");
    net.run(Duration::from_millis(100));
    println!("STALE 10 min after the last frame: {} packets", net.peer(v2).packets.len());
}

#[test]
fn stale_let_go() {
    let mut net = Net::new(1, 9);
    let p = net.publisher(0);
    let v1 = net.viewer(0, "h");
    let mut s = Stream::new("h", SSRC);
    s.play(&mut net, p, 49);
    net.handle(0, Input::Disconnect(PeerId(2)));
    // camera goes on through linger until wanted=false
    let mut n = 0;
    while net.is_wanted("h") { s.play(&mut net, p, 1); n += 1; }
    // frames in flight: until a keyframe
    while s.frame % 50 != 1 { s.play(&mut net, p, 1); }
    for _ in 0..360 { net.peer(p).check(); net.run(Duration::from_secs(10)); }
    let v2 = net.viewer(0, "h");
    net.run(Duration::from_millis(100));
    println!("STALE let-go: {} packets an hour later", net.peer(v2).packets.len());
}

#[test]
fn origin_none_from_former() {
    let mut net = Net::new(2, 9);
    let p1 = net.publisher(0);
    let p2 = net.publisher(1);
    let v = net.viewer(1, "h");
    // what shard 0 says when it removes p1 before it reads shard 1's Origin
    net.handle(1, Input::FromShard(ShardMessage::Origin { camera: CAMERA, origin: None, encodings: vec![] }));
    let mut s = Stream::new("h", SSRC);
    s.play(&mut net, p2, 200);
    println!("ORIGIN-NONE: viewer has {} packets after 8 s; wanted {}", net.peer(v).packets.len(), net.is_wanted("h"));
}

#[test]
fn unpaced_cross_shard() {
    let mut net = Net::new(2, 9);
    let p = net.publisher(0);
    let _v1 = net.viewer(0, "h");
    let mut s = Stream { gop: 1000, packets_per_frame: 8, ..Stream::new("h", SSRC) };
    s.play(&mut net, p, 80);
    net.trains.clear();
    let v2 = net.viewer(1, "h");
    println!("UNPACED other shard: {} packets at connect", net.peer(v2).packets.len());
    let v3 = net.viewer(0, "h");
    println!("own shard: {} packets at connect", net.peer(v3).packets.len());
}

#[test]
fn overlap() {
    let mut net = Net::new(3, 9);
    let p = net.publisher(0);
    let v = net.viewer(1, "h");
    let mut s = Stream::new("h", SSRC);
    s.play(&mut net, p, 500);
    let before = net.peer(v).packets.len();
    let id = EncodingId { camera: CAMERA, rid: rid("h") };
    net.handle(1, Input::FromShard(ShardMessage::Origin { camera: CAMERA, origin: Some(ShardId(2)), encodings: vec![rid("h"), rid("l")] }));
    // shard 2's first packet came before our Subscribe: its numbers begin at 65536 + x as shard 0's did
    for f in 0..400u64 {
        let pk: Vec<Packet> = (0..3).map(|k| Packet { index: 131_072 - 100 + f * 3 + k, time: 5_000 + f as u32 * 3600, marker: k == 2, starts_gop: k == 0 && f % 50 == 0, payload: bytes::Bytes::from(vec![0x65; 900]) }).collect();
        net.handle(1, Input::FromShard(ShardMessage::Batch { encoding: id, packets: pk.into() }));
        net.run(Duration::from_millis(40));
    }
    println!("OVERLAP: {} before, {} after 400 frames of the new publisher", before, net.peer(v).packets.len());
}

#[test]
fn pli_forever() {
    let mut net = Net::new(1, 9);
    let p = net.publisher(0);
    let v = net.viewer(0, "h");
    let mut s = Stream::new("h", SSRC);
    s.next_frame();
    s.play(&mut net, p, 3);
    net.handle(0, Input::Disconnect(PeerId(2)));
    net.run(Duration::from_secs(10));
    let a = net.shards[0].counters().keyframe_requests_out;
    for _ in 0..6 { net.peer(p).check(); net.run(Duration::from_secs(10)); }
    println!("PLI: {} more in 60 s without viewers", net.shards[0].counters().keyframe_requests_out - a);
}
