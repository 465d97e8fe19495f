//! Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1), read in place: it comes ten
//! times a second from each viewer.
//!
//! Invariants: reads only within the packet; what is malformed ends the reading; at most [`MAX_STATUSES`] statuses.

/// More than a receiver tells at a time, also after a way was cut for seconds.
pub const MAX_STATUSES: u16 = 4096;
/// Version, no padding or with it, and the format; the packet type.
const FORMAT: u8 = 0x8f;
const PADDING: u8 = 0x20;
const TYPE: u8 = 205;
/// Where the first number stands, and how many follow; the time of reference; the first chunk.
const BASE: usize = 12;
const REFERENCE: usize = 16;
const CHUNKS: usize = 20;
/// Ticks of one unit of the time of reference, 64 ms.
const REFERENCE_TICKS: u32 = 256;

/// What a receiver tells of a range of numbers, each once: the number, and when its packet came, in ticks of 250 us by the
/// receiver's clock, modulo 2^32; `None` where it did not.
#[derive(Clone, Debug)]
pub struct TransportFeedback<'a> {
    number: u16,
    left: u16,
    chunk: Chunk,
    chunks: &'a [u8],
    deltas: &'a [u8],
    ticks: u32,
}

/// A packet status chunk, of which so many symbols were read.
#[derive(Clone, Copy, Debug, Default)]
struct Chunk {
    word: u16,
    read: u16,
}

impl Chunk {
    fn symbols(self) -> u16 {
        match self.word >> 14 {
            0 | 1 => self.word & 0x1fff,
            2 => 14,
            _ => 7,
        }
    }

    fn next(&mut self) -> Option<u16> {
        let at = self.read;
        if at >= self.symbols() {
            return None;
        }
        self.read += 1;
        Some(match self.word >> 14 {
            0 | 1 => self.word >> 13,
            2 => self.word >> (13 - at) & 1,
            _ => self.word >> (12 - 2 * at) & 3,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

impl<'a> TransportFeedback<'a> {
    /// Reads an RTCP packet; `None` when it is another, or its chunks do not say what became of every number.
    pub fn read(packet: &'a [u8]) -> Option<Self> {
        let [format, TYPE, ..] = *packet else { return None };
        let (number, count) = (word(packet, BASE)?, word(packet, BASE + 2)?);
        let [high, middle, low, _] = *packet.get(REFERENCE..CHUNKS)? else { return None };
        if format & !PADDING != FORMAT || count > MAX_STATUSES {
            return None;
        }
        let (mut at, mut covered) = (CHUNKS, 0u16);
        while covered < count {
            covered = covered.saturating_add(Chunk { word: word(packet, at)?, read: 0 }.symbols());
            at += 2;
        }
        let ticks = u32::from_be_bytes([0, high, middle, low]).wrapping_mul(REFERENCE_TICKS);
        let (chunks, deltas) = (&packet[CHUNKS..at], &packet[at..]);
        Some(Self { number, left: count, chunk: Chunk::default(), chunks, deltas, ticks })
    }

    fn symbol(&mut self) -> Option<u16> {
        loop {
            if let Some(symbol) = self.chunk.next() {
                return Some(symbol);
            }
            self.chunk = Chunk { word: word(self.chunks, 0)?, read: 0 };
            self.chunks = &self.chunks[2..];
        }
    }

    /// The arrival time that a symbol stands for.
    fn came(&mut self, symbol: u16) -> Option<Option<u32>> {
        let (delta, len) = match symbol {
            0 => return Some(None),
            1 => (i32::from(*self.deltas.first()?), 1),
            2 => (i32::from(word(self.deltas, 0)?.cast_signed()), 2),
            _ => return None,
        };
        self.deltas = &self.deltas[len..];
        self.ticks = self.ticks.wrapping_add_signed(delta);
        Some(Some(self.ticks))
    }
}

impl Iterator for TransportFeedback<'_> {
    type Item = (u16, Option<u32>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let symbol = self.symbol();
        let Some(came) = symbol.and_then(|symbol| self.came(symbol)) else {
            self.left = 0;
            return None;
        };
        let number = self.number;
        self.number = number.wrapping_add(1);
        Some((number, came))
    }
}
