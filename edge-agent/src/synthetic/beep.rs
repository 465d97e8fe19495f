//! The synthetic camera's sound: a soft beep in the first 100 ms of each full second of Unix time, else silence.
//!
//! Invariant: packet `k` is of the wall-clock time `k / 50`, so that the beep begins with the picture that shows a full
//! second. Nothing is made while nobody listens.

use crate::{
    health::StreamBoard,
    sound::{Codec, Packet, SoundFeed},
};
use bytes::Bytes;
use std::time::{Duration, SystemTime};

/// Packets in a second.
pub const PACKETS: u64 = 50;
/// Samples in a packet.
const SAMPLES: usize = 160;
/// Packets of a beep.
const BEEP: u64 = 5;
const HERTZ: f64 = 440.0;
const AMPLITUDE: f64 = 2500.0;
/// How often somebody to listen is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// Beeps for as long as it is polled.
pub(super) async fn pull(feed: &SoundFeed, board: &StreamBoard) {
    let tone: Vec<Bytes> = (0..BEEP).map(payload).collect();
    let silence = payload(BEEP);
    board.set_sound(Codec::Pcma);
    let mut last = 0;
    loop {
        if !feed.is_heard() {
            tokio::time::sleep(LOOK).await;
            continue;
        }
        let now = unix_time();
        let due = now.as_millis() as u64 * PACKETS / 1000;
        // A clock that was set back is followed at once; time that was slept through is left out.
        let k = if due.abs_diff(last) > PACKETS { due } else { last + 1 };
        tokio::time::sleep(Duration::from_millis(k * 1000 / PACKETS).saturating_sub(now)).await;
        last = k;
        let payload = tone.get((k % PACKETS) as usize).unwrap_or(&silence).clone();
        let (ticks, captured_micros) = (k * SAMPLES as u64, k * 1_000_000 / PACKETS);
        feed.push(Packet { codec: Codec::Pcma, payload, ticks, captured_micros, stream: 0 });
    }
}

/// The samples of the packet with this number in its second, A-law.
pub fn payload(number: u64) -> Bytes {
    let sample = |i: usize| {
        let at = (number * SAMPLES as u64) as f64 + i as f64;
        let wave = (std::f64::consts::TAU * HERTZ * at / f64::from(Codec::Pcma.clock_rate())).sin();
        a_law(if number < BEEP { (AMPLITUDE * wave) as i16 } else { 0 })
    };
    (0..SAMPLES).map(sample).collect()
}

/// A linear sample of 16 bits as A-law (ITU-T G.711, table 1a), even bits inverted.
fn a_law(sample: i16) -> u8 {
    let magnitude = sample.unsigned_abs().min(32_767) >> 4;
    // Segment 0 and 1 have the same steps; each further segment's are twice as large.
    let segment = (u16::BITS - magnitude.leading_zeros()).saturating_sub(4);
    let step = magnitude >> segment.saturating_sub(1) & 0xf;
    let sign = if sample < 0 { 0 } else { 0x80 };
    (sign | (segment as u8) << 4 | step as u8) ^ 0x55
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
