//! One RTP stream that is sent: its numbers and its sender reports.
//!
//! Invariant: sequence numbers are contiguous, whatever is cancelled, and a sender report that states the capture time
//! follows the first packet, then every second (RFC 3550, section 6.4.1). It follows, because a receiver learns from
//! the first packet whose SSRC it is.

use super::peer::Outbound;
use crate::backoff::random_u32;
use bytes::Bytes;
use rtc::rtcp::{goodbye::Goodbye, sender_report::SenderReport};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// From the NTP epoch, 1900, to the Unix epoch, in seconds.
const NTP_OFFSET: u64 = 2_208_988_800;

/// The connection takes no more packets.
#[derive(Debug, thiserror::Error)]
#[error("the stream can no longer be sent: {0}")]
pub(super) struct Stopped(#[from] webrtc::error::Error);

/// The state of one RTP stream.
pub(super) struct RtpStream {
    outbound: Outbound,
    sequence_number: u16,
    last_report: Option<Instant>,
    packets: u32,
    octets: u32,
}

impl RtpStream {
    /// A stream that has sent nothing.
    pub(super) fn new(outbound: Outbound) -> Self {
        // The first number lies in the lower half, so that receivers meet no wrap early on (RFC 3711, section 3.3.1).
        let sequence_number = (random_u32() >> 17) as u16;
        Self { outbound, sequence_number, last_report: None, packets: 0, octets: 0 }
    }

    /// The payload type of the packets that follow.
    pub(super) fn set_payload_type(&mut self, payload_type: u8) {
        self.outbound.header.payload_type = payload_type;
    }

    /// Sends one packet.
    pub(super) async fn send(&mut self, timestamp: u32, marker: bool, payload: Bytes) -> Result<(), Stopped> {
        let octets = payload.len() as u32;
        self.sequence_number = self.sequence_number.wrapping_add(1);
        // Counted before it is sent: cancelling a send must never lead to the same number twice.
        self.outbound.send(self.sequence_number, timestamp, marker, payload).await?;
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(octets);
        Ok(())
    }

    /// Says that no more is sent for now (RFC 3550, section 6.6).
    pub(super) async fn say_goodbye(&self) -> Result<(), Stopped> {
        let goodbye = Goodbye { sources: vec![self.outbound.ssrc], ..Default::default() };
        Ok(self.outbound.report(goodbye).await?)
    }

    /// The clock has begun anew: a report follows the next packet.
    pub(super) fn expect_report(&mut self) {
        self.last_report = None;
    }

    /// Sends a report if it is time: what was sent with `timestamp`, on a clock of `clock_rate` Hz, was captured then,
    /// in microseconds since the Unix epoch.
    pub(super) async fn report_when_due(
        &mut self,
        timestamp: u32,
        clock_rate: u32,
        captured_micros: u64,
    ) -> Result<(), Stopped> {
        let now = Instant::now();
        if self.last_report.is_some_and(|at| now - at < REPORT_INTERVAL) {
            return Ok(());
        }
        self.last_report = Some(now);
        // The pair is that of the moment of sending: receivers take it for that.
        let sent = unix_micros().max(captured_micros);
        let age_ticks = u128::from(sent - captured_micros) * u128::from(clock_rate) / 1_000_000;
        // Truncation is meant: an RTP timestamp is the low half of the time (RFC 3550, section 5.1).
        #[expect(clippy::cast_possible_truncation)]
        let rtp_time = timestamp.wrapping_add(age_ticks as u32);
        let report = SenderReport {
            ssrc: self.outbound.ssrc,
            ntp_time: ntp(sent),
            rtp_time,
            packet_count: self.packets,
            octet_count: self.octets,
            ..Default::default()
        };
        Ok(self.outbound.report(report).await?)
    }
}

fn unix_micros() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

/// Wall time as a 64-bit NTP timestamp (RFC 3550, section 4).
fn ntp(unix_micros: u64) -> u64 {
    let (seconds, micros) = (unix_micros / 1_000_000, unix_micros % 1_000_000);
    ((seconds + NTP_OFFSET) << 32) | ((micros << 32) / 1_000_000)
}
