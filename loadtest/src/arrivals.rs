//! When a viewer's packets come, by their transport-wide numbers, and what it tells of that: with the first packet that
//! comes a tenth of a second after it told last, as browsers do where packets come all the time.
//!
//! Pure: time is an argument. Invariants: feedback tells of each number once, and of 512 at most.

use crate::client::rtcp;
use crate::client::sdp::NUMBER_EXTENSION;
use std::time::{Duration, Instant};

/// From one feedback to the next.
const INTERVAL: Duration = Duration::from_millis(100);
/// Numbers that one feedback tells of at most.
const MOST: u16 = 512;
/// A tick of arrival times, in microseconds.
const TICK: u128 = 250;
/// Length of an RTP header without extensions or sources, in bytes.
const FIXED_HEADER: usize = 12;

/// See the module.
#[derive(Debug)]
pub struct Arrivals {
    began: Instant,
    told: Instant,
    /// The first number that was not told of, and when it and those after it came.
    base: Option<u16>,
    ticks: Vec<Option<u32>>,
    count: u8,
}

impl Arrivals {
    /// Of a connection that begins at `now`.
    pub fn new(now: Instant) -> Self {
        Self { began: now, told: now, base: None, ticks: Vec::new(), count: 0 }
    }

    /// Takes note of an RTP packet; the feedback, where it is time for it. `ssrc` is that of any stream.
    pub fn note(&mut self, now: Instant, packet: &[u8], ssrc: u32) -> Option<Vec<u8>> {
        let number = number(packet)?;
        let ahead = |base: u16| number.wrapping_sub(base);
        // After a jump it begins anew; what is behind was told lost.
        let base = self.base.filter(|base| !(MOST..0x8000).contains(&ahead(*base))).unwrap_or_else(|| {
            self.ticks.clear();
            number
        });
        self.base = Some(base);
        if ahead(base) < MOST {
            let place = usize::from(ahead(base));
            if place >= self.ticks.len() {
                self.ticks.resize(place + 1, None);
            }
            let ticks = now.saturating_duration_since(self.began).as_micros() / TICK;
            self.ticks[place].get_or_insert(ticks as u32);
        }
        (now >= self.told + INTERVAL && !self.ticks.is_empty()).then(|| self.tell(now, base, ssrc))
    }

    fn tell(&mut self, now: Instant, base: u16, ssrc: u32) -> Vec<u8> {
        let feedback = rtcp::arrivals(ssrc, base, self.count, &self.ticks);
        self.base = Some(base.wrapping_add(self.ticks.len() as u16));
        self.ticks.clear();
        self.told = now;
        self.count = self.count.wrapping_add(1);
        feedback
    }
}

/// The transport-wide number of a packet with one-byte header extensions (RFC 8285), which are in the clear.
fn number(packet: &[u8]) -> Option<u16> {
    let head = FIXED_HEADER + 4 * usize::from(packet.first()? & 0x0f);
    let words = match *packet.get(head..head + 4)? {
        [0xbe, 0xde, high, low] if packet[0] & 0x10 != 0 => usize::from(u16::from_be_bytes([high, low])),
        _ => return None,
    };
    let mut rest = packet.get(head + 4..head + 4 + 4 * words)?;
    while let [first, after @ ..] = rest {
        let len = if *first == 0 { 0 } else { usize::from(first & 0x0f) + 1 };
        if first >> 4 == NUMBER_EXTENSION {
            return Some(u16::from_be_bytes(after.get(..2)?.try_into().ok()?));
        }
        rest = after.get(len..)?;
    }
    None
}
