//! A fixed random rotation, which spreads what a vector says evenly over its dimensions.
//!
//! Embeddings have a few dimensions that are ten times as large as the others, and codes of a byte or a bit per
//! dimension lose most of what the others say. After a random rotation all are alike. The rotation is a randomised
//! Hadamard transform: signs, then sums and differences, a few times over. Where the number of dimensions is not a
//! power of two, each round transforms as many as are, in turn the first and the last, so that all mix and none are
//! added.

use pulp::{Arch, Simd, WithSimd};

/// What the signs are drawn from. Codes in files depend on it: never change it.
const SEED: u64 = 0x001c_c1da;
/// How often signs and transform are applied.
const ROUNDS: usize = 4;

/// The rotation of vectors of some number of dimensions; the same in every process.
#[derive(Debug)]
pub(crate) struct Rotation {
    dimensions: usize,
    /// The largest power of two that is not above the dimensions.
    block: usize,
    /// `(ROUNDS, dimensions)`, 1 or -1, divided by the square root of the block where it is transformed.
    signs: Vec<f32>,
}

impl Rotation {
    /// Makes the rotation of so many dimensions, at least one.
    pub(crate) fn new(dimensions: usize) -> Self {
        let block = 1 << dimensions.max(1).ilog2();
        #[expect(clippy::cast_precision_loss, reason = "blocks are small powers of two")]
        let norm = 1.0 / (block as f32).sqrt();
        let mut random = SEED;
        let mut signs = Vec::with_capacity(ROUNDS * dimensions);
        for round in 0..ROUNDS {
            let start = start(round, dimensions, block);
            for dimension in 0..dimensions {
                let sign = if next(&mut random) >> 63 == 0 { 1.0 } else { -1.0 };
                let transformed = (start..start + block).contains(&dimension);
                signs.push(if transformed { sign * norm } else { sign });
            }
        }
        Self {
            dimensions,
            block,
            signs,
        }
    }

    /// Rotates a vector in place; its length and its cosine with other rotated vectors stay what they are.
    pub(crate) fn apply(&self, vector: &mut [f32]) {
        debug_assert_eq!(vector.len(), self.dimensions);
        Arch::new().dispatch(Apply {
            rotation: self,
            vector,
        });
    }
}

/// Where a round's transform begins: at the front and at the back in turn.
fn start(round: usize, dimensions: usize, block: usize) -> usize {
    if round.is_multiple_of(2) {
        0
    } else {
        dimensions - block
    }
}

struct Apply<'a> {
    rotation: &'a Rotation,
    vector: &'a mut [f32],
}

impl WithSimd for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { rotation, vector } = self;
        let (dimensions, block) = (rotation.dimensions, rotation.block);
        for (round, signs) in rotation.signs.chunks_exact(dimensions).enumerate() {
            for (number, sign) in vector.iter_mut().zip(signs) {
                *number *= sign;
            }
            let start = start(round, dimensions, block);
            let part = &mut vector[start..start + block];
            let mut half = 1;
            while half < block {
                for pair in part.chunks_exact_mut(2 * half) {
                    let (left, right) = pair.split_at_mut(half);
                    for (a, b) in left.iter_mut().zip(right) {
                        (*a, *b) = (*a + *b, *a - *b);
                    }
                }
                half *= 2;
            }
        }
    }
}

/// The next number of `SplitMix64` (Steele, Lea and Flood, 2014): short, and the same everywhere for ever.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use lucida_testkit::unit_vector;

    use super::*;

    fn dot(left: &[f32], right: &[f32]) -> f32 {
        left.iter().zip(right).map(|(l, r)| l * r).sum()
    }

    #[test]
    fn lengths_and_cosines_stay_what_they_are_in_any_number_of_dimensions() {
        const TOLERANCE: f32 = 1e-5;
        for dimensions in [1, 2, 3, 7, 16, 100, 384, 512, 768, 1152] {
            let rotation = Rotation::new(dimensions);
            let (mut left, mut right) = (unit_vector(dimensions, 1), unit_vector(dimensions, 2));
            let before = dot(&left, &right);
            rotation.apply(&mut left);
            rotation.apply(&mut right);
            assert!((dot(&left, &left) - 1.0).abs() < TOLERANCE, "{dimensions}");
            assert!((dot(&left, &right) - before).abs() < TOLERANCE, "{dimensions}");
        }
    }

    #[test]
    fn one_large_dimension_is_spread_over_all() {
        for dimensions in [384, 512, 768, 1152] {
            for large in [0, dimensions / 2, dimensions - 1] {
                let mut vector = vec![0.0; dimensions];
                vector[large] = 1.0;
                Rotation::new(dimensions).apply(&mut vector);
                let largest = vector.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
                // 1 / sqrt(d) where all are equal; six times that is far in the tail of normal numbers.
                let most = 6.0 / (dimensions as f32).sqrt();
                assert!(largest < most, "{dimensions} dimensions: {largest}");
            }
        }
    }

    #[test]
    fn the_rotation_is_the_one_that_files_were_written_with() {
        let mut vector = [1.0, 2.0, 3.0];
        Rotation::new(3).apply(&mut vector);
        let rounded = vector.map(|number: f32| (number * 1e4).round());
        assert_eq!(rounded, FIRST_VERSION);
    }

    /// What the first version gave, times 10,000.
    const FIRST_VERSION: [f32; 3] = [607.0, -32_249.0, 18_964.0];
}
