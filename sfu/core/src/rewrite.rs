//! One viewer's view of the streams it is shown, one after another, as a single RTP stream.
//!
//! Invariants: sequence numbers are contiguous where the source's are, also from one source to the next; timestamps
//! never go backwards between sources; (sequence number, roll-over count) is never given to two different packets.

/// How many sources before the present one are remembered for retransmissions.
const REMEMBERED: usize = 3;

/// A packet's place in the viewer's stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Sequence number with the roll-over count above bit 16.
    pub sequence: u64,
    /// RTP timestamp.
    pub time: u32,
}

/// A cached group of pictures plays this many times faster than it was taken: 1 ms a frame at 25 frames a second.
const SQUEEZE: u32 = 40;

/// How one source's timestamps become the viewer's: by a constant offset, but for a burst that is squeezed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    offset: u32,
    squeezed: Option<Squeezed>,
}

/// Timestamps from `first` up to `newest` of the source spread evenly from `start` over `span`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Squeezed {
    first: u32,
    newest: u32,
    start: u32,
    span: u32,
}

impl Times {
    const UNCHANGED: Self = Self { offset: 0, squeezed: None };

    /// Times that continue after `last`: of a source whose packets from `first` to `newest` are to be shown as soon as
    /// they can, and whose `newest` is to be shown `elapsed` ticks after `last`.
    fn after(last: u32, first: u32, newest: u32, elapsed: u32) -> Self {
        let held = newest.wrapping_sub(first);
        if held == 0 || elapsed > held {
            return Self { offset: last.wrapping_add(elapsed).wrapping_sub(newest), squeezed: None };
        }
        let (start, span) = (last.wrapping_add(1), elapsed.max(held / SQUEEZE));
        let offset = start.wrapping_add(span).wrapping_sub(newest);
        Self { offset, squeezed: Some(Squeezed { first, newest, start, span }) }
    }

    /// The viewer's timestamp for one of the source's.
    pub fn map(&self, time: u32) -> u32 {
        if let Some(burst) = self.squeezed {
            let (into, held) = (time.wrapping_sub(burst.first), burst.newest.wrapping_sub(burst.first));
            if into < held {
                let moved = u64::from(into) * u64::from(burst.span) / u64::from(held);
                return burst.start.wrapping_add(moved as u32);
            }
        }
        time.wrapping_add(self.offset)
    }
}

/// One source, from a packet on: a constant offset for sequence numbers, and its times.
#[derive(Clone, Copy, Debug)]
struct Segment<S> {
    source: S,
    first_index: u64,
    first_sequence: u64,
    times: Times,
}

/// Maps (source, index, time) to places in the viewer's stream, and sequence numbers back.
#[derive(Clone, Debug)]
pub struct Rewriter<S> {
    /// In place, for every packet asks for it.
    present: Option<Segment<S>>,
    /// Those before it, newest last.
    earlier: Vec<Segment<S>>,
    next_sequence: u64,
    /// Of the last packet; `None` before the first.
    last_time: Option<u32>,
}

impl<S: Copy + PartialEq> Rewriter<S> {
    /// A rewriter whose first packet gets `first_sequence`. Below 2^15, so that a loss at the very start cannot be
    /// taken for a roll-over.
    pub fn new(first_sequence: u16) -> Self {
        let next_sequence = u64::from(first_sequence & 0x7fff);
        Self { present: None, earlier: Vec::new(), next_sequence, last_time: None }
    }

    /// Begins to show `source` from the packet (`index`, `time`) on; its newest packet has the time `newest`.
    ///
    /// The first source keeps its timestamps, so that a burst of a cached GOP plays as it was taken. A later one's
    /// newest packet comes `elapsed` ticks (at least one) after the last packet shown, and what is older between them:
    /// squeezed, where the time does not suffice.
    pub fn start(&mut self, source: S, index: u64, time: u32, newest: u32, elapsed: u32) {
        let times = self.last_time.map_or(Times::UNCHANGED, |last| Times::after(last, time, newest, elapsed.max(1)));
        self.begin(source, index, times);
    }

    /// Goes on with another selection of the same packets, from one of them on: its index is `index` so far and `other`
    /// there. True where the seam is none: it is the very next packet, and begins a frame.
    pub fn branch(&mut self, source: S, index: u64, other: u64, time: u32) -> bool {
        let Some(Segment { first_index, first_sequence, times, .. }) = self.present else { return false };
        let sequence = index.checked_sub(first_index).map(|ahead| first_sequence + ahead);
        let is_seamless = sequence == Some(self.next_sequence) && self.last_time != Some(times.map(time));
        if is_seamless {
            self.begin(source, other, times);
        }
        is_seamless
    }

    fn begin(&mut self, source: S, first_index: u64, times: Times) {
        let segment = Segment { source, first_index, first_sequence: self.next_sequence, times };
        if let Some(before) = self.present.replace(segment) {
            if self.earlier.len() == REMEMBERED {
                self.earlier.remove(0);
            }
            self.earlier.push(before);
        }
    }

    /// The source that is shown now.
    pub fn source(&self) -> Option<S> {
        self.present.as_ref().map(|segment| segment.source)
    }

    /// Forgets all sources: their indices will mean other packets. The stream goes on where it is.
    pub fn forget(&mut self) {
        self.present = None;
        self.earlier.clear();
    }

    /// Where a packet of the current source goes; `None` when it lies before the source's first.
    pub fn place(&mut self, index: u64, time: u32) -> Option<Place> {
        let segment = self.present.as_ref()?;
        let sequence = segment.first_sequence + index.checked_sub(segment.first_index)?;
        let time = segment.times.map(time);
        if sequence >= self.next_sequence {
            self.next_sequence = sequence + 1;
            self.last_time = Some(time);
        }
        Some(Place { sequence, time })
    }

    /// The newest sequence number that was given; `None` before the first packet.
    pub fn newest(&self) -> Option<u16> {
        self.last_time.map(|_| self.next_sequence.wrapping_sub(1) as u16)
    }

    /// The source, index and times of a sequence number the viewer asks for again. What lies half a cycle
    /// back or more is in the future (RFC 1982): nothing was sent under it yet.
    pub fn resolve(&self, sequence: u16) -> Option<(S, u64, Times)> {
        let newest = self.next_sequence.checked_sub(1)?;
        let back = Some((newest as u16).wrapping_sub(sequence)).filter(|back| *back < 0x8000)?;
        let sequence = newest.checked_sub(u64::from(back))?;
        let mut newest_first = self.present.iter().chain(self.earlier.iter().rev());
        let segment = newest_first.find(|s| s.first_sequence <= sequence)?;
        Some((segment.source, segment.first_index + (sequence - segment.first_sequence), segment.times))
    }

    /// The viewer's timestamp for one of the current source's: sender reports keep their relation.
    pub fn map_time(&self, time: u32) -> Option<u32> {
        Some(self.present.as_ref()?.times.map(time))
    }
}
