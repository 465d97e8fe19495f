//! What leaves beside the pictures, and in which order.

use super::{Numbering, Told};
use crate::{
    publish::media::{MID_URI, NUMBER_URI},
    uplink::{Estimator, Uplink},
};
use bytes::Bytes;
use rtc::{
    interceptor::{AttributedPacket, Interceptor, Packet, RTPHeaderExtension, StreamInfo, TaggedPacket},
    rtp,
    sansio::Protocol,
    shared::TransportContext,
};
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);
const PICTURE: u32 = 1;
const SOUND: u32 = 2;
const H264: u8 = 96;
const PCMA: u8 = 8;
const NUMBER: u8 = 3;

/// An uplink that was full, and is probed for more since the moment that is told.
fn probed() -> (Uplink, Instant) {
    let (began, mut estimator) = (Instant::now(), Estimator::default());
    let way = estimator.open(began);
    let mut now = began;
    // 400 packets in a second, ever later; then 100 a second, as soon as they are sent.
    for at in 0..2000u64 {
        let (interval, late) = if at < 400 { (2500, at * 1000) } else { (10_000, 0) };
        now += Duration::from_micros(interval);
        let number = estimator.send(now, way, 1200);
        let came = (now - began).as_micros() as i64 + late as i64;
        estimator.hear(now, way, [Told { number, came: Some(came) }]);
        if at % 20 == 0 {
            estimator.tick(now);
            estimator.aim(estimator.limit().map(|limit| 4 * limit));
        }
        if estimator.padding(now + 100 * MS) > 0 {
            return (Uplink::from(estimator), now);
        }
    }
    panic!("no probe began: {estimator:?}");
}

/// The interceptor of a connection with pictures and sound.
fn numbering(uplink: &Uplink) -> Numbering {
    let mut numbering = Numbering::new(uplink.open());
    let extension = |uri: &str, id: u8| RTPHeaderExtension { uri: uri.into(), id: id.into() };
    for (ssrc, payload_type, mime_type) in [(PICTURE, H264, "video/H264"), (SOUND, PCMA, "audio/PCMA")] {
        numbering.bind_local_stream(&StreamInfo {
            ssrc,
            payload_type,
            mime_type: mime_type.into(),
            rtp_header_extensions: vec![extension(MID_URI, 1), extension(NUMBER_URI, NUMBER)],
            ..Default::default()
        });
    }
    numbering
}

fn write(numbering: &mut Numbering, now: Instant, (ssrc, payload_type): (u32, u8)) {
    let header = rtp::Header { version: 2, ssrc, payload_type, ..Default::default() };
    let packet = Packet::Rtp(rtp::Packet { header, payload: Bytes::from_static(&[1; 100]) });
    let transport = TransportContext::default();
    numbering.handle_write(TaggedPacket { now, transport, message: AttributedPacket::new(packet) }).expect("written");
}

/// The headers of what has left.
fn left(numbering: &mut Numbering) -> Vec<rtp::Header> {
    let packets = std::iter::from_fn(|| numbering.poll_write());
    let header = |packet: TaggedPacket| match packet.message.packet {
        Packet::Rtp(packet) => Some(packet.header),
        _ => None,
    };
    packets.filter_map(header).collect()
}

fn number(header: &rtp::Header) -> u16 {
    let number = header.extensions.iter().find(|e| e.id == NUMBER).expect("numbered");
    u16::from_be_bytes([number.payload[0], number.payload[1]])
}

#[test]
fn what_probes_the_uplink_leaves_by_a_timer_in_the_order_of_the_numbers_and_is_of_the_pictures_payload_type() {
    let (uplink, now) = probed();
    let mut numbering = numbering(&uplink);
    let now = now + 100 * MS;
    write(&mut numbering, now, (SOUND, PCMA));
    assert_eq!(numbering.poll_timeout(), None, "no picture has left");
    write(&mut numbering, now, (PICTURE, H264));
    write(&mut numbering, now, (SOUND, PCMA));
    let at = numbering.poll_timeout().expect("a probe is under way");
    assert!((now + MS..=now + 10 * MS).contains(&at), "soon: {:?}", at - now);
    numbering.handle_timeout(at).expect("in time");
    let headers = left(&mut numbering);
    assert!(headers.windows(2).all(|pair| number(&pair[1]) == number(&pair[0]) + 1), "{headers:?}");
    let (media, padding) = headers.split_at(3);
    assert_eq!(media.iter().map(|h| h.ssrc).collect::<Vec<_>>(), [SOUND, PICTURE, SOUND]);
    assert!((1..=8).contains(&padding.len()) && padding.iter().all(|h| h.payload_type == H264), "{headers:?}");
    assert!(numbering.poll_timeout().is_some_and(|next| next > at), "and again");
}
