//! Huffman codes, ITU T.81 annexes C and F.2.2.3.

use super::bits::BitReader;

/// Codes up to this length are found in one step; longer ones are rare.
const LOOKUP_BITS: u32 = 10;

/// As many bits are looked at at once for codes whose values are not wanted: two of them on average.
const SKIP_BITS: u32 = 12;

/// The last place of a block's coefficients in their stored order.
pub(super) const LAST_COEFFICIENT: usize = 63;

/// What the end of a block moves the place by: further than any run does.
const END: u32 = 192;

/// Tells whether a place was reached by the end of a block.
#[inline]
pub(super) const fn is_end(place: usize) -> bool {
    place >= END as usize
}

/// A code and what it means; no bits at all where no code matched.
#[derive(Clone, Copy)]
pub(super) struct Symbol(u32);

impl Symbol {
    const NONE: Self = Self(0);

    fn new(code_bits: u32, value: u8) -> Self {
        let (run, value_bits) = (u32::from(value >> 4), u32::from(value & 15));
        // Without a value only a run of 16 goes on; any other is taken for the end, as libjpeg does.
        let advance = if value_bits == 0 && run < 15 { END } else { run + 1 };
        Self(advance | value_bits << 8 | code_bits << 16 | (code_bits + value_bits) << 24)
    }

    /// How many places the coefficients move on.
    #[inline]
    pub(super) const fn advance(self) -> usize {
        (self.0 & 0xFF) as usize
    }

    /// How many bits the value behind the code has.
    #[inline]
    pub(super) const fn value_bits(self) -> u32 {
        self.0 >> 8 & 0xFF
    }

    /// How many bits the code has.
    #[inline]
    pub(super) const fn code_bits(self) -> u32 {
        self.0 >> 16 & 0xFF
    }

    /// How many bits code and value have together.
    #[inline]
    pub(super) const fn bits(self) -> u32 {
        self.0 >> 24
    }
}

/// Codes with their values that lie whole within the next bits, up to the end of a block; none at all where the first
/// is longer.
#[derive(Clone, Copy)]
pub(super) struct Skip(u16);

impl Skip {
    fn new(bits: u32, advance: usize, ends: bool) -> Self {
        // Six codes of two bits, runs of 16 each, are the most that fit.
        #[expect(clippy::cast_possible_truncation, reason = "at most 12 bits and 96 places")]
        let (bits, advance) = (bits as u16, advance as u16);
        Self(bits | u16::from(ends) << 4 | advance << 5)
    }

    /// How many bits the codes and values have together.
    #[inline]
    pub(super) const fn bits(self) -> u32 {
        self.0 as u32 & 15
    }

    /// How many places the coefficients move on.
    #[inline]
    pub(super) const fn advance(self) -> usize {
        self.0 as usize >> 5
    }

    /// Whether the last code ends the block.
    #[inline]
    pub(super) const fn ends(self) -> bool {
        self.0 & 16 != 0
    }
}

/// The codes of one table.
pub(super) struct Huffman {
    /// By the next bits; where they begin a longer code, none.
    short: Box<[Symbol; 1 << LOOKUP_BITS]>,
    /// By the next bits.
    skips: Box<[Skip; 1 << SKIP_BITS]>,
    /// The longer codes, by length: the length, the first code, and the symbols in order.
    long: Vec<(u32, usize, Vec<Symbol>)>,
}

impl Huffman {
    /// Reads how many codes there are of each length from 1 to 16, and their values in order; `None` where the codes
    /// don't fit their lengths, or a value is longer than any coefficient.
    pub(super) fn new(counts: [u8; 16], values: &[u8]) -> Option<Self> {
        let mut short = Box::new([Symbol::NONE; 1 << LOOKUP_BITS]);
        let mut long = Vec::new();
        let mut code = 0_usize;
        let mut rest = values;
        for (length, &count) in (1..).zip(&counts) {
            let (these, others) = rest.split_at_checked(count.into())?;
            rest = others;
            if code + these.len() > 1 << length {
                return None;
            }
            let symbols = these.iter().map(|&value| Symbol::new(length, value));
            if length <= LOOKUP_BITS {
                let width = 1 << (LOOKUP_BITS - length);
                let entries = short[code * width..].chunks_exact_mut(width);
                for (entry, symbol) in entries.zip(symbols) {
                    entry.fill(symbol);
                }
            } else if !these.is_empty() {
                long.push((length, code, symbols.collect()));
            }
            code = (code + these.len()) << 1;
        }
        let skips = Box::new(std::array::from_fn(|bits| skip(&short, bits)));
        rest.is_empty().then_some(Self { short, skips, long })
    }

    /// Finds the codes that lie whole within the next bits.
    #[inline]
    pub(super) fn skip(&self, bits: &BitReader<'_>) -> Skip {
        self.skips[bits.peek(SKIP_BITS)]
    }

    /// Finds the code that the next bits begin with.
    #[inline]
    pub(super) fn symbol(&self, bits: &BitReader<'_>) -> Symbol {
        let symbol = self.short[bits.peek(LOOKUP_BITS)];
        if symbol.bits() > 0 {
            symbol
        } else {
            self.long_symbol(bits)
        }
    }

    #[cold]
    fn long_symbol(&self, bits: &BitReader<'_>) -> Symbol {
        let found = self.long.iter().find_map(|(length, first, symbols)| {
            let place = bits.peek(*length).checked_sub(*first)?;
            symbols.get(place).copied()
        });
        found.unwrap_or(Symbol::NONE)
    }
}

/// Finds the codes that lie whole within the lowest `SKIP_BITS` of `bits`.
fn skip(short: &[Symbol; 1 << LOOKUP_BITS], bits: usize) -> Skip {
    let (mut taken, mut advance) = (0, 0);
    loop {
        let rest = (bits << taken) & ((1 << SKIP_BITS) - 1);
        let symbol = short[rest >> (SKIP_BITS - LOOKUP_BITS)];
        if symbol.bits() == 0 || taken + symbol.bits() > SKIP_BITS {
            break;
        }
        taken += symbol.bits();
        if symbol.advance() == END as usize {
            return Skip::new(taken, advance, true);
        }
        advance += symbol.advance();
    }
    Skip::new(taken, advance, false)
}
