//! One component of a picture: its blocks, from codes to pixels.

use super::bits::BitReader;
use super::huffman::Huffman;
use super::segments::{Component, Frame};
use super::symbol::{LAST_COEFFICIENT, is_end};
use super::transform::{self, Bases, Transform};

/// The order in which a block's coefficients are stored; 16 more catch runs that lead out of the block.
const ZIGZAG: [u8; 80] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
];

/// A component while it is decoded.
pub(super) struct Channel<'a> {
    /// Blocks in a unit, across and down.
    blocks: (usize, usize),
    /// Pixels that a block becomes, across and down.
    block_pixels: (usize, usize),
    dc: &'a Huffman,
    ac: &'a Huffman,
    /// By place in the block, row by row.
    quantisation: [f32; 64],
    /// The last place in the stored order that the transform looks at.
    last_needed: usize,
    transform: Transform,
    /// The last block's DC coefficient, which the next one's is stored relative to.
    prediction: i32,
    /// The block at hand, `(8, 8)` f32, as many rows as the transform looks at.
    coefficients: [f32; 64],
    /// One row of units: `(rows, columns)` u8.
    strip: Vec<u8>,
}

impl<'a> Channel<'a> {
    /// Prepares to make a square of so many `pixels` a side of a block of full resolution; a row of units has
    /// `strip_pixels` of the picture that comes out.
    pub(super) fn new(
        frame: &'a Frame<'_>,
        component: &Component,
        pixels: usize,
        strip_pixels: usize,
    ) -> Option<Self> {
        let (most_across, most_down) = frame.sampling;
        // A component stored at half the resolution takes twice as many pixels from each block: all come out alike.
        let side = |most: usize, own: usize| {
            let side = pixels * most / own;
            (side * own == pixels * most).then_some(side)
        };
        let across = side(most_across, component.sampling.0)?;
        let down = side(most_down, component.sampling.1)?;
        let stored = frame.quantisation[component.quantisation].as_ref()?;
        let mut quantisation = [0.0; 64];
        let mut last_needed = 0;
        for (at, (&place, &value)) in ZIGZAG.iter().zip(stored).enumerate() {
            let place = usize::from(place);
            quantisation[place] = f32::from(value);
            if place % 8 < across && place / 8 < down {
                last_needed = at;
            }
        }
        Some(Self {
            blocks: component.sampling,
            block_pixels: (across, down),
            dc: frame.dc[component.dc].as_ref()?,
            ac: frame.ac[component.ac].as_ref()?,
            quantisation,
            last_needed,
            transform: transform::of(across, down)?,
            prediction: 0,
            coefficients: [0.0; 64],
            strip: vec![0; strip_pixels],
        })
    }

    /// Returns the last row of units, `(rows, columns)` u8.
    pub(super) fn strip(&self) -> &[u8] {
        &self.strip
    }

    /// Begins an interval: its first block is stored relative to nothing.
    pub(super) const fn restart(&mut self) {
        self.prediction = 0;
    }

    /// Decodes the component's blocks of one unit into the strip.
    pub(super) fn decode_unit(
        &mut self,
        bits: &mut BitReader<'_>,
        bases: &Bases,
        unit: usize,
        columns: usize,
    ) -> Option<()> {
        let ((across, down), (width, height)) = (self.blocks, self.block_pixels);
        for y in 0..down {
            for x in 0..across {
                let is_plain = self.read_block(bits)?;
                let start = y * height * columns + (unit * across + x) * width;
                let target = &mut self.strip[start..];
                if is_plain {
                    let value = transform::plain(self.coefficients[0]);
                    target
                        .chunks_mut(columns)
                        .take(height)
                        .for_each(|line| line[..width].fill(value));
                } else {
                    (self.transform)(bases, &self.coefficients, target, columns);
                }
            }
        }
        Some(())
    }

    /// Reads a block's coefficients as far as the transform needs them; tells whether only the first is not 0.
    fn read_block(&mut self, bits: &mut BitReader<'_>) -> Option<bool> {
        self.coefficients[..8 * self.block_pixels.1].fill(0.0);
        bits.fill();
        let symbol = self.dc.symbol(bits);
        if symbol.bits() == 0 {
            return None;
        }
        self.prediction = self.prediction.wrapping_add(bits.take(symbol));
        self.keep(0, self.prediction);
        let (mut at, mut is_plain) = (1, true);
        while at <= self.last_needed {
            bits.fill();
            let symbol = self.ac.symbol(bits);
            if symbol.bits() == 0 {
                return None;
            }
            let value = bits.take(symbol);
            at += symbol.advance();
            if is_end(at) {
                return Some(is_plain);
            }
            is_plain = false;
            // A run of 16 zeros ends on one of them.
            self.keep(usize::from(ZIGZAG[at - 1]), value);
        }
        self.skip_rest(bits, at)?;
        Some(is_plain)
    }

    fn keep(&mut self, place: usize, value: i32) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "15 bits at most where nothing is damaged"
        )]
        let value = value as f32;
        self.coefficients[place] = value * self.quantisation[place];
    }

    /// Takes a block's coefficients from a place on, unseen.
    fn skip_rest(&self, bits: &mut BitReader<'_>, mut at: usize) -> Option<()> {
        while at <= LAST_COEFFICIENT {
            bits.fill();
            let skip = self.ac.skip(bits);
            // Codes that lead out of the block may be the next block's.
            if skip.bits() > 0 && at + skip.advance() + usize::from(skip.ends()) <= LAST_COEFFICIENT + 1 {
                bits.skip(skip);
                if skip.ends() {
                    return Some(());
                }
                at += skip.advance();
                continue;
            }
            let symbol = self.ac.symbol(bits);
            if symbol.bits() == 0 {
                return None;
            }
            bits.take(symbol);
            at += symbol.advance();
        }
        // A run that leads out of the block is damage.
        (at == LAST_COEFFICIENT + 1 || is_end(at)).then_some(())
    }
}
