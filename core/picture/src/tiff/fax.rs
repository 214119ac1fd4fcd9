//! Black and white as fax machines send it: ITU-T T.4 and T.6, row by row.
//!
//! The code tables are those of the `fax` crate. Its own decoders (0.2.7) read no rows without end-of-line codes, no
//! two-dimensional T.4, and no picture wider than 65,535 pixels.

use std::convert::Infallible;

use fax::maps::{Mode, black, mode, white};
use fax::{BitReader, ByteReader};

use super::layout::Compression;

/// Bits of `T4Options`.
const TWO_DIMENSIONAL: u64 = 1;

/// A row ends with at least so many zeros and a one.
const END_OF_LINE_ZEROS: u8 = 11;

/// Decodes `rows` rows of `width` pixels into `(rows, ceil(width / 8))` bytes, black as 1; fewer where the data is
/// damaged or ends. What follows the end-of-block code is white.
pub(super) fn decode(data: &[u8], compression: Compression, options: u64, width: u32, rows: u32) -> Vec<u8> {
    let row_bytes = width.div_ceil(8) as usize;
    let mut out = Vec::with_capacity(row_bytes * rows as usize);
    // The tables look further ahead than the last code reaches.
    let padded = data.iter().copied().chain([0; 8]).map(Ok::<u8, Infallible>);
    let Ok(mut bits) = ByteReader::new(padded);
    let mut reference: Vec<u32> = Vec::new();
    for _ in 0..rows {
        let row = match compression {
            Compression::Huffman => {
                let row = one_dimensional(&mut bits, width);
                let rest = bits.bits_to_byte_boundary();
                if bits.consume(rest).is_err() {
                    return out;
                }
                row.map(Row::Changes)
            }
            Compression::Fax3 => {
                let had_end = skip_end_of_line(&mut bits);
                if options & TWO_DIMENSIONAL != 0 && had_end && bits.peek(1) == Some(0) {
                    let _ = bits.consume(1);
                    two_dimensional(&mut bits, &reference, width)
                } else {
                    if options & TWO_DIMENSIONAL != 0 && had_end {
                        let _ = bits.consume(1);
                    }
                    one_dimensional(&mut bits, width).map(Row::Changes)
                }
            }
            Compression::Fax4
            | Compression::None
            | Compression::Lzw
            | Compression::OldJpeg
            | Compression::Jpeg
            | Compression::Deflate
            | Compression::PackBits
            | Compression::Zstd
            | Compression::WebP => two_dimensional(&mut bits, &reference, width),
        };
        match row {
            Some(Row::Changes(changes)) => {
                write_row(&mut out, &changes, width, row_bytes);
                reference = changes;
            }
            Some(Row::End) => {
                out.resize(row_bytes * rows as usize, 0);
                return out;
            }
            None => return out,
        }
    }
    out
}

/// A row as the places where its colour changes, the first time to black; or the end of the block.
enum Row {
    Changes(Vec<u32>),
    End,
}

type Bits<I> = ByteReader<I>;

fn run<R: Iterator<Item = Result<u8, Infallible>>>(bits: &mut Bits<R>, is_black: bool) -> Option<u32> {
    let mut sum = 0_u32;
    loop {
        let part = if is_black {
            black::decode(bits)
        } else {
            white::decode(bits)
        }?;
        sum = sum.checked_add(u32::from(part))?;
        if part < 64 {
            return Some(sum);
        }
    }
}

fn one_dimensional<R: Iterator<Item = Result<u8, Infallible>>>(
    bits: &mut Bits<R>,
    width: u32,
) -> Option<Vec<u32>> {
    let mut changes = Vec::new();
    let (mut at, mut is_black) = (0_u32, false);
    while at < width {
        at = at.checked_add(run(bits, is_black)?)?.min(width);
        changes.push(at);
        is_black = !is_black;
    }
    Some(changes)
}

/// T.6 section 2.2: each change is coded relative to the row above.
fn two_dimensional<R: Iterator<Item = Result<u8, Infallible>>>(
    bits: &mut Bits<R>,
    reference: &[u32],
    width: u32,
) -> Option<Row> {
    let mut changes = Vec::new();
    let mut at = 0_u32;
    let (mut is_black, mut is_start, mut index) = (false, true, 0_usize);
    while at < width {
        // The first change of the row above that is to the right, and to the other colour.
        index = index.saturating_sub(2);
        while reference.get(index).is_some_and(|&change| {
            let is_left = if is_start { false } else { change <= at };
            is_left || index % 2 != usize::from(is_black)
        }) {
            index += 1;
        }
        let above = reference.get(index).copied().unwrap_or(width);
        match mode::decode(bits)? {
            Mode::Pass => {
                at = reference.get(index + 1).copied().unwrap_or(width);
            }
            Mode::Vertical(shift) => {
                let change = above.checked_add_signed(shift.into())?.min(width);
                if change < at {
                    return None;
                }
                changes.push(change);
                at = change;
                is_black = !is_black;
            }
            Mode::Horizontal => {
                for is_black in [is_black, !is_black] {
                    at = at.checked_add(run(bits, is_black)?)?.min(width);
                    changes.push(at);
                }
            }
            Mode::Extension => return None,
            Mode::EOF => return Some(Row::End),
        }
        is_start = false;
    }
    Some(Row::Changes(changes))
}

/// Skips end-of-line codes with their fill bits; reports whether there was one.
fn skip_end_of_line<R: Iterator<Item = Result<u8, Infallible>>>(bits: &mut Bits<R>) -> bool {
    // No code of a run begins with so many zeros.
    if bits.peek(END_OF_LINE_ZEROS) != Some(0) {
        return false;
    }
    while bits.peek(1) == Some(0) {
        if bits.consume(1).is_err() {
            return false;
        }
    }
    bits.consume(1).is_ok()
}

fn write_row(out: &mut Vec<u8>, changes: &[u32], width: u32, row_bytes: usize) {
    let start = out.len();
    out.resize(start + row_bytes, 0);
    let row = &mut out[start..];
    for black in changes.chunks(2) {
        let first = black[0].min(width);
        let end = black.get(1).copied().unwrap_or(width).min(width);
        for x in first..end {
            row[x as usize / 8] |= 0x80 >> (x % 8);
        }
    }
}
