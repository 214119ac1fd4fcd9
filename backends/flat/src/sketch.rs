//! One bit per dimension, and how far a score that is read from it may be off.
//!
//! The bits are the signs of what is left of a rotated vector once the collection's centre is taken from it; without
//! that, the vectors of models whose outputs all point nearly the same way would have nearly the same bits. With the
//! distance from the centre and one more number per point the product with a query can be estimated, with an error
//! whose spread is known: Gao and Long, "`RaBitQ`: Quantizing High-Dimensional Vectors with a Theoretical Error Bound",
//! SIGMOD 2024. The query is taken to two bits and a sign per dimension.
//!
//! Nothing of this is in files: it follows from the codes.

use crate::code::length;
use crate::codes::Codes;
use crate::kernel::{BitQuery, Centred, run};

/// How many standard deviations a point may score better than estimated and still be looked at: of a thousand among
/// the best, at most one is missed.
const CERTAINTY: f32 = 3.0;

/// The spread of the estimate: sqrt((1 - k²) / k²) with k = sqrt(2 / pi), the cosine of a random vector and its signs.
const SPREAD: f32 = 0.755;

/// The step between the weights of a query's dimensions, in standard deviations of its numbers: the best for seven
/// levels and normal numbers (Max, "Quantizing for minimum distortion", 1960).
const STEP: f32 = 0.586;

/// The centre of a collection.
#[derive(Debug)]
pub(crate) struct Sketch {
    /// Rotated.
    centre: Vec<f32>,
    centre_square: f32,
}

/// The sketches of a chunk's points.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bits {
    /// `(points, words)`.
    pub(crate) words: Vec<u64>,
    /// How far each point is from the centre.
    pub(crate) radius: Vec<f32>,
    /// What the sum over signs is times to be a product.
    pub(crate) factor: Vec<f32>,
}

impl Bits {
    /// How many points there are.
    pub(crate) fn len(&self) -> usize {
        self.radius.len()
    }
}

/// A query for the sketches around one centre.
pub(crate) struct SketchQuery {
    pub(crate) bits: BitQuery,
    /// The sum of all weights.
    total: f32,
    /// What one weight stands for.
    unit: f32,
    /// What is the same for all points.
    constant: f32,
    /// How much better than estimated a point may be, per distance from the centre.
    slack: f32,
}

impl Sketch {
    /// Sketches around a centre.
    pub(crate) fn around(centre: Vec<f32>) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "means of unit vectors are at most 1 long"
        )]
        let centre_square = length(&centre).powi(2) as f32;
        Self {
            centre,
            centre_square,
        }
    }

    /// Returns the square of the distance to another centre.
    pub(crate) fn drift(&self, centre: &[f32]) -> f32 {
        let pairs = self.centre.iter().zip(centre);
        pairs.map(|(was, is)| (was - is).powi(2)).sum()
    }

    /// Sketches all points of a chunk.
    pub(crate) fn of(&self, codes: &Codes) -> Bits {
        let dimensions = self.centre.len();
        let points = codes.scales.len();
        let mut bits = Bits {
            words: Vec::with_capacity(points * dimensions.div_ceil(64)),
            radius: Vec::with_capacity(points),
            factor: Vec::with_capacity(points),
        };
        let mut left = vec![0.0; dimensions];
        for place in 0..points {
            let (scale, values) = codes.get(place, dimensions);
            let (radius, factor) = self.measure(scale, values, &mut left);
            bits.words.extend(left.chunks(64).map(signs));
            bits.radius.push(radius);
            bits.factor.push(factor);
        }
        bits
    }

    /// Sketches one point of a chunk, at a place that may be behind the last.
    pub(crate) fn set(&self, bits: &mut Bits, place: usize, scale: f32, values: &[i8]) {
        let words = self.centre.len().div_ceil(64);
        if place >= bits.len() {
            bits.words.resize((place + 1) * words, 0);
            bits.radius.resize(place + 1, 0.0);
            bits.factor.resize(place + 1, 0.0);
        }
        let mut left = vec![0.0; self.centre.len()];
        (bits.radius[place], bits.factor[place]) = self.measure(scale, values, &mut left);
        let row = &mut bits.words[place * words..(place + 1) * words];
        for (word, left) in row.iter_mut().zip(left.chunks(64)) {
            *word = signs(left);
        }
    }

    fn measure(&self, scale: f32, values: &[i8], left: &mut [f32]) -> (f32, f32) {
        let (absolute, square) = run(Centred {
            values,
            scale,
            centre: &self.centre,
            left,
        });
        let factor = if absolute > 0.0 { square / absolute } else { 0.0 };
        (square.sqrt(), factor)
    }

    /// Prepares a rotated query of unit length.
    pub(crate) fn query(&self, rotated: &[f32]) -> SketchQuery {
        let left: Vec<f32> = rotated.iter().zip(&self.centre).map(|(q, c)| q - c).collect();
        let along: f32 = rotated.iter().zip(&self.centre).map(|(q, c)| q * c).sum();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "differences of unit vectors are at most 2 long"
        )]
        let length = length(&left) as f32;
        #[expect(clippy::cast_precision_loss, reason = "dimensions are few")]
        let root = (left.len() as f32).sqrt();
        let unit = STEP * length / root;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is within 0 and 3"
        )]
        let weigh = |number: &f32| -> u64 {
            if unit > 0.0 {
                (number.abs() / unit).round().min(3.0) as u64
            } else {
                0
            }
        };
        let plane = |bit: u64| -> Vec<u64> {
            let pack = |part: &[f32]| pack(part.iter().map(|number| weigh(number) >> bit & 1));
            left.chunks(64).map(pack).collect()
        };
        #[expect(clippy::cast_precision_loss, reason = "three per dimension are few")]
        let total = left.iter().map(weigh).sum::<u64>() as f32;
        SketchQuery {
            bits: BitQuery {
                signs: left.chunks(64).map(signs).collect(),
                ones: plane(0),
                twos: plane(1),
            },
            total,
            unit,
            // For a unit vector v = c + w: qv = qc + (q - c)w + cw, and cw = (1 - cc - ww) / 2.
            constant: along + (1.0 - self.centre_square) / 2.0,
            slack: CERTAINTY * SPREAD * length / root,
        }
    }
}

