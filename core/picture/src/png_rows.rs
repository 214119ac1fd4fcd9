//! PNG row by row: for large pictures, which are reduced while they are read, and to see whether all rows are there.

use std::io::{BufRead, Cursor, Seek};

use png::{ColorType, Decoder, Limits, Reader, Transformations};

use super::canvas::{Canvas, Decoded, divisor_for};
use super::error::not_read;
use super::metadata::png_chunks;
use lucida_core::{DecodeSize, Result};

/// What the decoder may take beside its rows, in bytes.
const LIMIT_BYTES: usize = 64 << 20;

/// Refuses Apple's own variant, which other programs than iOS don't write.
///
/// # Errors
/// `Unsupported` (`unsupported_image_type`).
pub(super) fn refuse_apples(bytes: &[u8]) -> Result<()> {
    match png_chunks(bytes).next() {
        Some(chunk) if &chunk.kind == b"CgBI" => Err(not_read(
            "a PNG in Apple's own variant (CgBI) is not read: export the photo as ordinary PNG",
        )),
        Some(_) | None => Ok(()),
    }
}

/// Returns whether a file holds every row; decodes all of them.
pub(super) fn has_all_rows(bytes: &[u8]) -> bool {
    let Some(mut reader) = open(Cursor::new(bytes)) else {
        return false;
    };
    let (height, is_interlaced) = (reader.info().height, reader.info().interlaced);
    let mut rows = 0;
    loop {
        match reader.next_interlaced_row() {
            Ok(Some(_)) => rows += 1,
            Ok(None) => return is_interlaced || rows == height,
            Err(_) => return false,
        }
    }
}

fn open<R: BufRead + Seek>(file: R) -> Option<Reader<R>> {
    let mut decoder = Decoder::new_with_limits(file, Limits { bytes: LIMIT_BYTES });
    decoder.ignore_checksums(true);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND | Transformations::ALPHA);
    decoder.read_info().ok()
}

/// Decodes at the smallest of 1/2, 1/4 and 1/8 that is large enough, holding one row at a time; `None` where that is
/// full size, or the file has no plain rows from top to bottom.
pub(super) fn decode_reduced(bytes: &[u8], size: DecodeSize) -> Option<Decoded> {
    let mut reader = open(Cursor::new(bytes))?;
    let (width, height) = (reader.info().width, reader.info().height);
    let divisor = divisor_for(width, height, size);
    if divisor == 1 || reader.info().interlaced {
        return None;
    }
    let (colour, depth) = reader.output_color_type();
    let (size, channels) = (
        if depth == png::BitDepth::Sixteen { 2 } else { 1 },
        match colour {
            ColorType::Grayscale | ColorType::Indexed => 1,
            ColorType::GrayscaleAlpha => 2,
            ColorType::Rgb => 3,
            ColorType::Rgba => 4,
        },
    );
    // Deep grey is scaled by its brightest value, which is known once the whole picture is read.
    if size == 2 && channels <= 2 {
        return None;
    }
    let mut canvas = Canvas::new(width, height, divisor, true);
    let (mut rgb, mut alpha) = (Vec::new(), Vec::new());
    for y in 0..height {
        let row = reader.next_row().ok()??;
        rgb.clear();
        alpha.clear();
        for pixel in row.data().chunks_exact(size * channels) {
            let value = |channel: usize| {
                if size == 1 {
                    return pixel[channel];
                }
                let value = u32::from(u16::from_be_bytes([pixel[channel * 2], pixel[channel * 2 + 1]]));
                ((value + 128) / 257) as u8
            };
            match channels {
                1 | 2 => rgb.extend([value(0); 3]),
                _ => rgb.extend([value(0), value(1), value(2)]),
            }
            alpha.push(if channels % 2 == 0 {
                value(channels - 1)
            } else {
                255
            });
        }
        canvas.paint(0, y, &rgb, Some(&alpha));
    }
    Some(canvas.finish())
}
