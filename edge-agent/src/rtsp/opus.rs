//! A stream's Opus sound, in an RTSP session of its own: the session that carries the pictures hands out frames, and
//! the RTSP client knows none of Opus; here its packets are taken as they are (RFC 7587: one packet, one payload).
//!
//! Invariant: whatever happens here, the pictures' session does not notice.

use super::{
    Clocks, Ended, Outlets, rtp_timestamp,
    session::{codec_of, describe, play_options, setup_options, take_reports},
};
use crate::{
    config::Transport,
    sound::{Codec, Recorder},
    source::Address,
};
use bytes::Bytes;
use futures_util::StreamExt;
use retina::client::{PacketItem, Playing, Session};
use std::time::Duration;
use tokio::time::timeout;

/// Longest time from connecting to the first packet.
const START: Duration = Duration::from_secs(10);
/// Longest time without a packet: Opus may leave out silence, and says so every 400 ms (RFC 7587, section 3.1.3).
const SILENCE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(15);

/// Fetches the sound for as long as it is polled.
pub(super) async fn listen(address: Address, transport: Transport, outlets: Outlets, clocks: Clocks) {
    let mut recorder = Recorder::new(Codec::Opus, outlets.board.place());
    loop {
        if let Err(ended) = session(&address, transport, &outlets, &clocks, &mut recorder).await {
            tracing::debug!(reason = %ended, "the camera's sound is down");
        }
        recorder.end_epoch();
        tokio::time::sleep(RETRY).await;
    }
}

async fn session(
    address: &Address,
    transport: Transport,
    outlets: &Outlets,
    clocks: &Clocks,
    recorder: &mut Recorder,
) -> Result<(), Ended> {
    let mut packets = timeout(START, start(address, transport)).await.map_err(|_| Ended::Timeout)??;
    loop {
        match timeout(SILENCE, packets.next()).await.map_err(|_| Ended::Silent)?.ok_or(Ended::Eof)?? {
            PacketItem::Rtp(packet) => {
                let (arrival, arrived) = clocks.arrival(packet.ctx());
                let camera = rtp_timestamp(packet.timestamp());
                let captured = |by_arrival| clocks.lipsync().captured(camera, by_arrival);
                let payload: Bytes = packet.into_payload_bytes();
                outlets.board.set_sound(Codec::Opus);
                let packets = recorder.record(&payload, camera, arrival, arrived, captured);
                packets.into_iter().for_each(|p| outlets.sound.push(p));
            }
            PacketItem::Rtcp(reports) => take_reports(&reports, clocks, |lipsync, ntp, rtp| {
                lipsync.sound_reported(ntp, rtp, Codec::Opus.clock_rate());
            }),
            _ => {}
        }
    }
}

async fn start(address: &Address, transport: Transport) -> Result<Session<Playing>, Ended> {
    let mut session = describe(address).await?;
    let sound = session.streams().iter().position(|s| s.media() == "audio" && codec_of(s) == Some(Codec::Opus));
    session.setup(sound.ok_or(Ended::NotFound)?, setup_options(transport)).await?;
    Ok(session.play(play_options()).await?)
}
