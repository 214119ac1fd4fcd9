//! Huffman codes, ITU T.81 annexes C and F.2.2.3.

use super::bits::BitReader;
use super::symbol::{END, Skip, Symbol};

/// Codes up to this length are found in one step; longer ones are rare.
const LOOKUP_BITS: u32 = 10;

/// As many bits are looked at at once for codes whose values are not wanted: two of them on average.
const SKIP_BITS: u32 = 12;

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
