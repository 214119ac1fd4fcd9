//! Scaled dot-product attention within each input of a batch.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::activation::exp;
use crate::bias::Bias;
use crate::columns::Columns;
use crate::numbers::contiguous;

/// How the rows of `(h, columns)` are shared among heads, and what a token may see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) count: usize,
    /// Whether a token sees only itself and those before it.
    pub(crate) causal: bool,
}

impl Heads {
    /// Lets every column ask its input's columns: query, key and value, `(h, columns)` each, to the same shape, heads joined.
    pub(crate) fn attend(
        self,
        [query, key, value]: [&Tensor; 3],
        columns: &Columns,
        bias: Option<&Bias>,
    ) -> Result<Tensor> {
        let (height, width) = query.dims2()?;
        let size = height / self.count;
        let inputs = columns.inputs();
        let heads = (0..inputs.len() * self.count).into_par_iter().map(|place| {
            let (input, head) = (&inputs[place / self.count], place % self.count);
            let part = |tensor: &Tensor| part(tensor, head * size, size, input);
            let scores = part(key)?.t()?.matmul(&part(query)?)?;
            let weights = scores.apply_op1_no_bwd(&Softmax {
                scale: scale(size),
                causal: self.causal,
                bias: bias.map(|bias| bias.by_distance(head, input.len())),
            })?;
            part(value)?.matmul(&weights)
        });
        let heads = heads.collect::<Result<Vec<_>>>()?;
        let mut joined = heads
            .chunks(self.count)
            .map(|heads| Tensor::cat(heads, 0))
            .collect::<Result<Vec<_>>>()?;
        let used = inputs.last().map_or(0, |last| last.end);
        if used < width {
            joined.push(Tensor::zeros(
                (height, width - used),
                query.dtype(),
                query.device(),
            )?);
        }
        Tensor::cat(&joined, 1)
    }
}

fn part(tensor: &Tensor, row: usize, rows: usize, columns: &Range<usize>) -> Result<Tensor> {
    tensor
        .narrow(0, row, rows)?
        .narrow(1, columns.start, columns.len())
}

#[expect(clippy::cast_precision_loss, reason = "heads are far smaller than 2^24")]
fn scale(size: usize) -> f32 {
    1.0 / (size as f32).sqrt()
}

/// Scales scores, adds a bias and makes each column sum to 1: `(keys, queries)` to the same shape.
struct Softmax {
    scale: f32,
    causal: bool,
    /// By the place of the key less that of the query, from the smallest on.
    bias: Option<Vec<f32>>,
}

impl Softmax {
    /// Scales scores and adds the bias.
    fn biased(&self, scores: &[f32], queries: usize, bias: &[f32]) -> Vec<f32> {
        let mut biased = Vec::with_capacity(scores.len());
        for (key, scores) in scores.chunks_exact(queries).enumerate() {
            // The first query is the farthest behind this key.
            let bias = bias[key..][..queries].iter().rev();
            biased.extend(
                scores
                    .iter()
                    .zip(bias)
                    .map(|(score, bias)| score * self.scale + bias),
            );
        }
        biased
    }
}

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax-columns"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let scores = contiguous(storage, layout)?;
        let (_, queries) = layout.shape().dims2()?;
        let biased = self.bias.as_ref().map(|bias| self.biased(scores, queries, bias));
        let (scores, scale) = match &biased {
            Some(biased) => (&biased[..], 1.0),
            None => (scores, self.scale),
        };
        // The first query that a key is seen by.
        let first = |key: usize| if self.causal { key } else { 0 };
        let mut largest = vec![f32::NEG_INFINITY; queries];
        for (key, scores) in scores.chunks_exact(queries).enumerate() {
            for (largest, score) in largest.iter_mut().zip(scores).skip(first(key)) {
                *largest = largest.max(*score);
            }
        }
        let mut weights = vec![0.0; scores.len()];
        let mut sums = vec![0.0; queries];
        let rows = weights
            .chunks_exact_mut(queries)
            .zip(scores.chunks_exact(queries));
        for (key, (weights, scores)) in rows.enumerate() {
            let columns = weights.iter_mut().zip(scores).zip(&largest).zip(&mut sums);
            for (((weight, score), largest), sum) in columns.skip(first(key)) {
                *weight = exp((score - largest) * scale);
                *sum += *weight;
            }
        }
        for weights in weights.chunks_exact_mut(queries) {
            weights
                .iter_mut()
                .zip(&sums)
                .for_each(|(weight, sum)| *weight /= sum);
        }
        Ok((CpuStorage::F32(weights), layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Sums of a few dozen products in f32.
    const TOLERANCE: f32 = 1e-6;

    /// Numbers without a pattern, between -2 and 2.
    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let step = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 22) as f32 - 2.0
        };
        (0..count).map(step).collect()
    }

    /// Attention written out, for one input.
    fn expected(
        heads: Heads,
        size: usize,
        [query, key, value]: [&[f32]; 3],
        width: usize,
        input: &Range<usize>,
    ) -> Vec<f32> {
        let at = |tensor: &[f32], row: usize, column: usize| tensor[row * width + column];
        let mut result = vec![0.0; heads.count * size * width];
        for head in 0..heads.count {
            let rows = head * size..(head + 1) * size;
            for asking in input.clone() {
                let seen: Vec<_> = input
                    .clone()
                    .filter(|&other| !heads.causal || other <= asking)
                    .collect();
                let score = |other: usize| -> f32 {
                    rows.clone()
                        .map(|row| at(query, row, asking) * at(key, row, other))
                        .sum()
                };
                let scores: Vec<_> = seen
                    .iter()
                    .map(|&other| (score(other) * scale(size)).exp())
                    .collect();
                let sum: f32 = scores.iter().sum();
                for row in rows.clone() {
                    let weighted = seen
                        .iter()
                        .zip(&scores)
                        .map(|(&other, score)| at(value, row, other) * score / sum);
                    result[row * width + asking] = weighted.sum();
                }
            }
        }
        result
    }

    #[test]
    fn each_token_asks_those_of_its_own_input_and_with_a_causal_mask_none_after_it() {
        let (size, columns) = (5, Columns::of([7, 1, 12]));
        let (count, width) = (3, columns.width());
        let [query, key, value] = [1, 2, 3].map(|seed| numbers(count * size * width, seed));
        let tensor =
            |numbers: &[f32]| Tensor::from_slice(numbers, (count * size, width), &Device::Cpu).unwrap();
        for causal in [false, true] {
            let heads = Heads { count, causal };
            let given = heads
                .attend([&tensor(&query), &tensor(&key), &tensor(&value)], &columns, None)
                .unwrap();
            let given = given.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let mut wanted = vec![0.0; given.len()];
            for input in columns.inputs() {
                let one = expected(heads, size, [&query, &key, &value], width, input);
                wanted.iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
            }
            let largest = given
                .iter()
                .zip(&wanted)
                .map(|(given, wanted)| (given - wanted).abs());
            let largest = largest.fold(0.0, f32::max);
            assert!(largest < TOLERANCE, "{largest} too far, causal: {causal}");
        }
    }
}
