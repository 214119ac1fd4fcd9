//! From pixels to the numbers that a model was trained on.

/// Scales and shifts each colour; all 256 results per colour are computed once.
#[derive(Clone, PartialEq)]
pub struct Normaliser {
    /// `(3, 256)` f32: what each value of red, green and blue becomes.
    tables: [[f32; 256]; 3],
}

impl Normaliser {
    /// Makes `(value × factor - mean) / std`, per colour, of values from 0 to 255, rounded as `rescale` and
    /// `normalize` of transformers 4.57 round it.
    #[must_use]
    pub fn new(factor: f64, mean: [f32; 3], std: [f32; 3]) -> Self {
        let table = |colour: usize| {
            std::array::from_fn(|value| {
                #[expect(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    reason = "at most 255, and f32 is what comes out"
                )]
                let scaled = (value as f64 * factor) as f32;
                (scaled - mean[colour]) / std[colour]
            })
        };
        Self {
            tables: std::array::from_fn(table),
        }
    }

    /// Writes `(height, width, 3)` u8 as `(3, height, width)` f32 into `planes`.
    ///
    /// # Panics
    /// When `planes` is not as long as `pixels`.
    pub fn write(&self, pixels: &[u8], planes: &mut [f32]) {
        assert_eq!(planes.len(), pixels.len(), "three planes of the picture's size");
        let (red, rest) = planes.split_at_mut(pixels.len() / 3);
        let (green, blue) = rest.split_at_mut(pixels.len() / 3);
        let targets = red.iter_mut().zip(green).zip(blue);
        for (pixel, ((red, green), blue)) in pixels.as_chunks::<3>().0.iter().zip(targets) {
            *red = self.tables[0][usize::from(pixel[0])];
            *green = self.tables[1][usize::from(pixel[1])];
            *blue = self.tables[2][usize::from(pixel[2])];
        }
    }
}

impl std::fmt::Debug for Normaliser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ends = self.tables.map(|table| (table[0], table[255]));
        write!(f, "Normaliser({ends:?})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_planes_each_with_its_own_mean_and_std() {
        let mut planes = [0.0; 6];
        let normaliser = Normaliser::new(1.0, [0.0, 127.0, 1.0], [1.0, 128.0, 2.0]);
        normaliser.write(&[0, 255, 128, 255, 0, 1], &mut planes);
        assert_eq!(planes, [0.0, 255.0, 1.0, -0.992_187_5, 63.5, 0.0]);
    }

    /// Computed with NumPy 2.4 as `CLIPImageProcessor` does.
    #[test]
    fn clips_numbers_are_those_of_transformers_bit_for_bit() {
        let mean = [0.481_454_66, 0.457_827_5, 0.408_210_73];
        let std = [0.268_629_54, 0.261_302_6, 0.275_777_1];
        let normaliser = Normaliser::new(1.0 / 255.0, mean, std);
        let pixels: Vec<u8> = [0, 1, 77, 200, 255]
            .into_iter()
            .flat_map(|value| [value; 3])
            .collect();
        let mut planes = [0.0; 15];
        normaliser.write(&pixels, &mut planes);
        let expected = [
            0xbfe5_68dc_u32,
            0xbfe3_8a7f,
            0xbf2b_0e15,
            0x3f90_4f64,
            0x3ff7_1541, // red
            0xbfe0_44b8,
            0xbfde_58f1,
            0xbf18_b427,
            0x3f9f_ee31,
            0x4004_cae5, // green
            0xbfbd_77d8,
            0xbfbb_a5e1,
            0xbec5_42b8,
            0x3fae_90c9,
            0x4009_5660, // blue
        ];
        assert_eq!(planes.map(f32::to_bits), expected);
    }
}
