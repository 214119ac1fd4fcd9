//! The loops that searches spend their time in, compiled for each family of processors.
//!
//! `pulp` picks the widest instructions that the processor has when the program runs; the loops are plain, and the
//! compiler vectorises them for each.

use pulp::{Arch, Simd, WithSimd};

use crate::mask::{Mask, places};

/// Runs a loop, with the widest instructions that this processor has.
pub(crate) fn run<L: WithSimd>(each: L) -> L::Output {
    Arch::new().dispatch(each)
}

/// Compares a query with the codes of a chunk: writes the cosines.
pub(crate) struct CompareCodes<'a> {
    pub(crate) query: &'a [i16],
    /// What a product of the query and a code with scale 1 is times.
    pub(crate) query_scale: f32,
    /// `(points, dimensions)`.
    pub(crate) codes: &'a [i8],
    pub(crate) scales: &'a [f32],
    pub(crate) mask: &'a Mask,
    /// One for each point of the chunk; only those of the mask are written.
    pub(crate) scores: &'a mut [f32],
}

impl WithSimd for CompareCodes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let dimensions = self.query.len();
        places(self.mask, |place| {
            let code = &self.codes[place * dimensions..(place + 1) * dimensions];
            self.scores[place] = dot(code, self.query) as f32 * (self.scales[place] * self.query_scale);
        });
    }
}

#[inline(always)]
fn dot(code: &[i8], query: &[i16]) -> i32 {
    let pairs = code.iter().zip(query);
    pairs.map(|(c, q)| i32::from(*c) * i32::from(*q)).sum()
}

/// A query's signs and how much each dimension weighs, 0 to 3, as bits; `words` of each.
pub(crate) struct BitQuery {
    pub(crate) signs: Vec<u64>,
    pub(crate) ones: Vec<u64>,
    pub(crate) twos: Vec<u64>,
}

/// Adds up, for each point of a chunk, the weights of the dimensions in which its sign is not the query's.
pub(crate) struct CompareBits<'a> {
    pub(crate) query: &'a BitQuery,
    /// `(points, words)`.
    pub(crate) bits: &'a [u64],
    pub(crate) mask: &'a Mask,
    /// One for each point of the chunk; at least those of the mask are written.
    pub(crate) sums: &'a mut [u32],
}

impl WithSimd for CompareBits<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // The dimensions of most models, each with a loop that is unrolled.
        match self.query.signs.len() {
            6 => self.of_words::<6>(),
            8 => self.of_words::<8>(),
            12 => self.of_words::<12>(),
            16 => self.of_words::<16>(),
            18 => self.of_words::<18>(),
            words => {
                let Self {
                    query,
                    bits,
                    mask,
                    sums,
                } = self;
                places(mask, |place| {
                    sums[place] = weigh(query, &bits[place * words..(place + 1) * words]);
                });
            }
        }
    }
}

impl CompareBits<'_> {
    #[inline(always)]
    fn of_words<const WORDS: usize>(self) {
        let Self {
            query,
            bits,
            mask,
            sums,
        } = self;
        let fixed = |words: &[u64]| -> [u64; WORDS] {
            let mut fixed = [0; WORDS];
            fixed.copy_from_slice(&words[..WORDS]);
            fixed
        };
        let (signs, ones, twos) = (fixed(&query.signs), fixed(&query.ones), fixed(&query.twos));
        let (rows, _) = bits.as_chunks::<WORDS>();
        let weigh = |row: &[u64; WORDS]| {
            let (mut one, mut two) = (0, 0);
            for word in 0..WORDS {
                let differing = row[word] ^ signs[word];
                one += (differing & ones[word]).count_ones();
                two += (differing & twos[word]).count_ones();
            }
            one + 2 * two
        };
        for (number, word) in mask.iter().enumerate() {
            let start = number * 64;
            // Where most are wanted, all are quicker.
            if word.count_ones() >= 48 {
                let rows = &rows[start.min(rows.len())..(start + 64).min(rows.len())];
                for (sum, row) in sums[start..].iter_mut().zip(rows) {
                    *sum = weigh(row);
                }
                continue;
            }
            let mut word = *word;
            while word != 0 {
                let place = start + word.trailing_zeros() as usize;
                sums[place] = weigh(&rows[place]);
                word &= word - 1;
            }
        }
    }
}

