//! RTP header (RFC 3550, section 5.1) with one- and two-byte extensions (RFC 8285): reading, and writing what viewers
//! get. Reads only within the packet's bounds.

use crate::Ssrc;
use std::ops::Range;
use std::time::Duration;

/// Length of the fixed header in bytes.
pub const FIXED_HEADER: usize = 12;

/// A packet's header, read in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Last packet of a frame.
    pub marker: bool,
    /// Payload type.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in clock-rate units.
    pub time: u32,
    /// Whose stream.
    pub ssrc: Ssrc,
    /// Where the extension block's data lies, with its profile.
    extension: Option<(u16, Range<usize>)>,
    /// Where the payload lies; padding is not counted in when `read` got the whole plain packet.
    pub payload: Range<usize>,
}

impl Header {
    /// Reads the header of a packet, or `None` when it is malformed.
    ///
    /// `encrypted` packets keep their padding inside the ciphertext, so it is not taken off.
    pub fn read(packet: &[u8], encrypted: bool) -> Option<Self> {
        if packet.len() < FIXED_HEADER || packet[0] >> 6 != 2 {
            return None;
        }
        let mut at = FIXED_HEADER + 4 * usize::from(packet[0] & 0x0f);
        let mut extension = None;
        if packet[0] & 0x10 != 0 {
            let head = packet.get(at..at + 4)?;
            let words = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let data = at + 4..at + 4 + 4 * words;
            extension = Some((u16::from_be_bytes([head[0], head[1]]), data.clone()));
            at = data.end;
        }
        let mut end = packet.len();
        if packet[0] & 0x20 != 0 && !encrypted {
            end = end.checked_sub(usize::from(*packet.last()?))?;
        }
        if at > end {
            return None;
        }
        Some(Self {
            marker: packet[1] & 0x80 != 0,
            payload_type: packet[1] & 0x7f,
            sequence: u16::from_be_bytes([packet[2], packet[3]]),
            time: u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]),
            ssrc: Ssrc(u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]])),
            extension,
            payload: at..end,
        })
    }

    /// The value of header extension `id`, if the packet carries it.
    pub fn extension<'a>(&self, packet: &'a [u8], id: u8) -> Option<&'a [u8]> {
        let (profile, range) = self.extension.clone()?;
        let mut rest = &packet[range];
        let two_byte = match profile {
            0xbede => false,
            p if p & 0xfff0 == 0x1000 => true,
            _ => return None,
        };
        while let Some(&first) = rest.first() {
            let (found, len, head) = match (two_byte, first) {
                (_, 0) => {
                    rest = &rest[1..];
                    continue;
                }
                (true, found) => (found, usize::from(*rest.get(1)?), 2),
                (false, byte) if matches!(byte >> 4, 0 | 15) => return None,
                (false, byte) => (byte >> 4, usize::from(byte & 0x0f) + 1, 1),
            };
            let value = rest.get(head..head + len)?;
            if found == id {
                return Some(value);
            }
            rest = &rest[head + len..];
        }
        None
    }
}

/// `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`: 6.18 fixed point seconds, 3 bytes.
pub const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
/// `http://www.webrtc.org/experiments/rtp-hdrext/playout-delay`: minimum and maximum in 10 ms, 12 bits each.
pub const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
/// Identifies the m-line (RFC 9143).
pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// Identifies the encoding (RFC 8852).
pub const RTP_STREAM_ID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
/// Identifies the encoding that a retransmission stream repairs (RFC 8852).
pub const REPAIRED_RTP_STREAM_ID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";

/// Numbers all packets of a connection, for feedback on when each arrived: 2 bytes.
pub const TRANSPORT_NUMBER: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// Which header extensions one viewer negotiated, with their ids; each 1 to 14.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct ViewerExtensions {
    /// [`ABS_SEND_TIME`].
    pub abs_send_time: Option<u8>,
    /// [`PLAYOUT_DELAY`].
    pub playout_delay: Option<u8>,
    /// [`TRANSPORT_NUMBER`].
    pub transport_number: Option<u8>,
}