impl SketchQuery {
    /// Returns the best cosine that a point can have, all but certainly, given the weights in which it differs.
    #[inline(always)]
    pub(crate) fn best(&self, differing: u32, radius: f32, factor: f32) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "three per dimension are few")]
        let product = self.unit * factor * (self.total - 2.0 * differing as f32);
        self.constant - radius * radius / 2.0 + product + self.slack * radius
    }
}

fn signs(part: &[f32]) -> u64 {
    pack(part.iter().map(|number| u64::from(*number > 0.0)))
}

#[inline(always)]
fn pack(bits: impl Iterator<Item = u64>) -> u64 {
    bits.enumerate().fold(0, |word, (at, bit)| word | bit << at)
}

#[cfg(test)]
mod tests {
    use lucida_testkit::unit_vector;

    use super::*;
    use crate::code::Code;
    use crate::kernel::{CompareBits, run};
    use crate::mask::{CHUNK, Mask};

    /// Estimates are off by no more than the slack, but for one in some hundred.
    #[test]
    fn no_point_is_much_better_than_its_sketch_allows() {
        const POINTS: usize = 2_000;
        for dimensions in [384, 512, 768] {
            // A narrow cone: a common direction, and something of each point's own.
            let common = unit_vector(dimensions, 99);
            let vector = |seed: u64| {
                let own = unit_vector(dimensions, seed);
                let sum: Vec<f32> = common
                    .iter()
                    .zip(&own)
                    .map(|(c, o)| 0.84 * c + 0.54 * o)
                    .collect();
                crate::code::normalised(&sum)
            };
            let mut codes = Codes::default();
            let vectors: Vec<_> = (0..POINTS).map(|seed| vector(seed as u64)).collect();
            for (place, vector) in vectors.iter().enumerate() {
                let code = Code::of(vector);
                codes.set(place, code.scale, &code.values);
            }
            let mean = (0..dimensions)
                .map(|at| vectors.iter().map(|vector| vector[at]).sum::<f32>() / POINTS as f32)
                .collect();
            let sketch = Sketch::around(mean);
            let bits = sketch.of(&codes);
            let (mut above, mut slack) = (0, 0.0);
            for seed in 0..20 {
                let target = vector(10_000 + seed);
                let query = sketch.query(&target);
                let mask: Mask = [u64::MAX; CHUNK / 64];
                let mut sums = vec![0; CHUNK];
                let mut few = mask;
                few[POINTS / 64..].fill(0);
                run(CompareBits {
                    query: &query.bits,
                    bits: &bits.words,
                    mask: &few,
                    sums: &mut sums,
                });
                for place in 0..POINTS / 64 * 64 {
                    let exact: f32 = vectors[place].iter().zip(&target).map(|(v, q)| v * q).sum();
                    let best = query.best(sums[place], bits.radius[place], bits.factor[place]);
                    above += u32::from(exact > best);
                    slack += best - exact;
                }
            }
            let compared = 20 * (POINTS / 64 * 64);
            assert!(
                f64::from(above) < compared as f64 * 0.004,
                "{above} of {compared}"
            );
            // Three standard deviations of about 0.02 in mean, so the bound says something.
            assert!(slack / (compared as f32) < 0.08, "{}", slack / compared as f32);
        }
    }
}
