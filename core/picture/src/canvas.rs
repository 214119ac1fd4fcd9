//! What decoders paint on: upright or not, 8-bit RGB with opacity beside it, optionally at a fraction of the size.

use image::{GrayImage, RgbImage};
use lucida_core::DecodeSize;

/// The most that a canvas shrinks a picture by, a side: sums of 8 × 8 values fit 16 bits.
pub(super) const MAX_DIVISOR: u32 = 8;

/// A picture as it comes out of a decoder, before it is turned upright.
#[derive(Debug)]
pub(super) struct Decoded {
    /// `(height, width, 3)` u8, straight (not multiplied by the opacity).
    pub(super) pixels: RgbImage,
    /// `(height, width)` u8: how opaque each pixel is; `None` where all are opaque.
    pub(super) alpha: Option<GrayImage>,
    /// `(height, width, 3)` u8: what people should see where `pixels` would be all but black; pictures of more than 8
    /// bits only.
    pub(super) brightened: Option<RgbImage>,
}

impl Decoded {
    /// Wraps an opaque picture.
    pub(super) const fn opaque(pixels: RgbImage) -> Self {
        Self {
            pixels,
            alpha: None,
            brightened: None,
        }
    }
}

/// A picture under construction, painted row by row or tile by tile.
pub(super) struct Canvas {
    /// Of the whole picture, in its own pixels.
    width: u32,
    height: u32,
    divisor: u32,
    /// Of what comes out.
    size: (u32, u32),
    paint: Paint,
}

enum Paint {
    /// `(height, width, 3)` and `(height, width)` u8.
    Whole(Vec<u8>, Option<Vec<u8>>),
    /// The same in u16, as sums over the squares of the divisor.
    Sums(Vec<u16>, Option<Vec<u16>>),
}

/// Returns the largest divisor of 8, 4 and 2 that leaves a picture large enough; 1 where none does.
pub(super) fn divisor_for(width: u32, height: u32, size: DecodeSize) -> u32 {
    [MAX_DIVISOR, 4, 2]
        .into_iter()
        .find(|divisor| size.is_met_by(width.div_ceil(*divisor), height.div_ceil(*divisor)))
        .unwrap_or(1)
}

impl Canvas {
    /// Makes room for a picture of `width` × `height` at 1/`divisor` (1, 2, 4 or 8) of its size.
    pub(super) fn new(width: u32, height: u32, divisor: u32, has_alpha: bool) -> Self {
        let size = (width.div_ceil(divisor), height.div_ceil(divisor));
        let count = size.0 as usize * size.1 as usize;
        let paint = if divisor == 1 {
            Paint::Whole(vec![0; count * 3], has_alpha.then(|| vec![255; count]))
        } else {
            Paint::Sums(vec![0; count * 3], has_alpha.then(|| vec![0; count]))
        };
        Self {
            width,
            height,
            divisor,
            size,
            paint,
        }
    }

    /// Paints pixels of row `y` from column `x` on; what is beyond the picture is left out.
    ///
    /// `pixels` is `(count, 3)` u8, `alpha` `(count,)` u8.
    pub(super) fn paint(&mut self, x: u32, y: u32, pixels: &[u8], alpha: Option<&[u8]>) {
        if x >= self.width || y >= self.height {
            return;
        }
        let count = (pixels.len() / 3).min((self.width - x) as usize);
        let pixels = &pixels[..count * 3];
        match &mut self.paint {
            Paint::Whole(target, opacity) => {
                let start = y as usize * self.width as usize + x as usize;
                target[start * 3..][..count * 3].copy_from_slice(pixels);
                if let (Some(opacity), Some(alpha)) = (opacity, alpha) {
                    opacity[start..][..count].copy_from_slice(&alpha[..count]);
                }
            }
            Paint::Sums(target, opacity) => {
                let divisor = self.divisor as usize;
                let row = (y / self.divisor) as usize * self.size.0 as usize;
                for (at, pixel) in pixels.as_chunks::<3>().0.iter().enumerate() {
                    let place = (row + (x as usize + at) / divisor) * 3;
                    for (sum, value) in target[place..][..3].iter_mut().zip(pixel) {
                        *sum += u16::from(*value);
                    }
                }
                if let Some(opacity) = opacity {
                    for at in 0..count {
                        let value = alpha.map_or(255, |alpha| alpha[at]);
                        opacity[row + (x as usize + at) / divisor] += u16::from(value);
                    }
                }
            }
        }
    }