/// Everything of a viewer's header that stays the same from packet to packet: a constant size, so that the packets
/// of a train are equally long.
#[derive(Clone, Debug)]
pub struct HeaderTemplate {
    bytes: [u8; 28],
    len: usize,
    send_time_at: Option<usize>,
    playout_delay_at: Option<usize>,
    number_at: Option<usize>,
}

/// What differs from packet to packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Payload type.
    pub payload_type: u8,
    /// Last packet of its frame.
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp.
    pub time: u32,
    /// When it leaves, in 6.18 fixed point seconds.
    pub send_time: u32,
    /// Transport-wide number.
    pub number: u16,
}

impl HeaderTemplate {
    /// A template for one stream. The playout delay is 0 to 0: show frames as they come.
    pub fn new(ssrc: Ssrc, extensions: ViewerExtensions) -> Self {
        let mut bytes = [0; 28];
        bytes[0] = 0x80;
        bytes[8..12].copy_from_slice(&ssrc.0.to_be_bytes());
        let mut at = FIXED_HEADER + 4;
        // Each takes a word: a byte of padding follows the number.
        let mut put = |id: Option<u8>, len: u8| {
            bytes[at] = id? << 4 | (len - 1);
            at += 4;
            Some(at - 3)
        };
        let (send_time_at, playout_delay_at) = (put(extensions.abs_send_time, 3), put(extensions.playout_delay, 3));
        let number_at = put(extensions.transport_number, 2);
        let words = (at - FIXED_HEADER - 4) / 4;
        if words == 0 {
            return Self { bytes, len: FIXED_HEADER, send_time_at, playout_delay_at, number_at };
        }
        bytes[0] |= 0x10;
        bytes[12..16].copy_from_slice(&[0xbe, 0xde, 0, words as u8]);
        Self { bytes, len: at, send_time_at, playout_delay_at, number_at }
    }

    /// From now on frames are to be shown so much later than they come, at least and at most; each below 41 s.
    pub fn set_playout_delay(&mut self, least: Duration, most: Duration) {
        if let Some(at) = self.playout_delay_at {
            let tens = |delay: Duration| (delay.as_millis() / 10).min(0xfff) as u32;
            let value = tens(least) << 12 | tens(most);
            self.bytes[at..at + 3].copy_from_slice(&value.to_be_bytes()[1..]);
        }
    }

    /// Length of every header it writes, in bytes.
    pub fn size(&self) -> usize {
        self.len
    }

    /// Whether its packets have transport-wide numbers.
    pub fn is_numbered(&self) -> bool {
        self.number_at.is_some()
    }

    /// Whose stream it is for.
    pub fn ssrc(&self) -> Ssrc {
        Ssrc(u32::from_be_bytes([self.bytes[8], self.bytes[9], self.bytes[10], self.bytes[11]]))
    }

    /// Writes a header to the start of `out`.
    pub fn write(&self, out: &mut [u8], fields: Fields) {
        let Fields { payload_type, marker, sequence, time, send_time, number } = fields;
        out[..self.len].copy_from_slice(&self.bytes[..self.len]);
        out[1] = u8::from(marker) << 7 | payload_type & 0x7f;
        out[2..4].copy_from_slice(&sequence.to_be_bytes());
        out[4..8].copy_from_slice(&time.to_be_bytes());
        if let Some(at) = self.send_time_at {
            out[at..at + 3].copy_from_slice(&send_time.to_be_bytes()[1..]);
        }
        if let Some(at) = self.number_at {
            out[at..at + 2].copy_from_slice(&number.to_be_bytes());
        }
    }
}

/// Whether a packet on a muxed port is RTCP (RFC 5761, section 4).
pub fn is_rtcp(packet: &[u8]) -> bool {
    packet.len() >= 2 && (192..=223).contains(&packet[1])
}
