//! What Huffman codes of coefficients mean, ITU T.81 annex F.2.2: a run of zeros and the bits of a value.

/// The last place of a block's coefficients in their stored order.
pub(super) const LAST_COEFFICIENT: usize = 63;

/// What the end of a block moves the place by: further than any run does.
pub(super) const END: u32 = 192;

/// Returns whether a place was reached by the end of a block.
#[inline]
pub(super) const fn is_end(place: usize) -> bool {
    place >= END as usize
}

/// A code and what it means; no bits at all where no code matched.
#[derive(Clone, Copy)]
pub(super) struct Symbol(u32);

impl Symbol {
    pub(super) const NONE: Self = Self(0);

    pub(super) fn new(code_bits: u32, value: u8) -> Self {
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
    pub(super) fn new(bits: u32, advance: usize, ends: bool) -> Self {
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
