//! From a TIFF's samples to RGB.

use super::layout::{Alpha, Colour, Format, Layout};

/// Turns rows of 8-bit samples, `(width, samples)` u8, into RGB and opacity.
pub(super) struct Painter<'a> {
    pub(super) layout: &'a Layout,
    /// The colour of the samples, which a decoder may have changed.
    pub(super) colour: Colour,
}

impl Painter<'_> {
    /// Converts one row; `rgb` and `alpha` are as long as the row has pixels.
    pub(super) fn row(&self, samples: &[u8], rgb: &mut Vec<u8>, alpha: &mut Vec<u8>) {
        rgb.clear();
        alpha.clear();
        let pixels = samples.chunks_exact(self.layout.samples);
        match self.colour {
            Colour::Grey(is_inverted) => {
                rgb.extend(pixels.flat_map(|pixel| [if is_inverted { !pixel[0] } else { pixel[0] }; 3]));
            }
            Colour::Rgb => rgb.extend(pixels.flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])),
            Colour::Palette => {
                // Indices of more than 8 bits are looked up before they come here.
                let colour = |index: u8| self.layout.palette.get(usize::from(index)).copied();
                rgb.extend(pixels.flat_map(|pixel| colour(pixel[0]).unwrap_or_default()));
            }
            Colour::Cmyk => rgb.extend(pixels.flat_map(|pixel| {
                let ink = |ink: u8| {
                    let light = 255 - u32::from(pixel[3]);
                    // Pillow's rounding of a product of two bytes.
                    let product = u32::from(ink) * light + 128;
                    light.saturating_sub((product + (product >> 8)) >> 8) as u8
                };
                [ink(pixel[0]), ink(pixel[1]), ink(pixel[2])]
            })),
            Colour::YCbCr => {
                let convert = YCbCr::new(self.layout.luma);
                rgb.extend(pixels.flat_map(|pixel| convert.rgb([pixel[0], pixel[1], pixel[2]])));
            }
            Colour::Lab(is_signed) => rgb.extend(pixels.flat_map(|pixel| {
                let shift = |value: u8| {
                    if is_signed {
                        f64::from(value.cast_signed())
                    } else {
                        f64::from(value) - 128.0
                    }
                };
                lab(f64::from(pixel[0]) / 2.55, shift(pixel[1]), shift(pixel[2]))
            })),
        }
        let at = match self.colour {
            Colour::Grey(_) | Colour::Palette => 1,
            Colour::Rgb | Colour::YCbCr | Colour::Lab(_) => 3,
            Colour::Cmyk => 4,
        };
        if self.layout.alpha == Alpha::None {
            return;
        }
        alpha.extend(samples.chunks_exact(self.layout.samples).map(|pixel| pixel[at]));
        if self.layout.alpha == Alpha::Associated {
            for (pixel, &alpha) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(alpha.iter()) {
                if alpha != 0 && alpha != 255 {
                    for value in pixel {
                        *value = (u32::from(*value) * 255 / u32::from(alpha)).min(255) as u8;
                    }
                }
            }
        }
    }
}

/// TIFF 6.0 section 21, with the usual reference black and white.
pub(super) struct YCbCr {
    red: f64,
    blue: f64,
    green_red: f64,
    green_blue: f64,
}

impl YCbCr {
    pub(super) fn new([red, green, blue]: [f64; 3]) -> Self {
        let (to_red, to_blue) = (2.0 - 2.0 * red, 2.0 - 2.0 * blue);
        Self {
            red: to_red,
            blue: to_blue,
            green_red: red * to_red / green,
            green_blue: blue * to_blue / green,
        }
    }

    pub(super) fn rgb(&self, [luma, blue, red]: [u8; 3]) -> [u8; 3] {
        let (luma, blue, red) = (f64::from(luma), f64::from(blue) - 128.0, f64::from(red) - 128.0);
        [
            (luma + self.red * red + 0.5) as u8,
            (luma - self.green_red * red - self.green_blue * blue + 0.5) as u8,
            (luma + self.blue * blue + 0.5) as u8,
        ]
    }
}

