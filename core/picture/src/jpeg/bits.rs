//! The bits of entropy-coded data, ITU T.81 annexes B.1.1.5 and F.2.2.

use super::symbol::{Skip, Symbol};

/// So many zeros follow the data of an interval, so that whole words can be read up to its end.
const PADDING: [u8; 8] = [0; 8];

/// Entropy-coded data between two restarts, without the zeros that are stuffed in behind each `FF`.
pub(super) struct Interval {
    /// The data, then the padding.
    padded: Vec<u8>,
}

/// Splits entropy-coded data at its restarts into `count` intervals; `None` where it has fewer, or out of order.
pub(super) fn intervals(mut data: &[u8], count: usize) -> Option<Vec<Interval>> {
    let mut intervals = Vec::new();
    let mut padded = Vec::with_capacity(data.len() + PADDING.len());
    loop {
        let end = memchr::memchr(0xFF, data).unwrap_or(data.len());
        let (plain, rest) = data.split_at(end);
        padded.extend_from_slice(plain);
        // Any number of fill bytes may go before a marker.
        let filled = rest.iter().take_while(|&&byte| byte == 0xFF).count();
        let marker = rest.get(filled).copied();
        data = rest.get(filled + 1..).unwrap_or_default();
        if marker == Some(0) {
            padded.push(0xFF);
            continue;
        }
        padded.extend(PADDING);
        intervals.push(Interval {
            padded: std::mem::take(&mut padded),
        });
        if intervals.len() == count {
            return Some(intervals);
        }
        let expected = (intervals.len() - 1) % 8;
        marker.filter(|&marker| usize::from(marker) == 0xD0 + expected)?;
    }
}

/// Reads an interval's bits, the highest first, and zeros behind its end.
pub(super) struct BitReader<'a> {
    padded: &'a [u8],
    position: usize,
    /// The next bit is the highest.
    buffer: u64,
    /// How many bits the buffer holds.
    available: u32,
}

impl<'a> BitReader<'a> {
    pub(super) const fn new(interval: &'a Interval) -> Self {
        Self {
            padded: interval.padded.as_slice(),
            position: 0,
            buffer: 0,
            available: 0,
        }
    }

    /// Makes sure of 56 bits; a code with its value has 31 at most.
    ///
    /// The branch-free refill of Fabian Giesen, "Reading bits in far too many ways (part 2)", variant 4: bits that
    /// are there already are written again.
    #[inline]
    pub(super) fn fill(&mut self) {
        let rest = self.padded.get(self.position..).unwrap_or_default();
        let next = rest.first_chunk().map_or(0, |next| u64::from_be_bytes(*next));
        self.buffer |= next >> self.available;
        self.position += ((63 - self.available) / 8) as usize;
        self.available |= 56;
    }

    /// Returns the next `count` bits, 1 to 16, without taking them.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "16 bits at most")]
    pub(super) const fn peek(&self, count: u32) -> usize {
        (self.buffer >> (64 - count)) as usize
    }

    /// Takes a code and the value behind it, `RECEIVE` and `EXTEND` of T.81.
    #[inline]
    pub(super) fn take(&mut self, symbol: Symbol) -> i32 {
        let size = symbol.value_bits();
        #[expect(clippy::cast_possible_truncation, reason = "15 bits at most")]
        let bits = ((self.buffer << symbol.code_bits()) >> 1 >> (63 - size)) as i32;
        self.consume(symbol.bits());
        let is_negative = bits < (1 << size) >> 1;
        if is_negative { bits - (1 << size) + 1 } else { bits }
    }

    /// Takes codes and the values behind them, unseen.
    #[inline]
    pub(super) const fn skip(&mut self, skip: Skip) {
        self.consume(skip.bits());
    }

    #[inline]
    const fn consume(&mut self, count: u32) {
        self.buffer <<= count;
        self.available -= count;
    }

    /// Returns whether bits were taken that the interval does not have.
    pub(super) const fn overran(&self) -> bool {
        let held = (self.padded.len() - PADDING.len()) * 8;
        self.position * 8 > held + self.available as usize
    }
}
