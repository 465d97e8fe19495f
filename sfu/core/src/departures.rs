//! What was sent to a viewer, by transport-wide numbers, and how it arrives
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! Packets that leave together are one record: a frame's trains. What is told of them is summed by spans of a tenth of a
//! second. Times are ticks of 250 us, modulo 2^32.
//!
//! Invariants: at most 512 records; each packet is told of once; telling takes time in proportion to what is
//! told.

use crate::transport_feedback::TransportFeedback;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A tick.
const TICK: Duration = Duration::from_micros(250);
/// Packets that leave within so many ticks are a group (draft-ietf-rmcat-gcc-02, section 5.2: 5 ms).
const BURST: u32 = 20;
/// Groups that are remembered: some 5 s of a wall.
const MAX_GROUPS: usize = 512;
/// Packets of a group at most.
const MAX_PACKETS: u16 = 1024;
/// A span, in ticks, and how many are kept.
const SPAN: u32 = 400;
const SPANS: usize = 8;
/// A queue that never becomes shorter than this stands.
pub(crate) const STANDING: Duration = Duration::from_millis(50);
/// Spans of half a window.
const HALF: u32 = 3;
/// In ticks (20 s): a longer delay is no queue, but another clock.
const LONGEST_QUEUE: u32 = 80_000;
/// The least delay is looked for over so many ticks (10 s), and twice that: the way may become another.
const BASE_SPAN: u32 = 40_000;

/// See the module.
#[derive(Debug)]
pub struct Departures {
    origin: Instant,
    /// The number of the packet that leaves next, and of that which is told of next.
    next: u16,
    told: u16,
    /// Of which something has not been told, oldest first.
    groups: VecDeque<Group>,
    /// Least delays by the two clocks, in this span and in the one before it; when this one began.
    least: Option<(u32, u32)>,
    least_since: u32,
    /// By number modulo `SPANS`, and the number of the newest.
    spans: [Span; SPANS],
    newest: Option<u32>,
}

/// Packets that left together.
#[derive(Clone, Copy, Debug)]
struct Group {
    sent: u32,
    bytes: u32,
    first: u16,
    packets: u16,
}

/// What arrived in a span.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    bytes: u32,
    /// The least queue, where something arrived.
    queue: Option<u32>,
}

/// How packets arrived of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arriving {
    /// Over the window, 0.6 s, and its second half, in bit/s.
    pub rate: u64,
    /// See `rate`.
    pub newer_rate: u64,
    /// The queue that each packet of the first half of the window met at least; nothing may have come then.
    pub older_queue: Duration,
    /// The same of its second half.
    pub queue: Duration,
    /// The same of the last moment, 0.1 to 0.2 s.
    pub last_queue: Duration,
    /// What arrived in 0.2 s before that, in bit/s, while a queue stood; `None` where there was none.
    pub through_queue: Option<u64>,
}

impl Departures {
    /// Of a viewer to which nothing was sent at `now`.
    pub fn new(now: Instant) -> Self {
        let (groups, spans) = (VecDeque::new(), [Span::default(); SPANS]);
        Self { origin: now, next: 0, told: 0, groups, least: None, least_since: 0, spans, newest: None }
    }

    /// The number of the packet that leaves next.
    pub fn next(&self) -> u16 {
        self.next
    }

    /// So many packets, of so many bytes together, leave under the next numbers.
    pub fn leave(&mut self, now: Instant, packets: u16, bytes: u32) {
        // Truncation is meant.
        let sent = (now.saturating_duration_since(self.origin).as_micros() / TICK.as_micros()) as u32;
        let first = self.next;
        self.next = first.wrapping_add(packets);
        let joins = |last: &&mut Group| sent.wrapping_sub(last.sent) < BURST && last.packets + packets <= MAX_PACKETS;
        if let Some(last) = self.groups.back_mut().filter(joins) {
            (last.packets, last.bytes) = (last.packets + packets, last.bytes + bytes);
            return;
        }
        if self.groups.len() == MAX_GROUPS {
            self.groups.pop_front();
        }
        self.groups.push_back(Group { sent, bytes, first, packets });
    }