/// CIE L*a*b* under D50 to sRGB, by CIE 15 and IEC 61966-2-1; white is adapted with Bradford's matrix.
fn lab(lightness: f64, a: f64, b: f64) -> [u8; 3] {
    const WHITE: [f64; 3] = [0.964_22, 1.0, 0.825_21];
    const TO_LINEAR: [[f64; 3]; 3] = [
        [3.133_856_1, -1.616_866_7, -0.490_614_6],
        [-0.978_768_4, 1.916_141_5, 0.033_454_0],
        [0.071_945_3, -0.228_991_4, 1.405_242_7],
    ];
    let y = (lightness + 16.0) / 116.0;
    let inverse = |value: f64| {
        let cube = value * value * value;
        if cube > 0.008_856 {
            cube
        } else {
            (116.0 * value - 16.0) / 903.3
        }
    };
    let xyz = [
        WHITE[0] * inverse(y + a / 500.0),
        WHITE[1] * inverse(y),
        WHITE[2] * inverse(y - b / 200.0),
    ];
    TO_LINEAR.map(|row| {
        let linear: f64 = row.iter().zip(xyz).map(|(factor, value)| factor * value).sum();
        let encoded = if linear <= 0.003_130_8 {
            12.92 * linear
        } else {
            1.055 * linear.powf(1.0 / 2.4) - 0.055
        };
        (encoded * 255.0 + 0.5) as u8
    })
}

/// Reads samples of any depth.
pub(super) struct Reader<'a> {
    pub(super) layout: &'a Layout,
    pub(super) is_little_endian: bool,
    /// What deep samples are multiplied by.
    pub(super) gain: f32,
}

impl Reader<'_> {
    /// Returns a row's samples as numbers.
    pub(super) fn numbers(&self, row: &[u8], count: usize) -> Vec<f32> {
        let (bits, format) = (self.layout.bits, self.layout.format);
        (0..count)
            .map(|at| {
                let raw = self.raw(row, at);
                match (format, bits) {
                    (Format::Float, 16) => half(raw as u16),
                    (Format::Float, 32) => f32::from_bits(raw as u32),
                    (Format::Float, _) => f64::from_bits(raw) as f32,
                    (Format::Signed, _) => {
                        let unused = 64 - bits;
                        ((raw << unused).cast_signed() >> unused) as f32
                    }
                    (Format::Unsigned, _) => raw as f32,
                }
            })
            .collect()
    }

    /// Returns a row's samples in 8 bits; indices of a palette as they are.
    pub(super) fn bytes(&self, row: &[u8], count: usize, colour: Colour) -> Vec<u8> {
        if colour == Colour::Palette {
            return (0..count).map(|at| self.raw(row, at).min(255) as u8).collect();
        }
        let white = 255.0 * self.gain;
        let largest = self.layout.largest();
        match self.layout.format {
            Format::Unsigned => (0..count)
                .map(|at| (self.raw(row, at) as f32 * white / largest + 0.5) as u8)
                .collect(),
            Format::Float | Format::Signed => self
                .parts(row, count)
                .iter()
                .map(|part| (part * white + 0.5) as u8)
                .collect(),
        }
    }

    /// Returns a row's samples as parts of their range, 0 to 1.
    pub(super) fn parts(&self, row: &[u8], count: usize) -> Vec<f32> {
        let range = match self.layout.format {
            Format::Unsigned => self.layout.largest(),
            Format::Signed => self.layout.largest() / 2.0,
            // There is no agreed range: 0 to 1 is what programs write that work with light.
            Format::Float => 1.0,
        };
        let numbers = self.numbers(row, count).into_iter();
        numbers.map(|number| number / range).collect()
    }

    /// Returns a sample's bits.
    pub(super) fn raw(&self, row: &[u8], at: usize) -> u64 {
        let bits = self.layout.bits as usize;
        let whole = |size: usize| row.get(at * size..(at + 1) * size).unwrap_or_default();
        let join = |bytes: &[u8]| {
            let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
            if self.is_little_endian {
                bytes.iter().rev().fold(0, add)
            } else {
                bytes.iter().fold(0, add)
            }
        };
        match bits {
            8 | 16 | 24 | 32 | 64 => join(whole(bits / 8)),
            _ => {
                // Others follow each other bit by bit, the highest first.
                let mut value = 0;
                for bit in at * bits..(at + 1) * bits {
                    let byte = row.get(bit / 8).copied().unwrap_or(0);
                    value = value << 1 | u64::from(byte >> (7 - bit % 8) & 1);
                }
                value
            }
        }
    }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2.0_f32.powi(-24),
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2.0_f32.powi(exponent - 15),
    }
}