#[inline(always)]
fn weigh(query: &BitQuery, row: &[u64]) -> u32 {
    let (mut one, mut two) = (0, 0);
    let weights = query.ones.iter().zip(&query.twos);
    for ((bits, signs), (ones, twos)) in row.iter().zip(&query.signs).zip(weights) {
        let differing = bits ^ signs;
        one += (differing & ones).count_ones();
        two += (differing & twos).count_ones();
    }
    one + 2 * two
}

/// Takes the centre from a code, and writes what is left of it in full.
///
/// Returns the sum of its absolute numbers and that of their squares.
pub(crate) struct Centred<'a> {
    pub(crate) values: &'a [i8],
    pub(crate) scale: f32,
    pub(crate) centre: &'a [f32],
    /// What is left is written here.
    pub(crate) left: &'a mut [f32],
}

impl WithSimd for Centred<'_> {
    type Output = (f32, f32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> (f32, f32) {
        const LANES: usize = 16;
        for ((left, value), centre) in self.left.iter_mut().zip(self.values).zip(self.centre) {
            *left = f32::from(*value) * self.scale - centre;
        }
        // Sums in lanes of their own, which may be added in any order.
        let (mut absolute, mut square) = ([0.0; LANES], [0.0; LANES]);
        let (rows, rest) = self.left.as_chunks::<LANES>();
        for row in rows {
            for lane in 0..LANES {
                absolute[lane] += row[lane].abs();
                square[lane] += row[lane] * row[lane];
            }
        }
        let (mut absolute, mut square): (f32, f32) = (absolute.iter().sum(), square.iter().sum());
        for number in rest {
            absolute += number.abs();
            square += number * number;
        }
        (absolute, square)
    }
}

/// Multiplies two vectors: returns the sum of products, and that of the squares of `right`.
pub(crate) struct Dot<'a> {
    pub(crate) left: &'a [f32],
    pub(crate) right: &'a [f32],
}

impl WithSimd for Dot<'_> {
    type Output = (f32, f32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> (f32, f32) {
        const LANES: usize = 16;
        let (mut product, mut square) = ([0.0; LANES], [0.0; LANES]);
        let ((left, left_rest), (right, right_rest)) =
            (self.left.as_chunks::<LANES>(), self.right.as_chunks::<LANES>());
        for (left, right) in left.iter().zip(right) {
            for lane in 0..LANES {
                product[lane] += left[lane] * right[lane];
                square[lane] += right[lane] * right[lane];
            }
        }
        let (mut product, mut square): (f32, f32) = (product.iter().sum(), square.iter().sum());
        for (left, right) in left_rest.iter().zip(right_rest) {
            product += left * right;
            square += right * right;
        }
        (product, square)
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::mask::CHUNK;

    #[test]
    fn sums_of_bits_are_those_of_one_dimension_after_the_other() {
        let mut random = SmallRng::seed_from_u64(1);
        for words in [1, 6, 8, 9, 12, 16, 18] {
            let mut draw = |count: usize| -> Vec<u64> { (0..count).map(|_| random.random()).collect() };
            let query = BitQuery {
                signs: draw(words),
                ones: draw(words),
                twos: draw(words),
            };
            let points = 1_000;
            let bits = draw(points * words);
            // The first word is full, the second has few, the third none; the last point is the last of the chunk.
            let mut mask: Mask = [0; CHUNK / 64];
            (mask[0], mask[1], mask[15]) = (u64::MAX, 0b1010, 1 << 39);
            let mut sums = vec![0; CHUNK];
            run(CompareBits {
                query: &query,
                bits: &bits,
                mask: &mask,
                sums: &mut sums,
            });
            places(&mask, |place| {
                let bit = |words: &[u64], at: usize| words[at / 64] >> (at % 64) & 1;
                let row = &bits[place * words..(place + 1) * words];
                let expected: u64 = (0..words * 64)
                    .filter(|at| bit(row, *at) != bit(&query.signs, *at))
                    .map(|at| bit(&query.ones, at) + 2 * bit(&query.twos, at))
                    .sum();
                assert_eq!(u64::from(sums[place]), expected, "{words} words, place {place}");
            });
        }
    }
}