    /// The viewer is elsewhere: the way is another.
    pub fn moved(&mut self) {
        (self.least, self.newest, self.spans) = (None, None, [Span::default(); SPANS]);
    }

    /// How packets arrive, by all that was told up to this; `None` where nothing new is known.
    pub fn hear(&mut self, told: TransportFeedback<'_>) -> Option<Arriving> {
        let mut is_news = false;
        for (number, came) in told {
            if number.wrapping_sub(self.told) >= self.next.wrapping_sub(self.told) {
                continue;
            }
            self.told = number.wrapping_add(1);
            let is_over = |group: &mut Group| number.wrapping_sub(group.first).cast_signed() >= group.packets as i16;
            while self.groups.pop_front_if(is_over).is_some() {}
            let has_it = |group: &&Group| number.wrapping_sub(group.first) < group.packets;
            if let (Some(group), Some(came)) = (self.groups.front().filter(has_it).copied(), came) {
                self.arrive(group, came);
                is_news = true;
            }
        }
        is_news.then(|| self.arriving()).flatten()
    }

    /// A packet of a group came.
    fn arrive(&mut self, group: Group, came: u32) {
        let delay = came.wrapping_sub(group.sent);
        let (mut this, mut before) = self.least.unwrap_or((delay, delay));
        if group.sent.wrapping_sub(self.least_since) > BASE_SPAN {
            (this, before) = (delay, this);
            self.least_since = group.sent;
        }
        this = less(this, delay);
        self.least = Some((this, before));
        let queue = delay.wrapping_sub(less(this, before));
        if queue > LONGEST_QUEUE {
            return self.moved();
        }
        let bytes = group.bytes / u32::from(group.packets);
        if let Some(span) = self.span(group.sent.wrapping_add(queue) / SPAN) {
            span.bytes += bytes;
            span.queue = Some(span.queue.map_or(queue, |least| least.min(queue)));
        }
    }

    /// The span of this number; `None` when it is too long ago.
    fn span(&mut self, number: u32) -> Option<&mut Span> {
        let newest = *self.newest.get_or_insert(number);
        if number.wrapping_sub(newest).cast_signed() > 0 {
            for between in 1..=number.wrapping_sub(newest).min(SPANS as u32) {
                self.spans[place(newest.wrapping_add(between))] = Span::default();
            }
            self.newest = Some(number);
        } else if newest.wrapping_sub(number) >= SPANS as u32 {
            return None;
        }
        Some(&mut self.spans[place(number)])
    }

    /// The window ends before the newest span: of that, more may be told.
    fn arriving(&self) -> Option<Arriving> {
        let newest = self.newest?;
        let span = |back: u32| self.spans[place(newest.wrapping_sub(back))];
        let least = |spans: std::ops::RangeInclusive<u32>| spans.filter_map(|back| span(back).queue).min();
        let bytes = |spans: std::ops::RangeInclusive<u32>| spans.map(|back| span(back).bytes).sum::<u32>();
        let rate = |bytes: u32, spans: u32| (8.0 * f64::from(bytes) / (TICK * SPAN * spans).as_secs_f64()) as u64;
        let is_busy = |back: u32| span(back).queue.is_some_and(|queue| TICK * queue > STANDING);
        let (newer, older) = (1..=HALF, HALF + 1..=2 * HALF);
        let newer_bytes = bytes(newer.clone());
        Some(Arriving {
            rate: rate(newer_bytes + bytes(older.clone()), 2 * HALF),
            newer_rate: rate(newer_bytes, HALF),
            older_queue: TICK * least(older).unwrap_or_default(),
            queue: TICK * least(newer)?,
            last_queue: TICK * least(0..=1)?,
            through_queue: (is_busy(1) && is_busy(2)).then(|| rate(bytes(1..=2), 2)),
        })
    }
}

fn place(number: u32) -> usize {
    number as usize % SPANS
}

/// The lesser of two delays, which may have begun anew.
fn less(one: u32, other: u32) -> u32 {
    if other.wrapping_sub(one).cast_signed() < 0 { other } else { one }
}
