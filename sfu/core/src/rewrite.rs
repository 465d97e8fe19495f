//! One viewer's view of the streams it is shown, one after another, as a single RTP stream.
//!
//! Invariants: sequence numbers are contiguous where the source's are, also from one source to the next; timestamps
//! never go backwards between sources; (sequence number, roll-over count) is never given to two different packets.

/// How many changes of source are remembered for retransmissions.
const REMEMBERED: usize = 4;

/// A packet's place in the viewer's stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Sequence number with the roll-over count above bit 16.
    pub sequence: u64,
    /// RTP timestamp.
    pub time: u32,
}

/// One source, from a packet on: a constant offset for sequence numbers and one for timestamps.
#[derive(Clone, Copy, Debug)]
struct Segment<S> {
    source: S,
    first_index: u64,
    first_sequence: u64,
    time_offset: u32,
}

/// Maps (source, index, time) to places in the viewer's stream, and sequence numbers back.
#[derive(Clone, Debug)]
pub struct Rewriter<S> {
    /// Newest last.
    segments: Vec<Segment<S>>,
    next_sequence: u64,
    /// Of the last packet; `None` before the first.
    last_time: Option<u32>,
}

impl<S: Copy + PartialEq> Rewriter<S> {
    /// A rewriter whose first packet gets `first_sequence`. Below 2^15, so that a loss at the very start cannot be
    /// taken for a roll-over.
    pub fn new(first_sequence: u16) -> Self {
        Self { segments: Vec::new(), next_sequence: u64::from(first_sequence & 0x7fff), last_time: None }
    }

    /// Begins to show `source` from the packet (`index`, `time`) on.
    ///
    /// The first source keeps its timestamps, so that a burst of a cached GOP plays as it was taken. A later one
    /// continues `elapsed` 90 kHz ticks (at least one) after the last packet shown.
    pub fn start(&mut self, source: S, index: u64, time: u32, elapsed: u32) {
        let time_offset = match self.last_time {
            None => 0,
            Some(last) => last.wrapping_add(elapsed.max(1)).wrapping_sub(time),
        };
        if self.segments.len() == REMEMBERED {
            self.segments.remove(0);
        }
        let first_sequence = self.next_sequence;
        self.segments.push(Segment { source, first_index: index, first_sequence, time_offset });
    }

    /// Forgets all sources: their indices will mean other packets. The stream goes on where it is.
    pub fn forget(&mut self) {
        self.segments.clear();
    }

    /// Where a packet of the current source goes; `None` when it lies before the source's first.
    pub fn place(&mut self, index: u64, time: u32) -> Option<Place> {
        let segment = self.segments.last()?;
        let sequence = segment.first_sequence + index.checked_sub(segment.first_index)?;
        let time = time.wrapping_add(segment.time_offset);
        if sequence >= self.next_sequence {
            self.next_sequence = sequence + 1;
            self.last_time = Some(time);
        }
        Some(Place { sequence, time })
    }

    /// The source, index and timestamp offset of a sequence number the viewer asks for again. What lies half a cycle
    /// back or more is in the future (RFC 1982): nothing was sent under it yet.
    pub fn resolve(&self, sequence: u16) -> Option<(S, u64, u32)> {
        let newest = self.next_sequence.checked_sub(1)?;
        let back = Some((newest as u16).wrapping_sub(sequence)).filter(|back| *back < 0x8000)?;
        let sequence = newest.checked_sub(u64::from(back))?;
        let segment = self.segments.iter().rev().find(|s| s.first_sequence <= sequence)?;
        Some((segment.source, segment.first_index + (sequence - segment.first_sequence), segment.time_offset))
    }

    /// The viewer's timestamp for one of the current source's: sender reports keep their relation.
    pub fn map_time(&self, time: u32) -> Option<u32> {
        Some(time.wrapping_add(self.segments.last()?.time_offset))
    }
}
