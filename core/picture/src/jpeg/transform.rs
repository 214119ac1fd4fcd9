//! The inverse cosine transform to blocks of 1, 2, 4 or 8 pixels a side.
//!
//! The lowest of 8 coefficients are, but for a factor, those of a shorter transform of the same picture at a smaller
//! scale; the Independent JPEG Group's libjpeg scales so since version 7. What a resize to 224 pixels makes of a quarter
//! is nearer to what it makes of the whole (correlation 0.99993 to 0.99996) than with libjpeg-turbo, which averages
//! (0.99986 to 0.99996).

use std::f32::consts::PI;

/// Writes a block of `(8, 8)` f32 coefficients, row by row, to the start of rows of the length given.
pub(super) type Transform = fn(&Bases, &[f32; 64], &mut [u8], usize);

/// For 1, 2, 4 and 8 pixels: what each coefficient, `(8, 8)` by coefficient and pixel, adds to each pixel.
pub(super) struct Bases([[[f32; 8]; 8]; 4]);

impl Bases {
    pub(super) fn new() -> Self {
        let basis = |pixels: f32| {
            let value = |coefficient: f32, pixel: f32| {
                let norm = if coefficient > 0.0 { 2.0 } else { 1.0 };
                // The norm of a transform of this length, times the root of its share of 8.
                let scale = (norm / 8.0_f32).sqrt();
                scale * ((2.0 * pixel + 1.0) * coefficient * PI / (2.0 * pixels)).cos()
            };
            SIDE.map(|coefficient| SIDE.map(|pixel| value(coefficient, pixel)))
        };
        Self([1.0, 2.0, 4.0, 8.0].map(basis))
    }

    /// Returns the basis for a power of two.
    const fn of(&self, pixels: usize) -> &[[f32; 8]; 8] {
        &self.0[pixels.trailing_zeros() as usize]
    }
}

const SIDE: [f32; 8] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];

/// Returns the transform to a block of a width and a height; `None` for others than 1, 2, 4 and 8.
pub(super) fn of(width: usize, height: usize) -> Option<Transform> {
    fn of_width<const W: usize>(height: usize) -> Option<Transform> {
        match height {
            1 => Some(transform::<W, 1>),
            2 => Some(transform::<W, 2>),
            4 => Some(transform::<W, 4>),
            8 => Some(transform::<W, 8>),
            _ => None,
        }
    }
    match width {
        1 => of_width::<1>(height),
        2 => of_width::<2>(height),
        4 => of_width::<4>(height),
        8 => of_width::<8>(height),
        _ => None,
    }
}

/// Returns the value of every pixel of a block whose coefficients are 0 but for the first.
pub(super) fn plain(dc: f32) -> u8 {
    byte(dc / 8.0 + MIDDLE)
}

/// Samples are stored around 0; the half makes cutting off a rounding.
const MIDDLE: f32 = 128.5;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "cut off at 0 and 255"
)]
fn byte(value: f32) -> u8 {
    value as u8
}

fn transform<const W: usize, const H: usize>(
    bases: &Bases,
    coefficients: &[f32; 64],
    target: &mut [u8],
    columns: usize,
) {
    let (across, down) = (bases.of(W), bases.of(H));
    let mut rows = [[0.0; W]; H];
    for (row, coefficients) in rows.iter_mut().zip(coefficients.as_chunks::<8>().0) {
        for (coefficient, basis) in coefficients.iter().zip(across).take(W) {
            for (value, factor) in row.iter_mut().zip(basis) {
                *value += coefficient * factor;
            }
        }
    }
    for (y, line) in target.chunks_mut(columns).take(H).enumerate() {
        let mut pixels = [MIDDLE; W];
        for (row, basis) in rows.iter().zip(down) {
            for (pixel, value) in pixels.iter_mut().zip(row) {
                *pixel += value * basis[y];
            }
        }
        for (target, pixel) in line.iter_mut().zip(pixels) {
            *target = byte(pixel);
        }
    }
}