    /// Returns the picture; opacity that is nowhere less than full is left out.
    pub(super) fn finish(self) -> Decoded {
        let (width, height) = self.size;
        let (pixels, alpha) = match self.paint {
            Paint::Whole(pixels, alpha) => (pixels, alpha),
            Paint::Sums(sums, opacity) => {
                let average = |sums: Vec<u16>, channels: usize| {
                    let mut values = vec![0; sums.len()];
                    for (at, (value, sum)) in values.iter_mut().zip(sums).enumerate() {
                        let pixel = at / channels;
                        let (x, y) = (pixel % width as usize, pixel / width as usize);
                        // Squares at the right and the lower edge may be cut.
                        let across = self.divisor.min(self.width - x as u32 * self.divisor);
                        let down = self.divisor.min(self.height - y as u32 * self.divisor);
                        let count = across * down;
                        *value = ((u32::from(sum) + count / 2) / count) as u8;
                    }
                    values
                };
                (average(sums, 3), opacity.map(|opacity| average(opacity, 1)))
            }
        };
        let alpha = alpha.filter(|alpha| alpha.iter().any(|&value| value != 255));
        Decoded {
            pixels: RgbImage::from_raw(width, height, pixels).unwrap_or_default(),
            alpha: alpha.and_then(|alpha| GrayImage::from_raw(width, height, alpha)),
            brightened: None,
        }
    }
}

/// Grey of more than 8 bits: `(height, width)` f32 in the values of the file.
pub(super) struct DeepGrey {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) values: Vec<f32>,
    /// The largest value that the file's samples could have, where they are unsigned and of 16 bits or less.
    pub(super) range: Option<f32>,
    pub(super) alpha: Option<Vec<u8>>,
}

/// Pictures darker than this part of their range are brightened for people.
const DARK_PART: f32 = 16.0;

/// Returns whether a picture whose brightest value is this part of the range, 0 to 1, is brightened for people.
pub(super) fn is_hidden(brightest: f32) -> bool {
    brightest > 0.0 && brightest < 1.0 / DARK_PART
}

impl DeepGrey {
    /// Turns the values into 8 bits.
    ///
    /// Models get the range scaled to 0 to 255; values without a range, and those that are all below 256, are taken as
    /// they are and cut off, which is what Pillow does. People get a dark picture scaled so that its brightest value is
    /// white.
    pub(super) fn finish(self) -> Decoded {
        let brightest = self
            .values
            .iter()
            .copied()
            .filter(|value| value.is_finite())
            .fold(0.0_f32, f32::max);
        let scale = match self.range {
            Some(range) if brightest > 255.0 || range <= 255.0 => 255.0 / range,
            Some(_) | None => 1.0,
        };
        let rounding = if self.range.is_some() { 0.5 } else { 0.0 };
        // Casts of floats saturate, and what is not a number becomes 0.
        let byte = |value: f32, scale: f32| (value * scale + rounding) as u8;
        let pixels = self
            .values
            .iter()
            .flat_map(|&value| [byte(value, scale); 3])
            .collect();
        // Values from 0 to 1 and beyond 255 have no other way to be seen.
        let is_hidden = match self.range {
            Some(_) => is_hidden(brightest * scale / 255.0),
            None => brightest > 0.0 && (brightest <= 1.0 || brightest > 255.0),
        };
        let brightened = is_hidden.then(|| {
            let scale = 255.0 / brightest;
            let values = self.values.iter();
            let values = values.flat_map(|&value| [(value * scale + 0.5) as u8; 3]);
            RgbImage::from_raw(self.width, self.height, values.collect())
        });
        let alpha = self.alpha.filter(|alpha| alpha.iter().any(|&value| value != 255));
        Decoded {
            pixels: RgbImage::from_raw(self.width, self.height, pixels).unwrap_or_default(),
            alpha: alpha.and_then(|alpha| GrayImage::from_raw(self.width, self.height, alpha)),
            brightened: brightened.flatten(),
        }
    }
}
