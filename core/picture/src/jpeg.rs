//! Decoding a JPEG at a half, a quarter or an eighth of its size, without computing what is thrown away.
//!
//! Most of the time that a large photo takes is in pixels that resizing averages away at once. The cosine transform
//! can give a smaller picture directly: of each block's 64 coefficients only the lowest are needed, and the others are
//! skipped unread. Sequential files of one scan in grey or YCbCr are read, which is what cameras write; all else, and
//! whatever is not as it should be, is left to the full decoder.

mod bits;
mod channel;
mod huffman;
mod markers;
mod segments;
mod symbol;
mod transform;

use image::RgbImage;

use super::canvas::divisor_for;
use lucida_core::DecodeSize;

use bits::{BitReader, intervals};
use channel::Channel;
pub(super) use markers::{has_end, header_segments, prepared};
use segments::Frame;
use transform::Bases;

/// Decodes at the smallest scale that is large enough; `None` where that is the full one, or the file is not of the
/// kind that is read here.
pub(super) fn decode_scaled(bytes: &[u8], size: DecodeSize) -> Option<RgbImage> {
    let frame = Frame::read(bytes)?;
    match divisor_for(frame.width, frame.height, size) {
        1 => None,
        divisor => Scan::new(&frame, divisor)?.decode(),
    }
}

/// A picture while it is decoded.
struct Scan<'a> {
    frame: &'a Frame<'a>,
    channels: Vec<Channel<'a>>,
    bases: Bases,
    /// Units across and down.
    units: (usize, usize),
    /// Width and height of the picture that comes out, in pixels.
    size: (u32, u32),
    /// Width and height of a row of units, in pixels of the picture that comes out.
    strip: (usize, usize),
}

impl<'a> Scan<'a> {
    fn new(frame: &'a Frame, divisor: u32) -> Option<Self> {
        // What a block of full resolution becomes, a side.
        let pixels = usize::try_from(8 / divisor).ok()?;
        let (most_across, most_down) = frame.sampling;
        let units = |side: u32, most: usize| Some(usize::try_from(side).ok()?.div_ceil(8 * most));
        let units = (units(frame.width, most_across)?, units(frame.height, most_down)?);
        let strip = (units.0 * most_across * pixels, most_down * pixels);
        let channels: Option<Vec<_>> = frame
            .components
            .iter()
            .map(|component| Channel::new(frame, component, pixels, strip.0 * strip.1))
            .collect();
        Some(Self {
            frame,
            channels: channels?,
            bases: Bases::new(),
            units,
            size: (frame.width.div_ceil(divisor), frame.height.div_ceil(divisor)),
            strip,
        })
    }

    fn decode(mut self) -> Option<RgbImage> {
        let (across, down) = self.units;
        let per_interval = match self.frame.restart_interval {
            0 => across * down,
            interval => interval,
        };
        let intervals = intervals(self.frame.data, (across * down).div_ceil(per_interval))?;
        let mut intervals = intervals.iter();
        let mut bits = BitReader::new(intervals.next()?);
        let mut left = per_interval;

        let (width, height) = self.size;
        let mut picture = RgbImage::new(width, height);
        let row_bytes = usize::try_from(width).ok()? * 3;
        let (columns, rows) = self.strip;
        for pixels in picture.chunks_mut(row_bytes * rows) {
            for unit in 0..across {
                if left == 0 {
                    if bits.overran() {
                        return None;
                    }
                    bits = BitReader::new(intervals.next()?);
                    left = per_interval;
                    self.channels.iter_mut().for_each(Channel::restart);
                }
                left -= 1;
                for channel in &mut self.channels {
                    channel.decode_unit(&mut bits, &self.bases, unit, columns)?;
                }
            }
            if bits.overran() {
                return None;
            }
            self.colour(pixels, row_bytes);
        }
        Some(picture)
    }

    /// Turns a row of units into `(rows, width, 3)` u8, by JFIF's formula in 16-bit fixed point.
    fn colour(&self, pixels: &mut [u8], row_bytes: usize) {
        let columns = self.strip.0;
        for (y, row) in pixels.chunks_exact_mut(row_bytes).enumerate() {
            let row = row.as_chunks_mut::<3>().0;
            let lines = self
                .channels
                .iter()
                .map(|channel| &channel.strip()[y * columns..]);
            match &lines.collect::<Vec<_>>()[..] {
                [luma, blue, red] => {
                    let values = luma.iter().zip(*blue).zip(*red);
                    for (pixel, ((&luma, &blue), &red)) in row.iter_mut().zip(values) {
                        *pixel = rgb(luma, blue, red);
                    }
                }
                [grey, ..] => {
                    for (pixel, &grey) in row.iter_mut().zip(*grey) {
                        *pixel = [grey; 3];
                    }
                }
                [] => {}
            }
        }
    }
}

#[inline]
fn rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let (luma, blue, red) = (i32::from(luma), i32::from(blue) - 128, i32::from(red) - 128);
    let byte = |difference: i32| {
        let value = luma + ((difference + (1 << 15)) >> 16);
        value.clamp(0, 255) as u8
    };
    // 1.402, 0.344136, 0.714136 and 1.772 times 2^16.
    [
        byte(91_881 * red),
        byte(-22_554 * blue - 46_802 * red),
        byte(116_130 * blue),
    ]
}
