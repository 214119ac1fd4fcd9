//! Layer normalisation down the columns.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use lucida_models::checkpoint;
use rayon::prelude::*;

use crate::numbers::contiguous;

/// How many rows are one piece of work. Sums are joined piece by piece in order, so that threads change nothing.
const ROWS: usize = 64;

/// A norm's weight and bias, `(h,)` each.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Vec<f32>,
    /// 0 where the model has none.
    bias: Vec<f32>,
    epsilon: f32,
}

impl LayerNorm {
    pub(crate) fn new(norm: &checkpoint::LayerNorm) -> Self {
        Self {
            weight: norm.weight.to_f32(),
            bias: match &norm.bias {
                Some(bias) => bias.to_f32(),
                None => vec![0.0; norm.weight.len()],
            },
            epsilon: norm.epsilon,
        }
    }

    /// Normalises each column: `(h, columns)` to the same shape.
    pub(crate) fn forward(&self, columns: &Tensor) -> candle_core::Result<Tensor> {
        columns.apply_op1_no_bwd(self)
    }
}

impl CustomOp1 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm-columns"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let numbers = contiguous(storage, layout)?;
        let (height, width) = layout.shape().dims2()?;
        if height != self.weight.len() {
            candle_core::bail!("{height} numbers go into a norm of {}", self.weight.len());
        }
        #[expect(clippy::cast_precision_loss, reason = "hidden sizes are far below 2^24")]
        let count = height as f32;
        let mut mean = sums(numbers, width, |number, _| number);
        mean.iter_mut().for_each(|sum| *sum /= count);
        let variance = sums(numbers, width, |number, column| (number - mean[column]).powi(2));
        let scale: Vec<_> = variance
            .iter()
            .map(|sum| 1.0 / (sum / count + self.epsilon).sqrt())
            .collect();
        let mut result = vec![0.0; numbers.len()];
        let rows = result.par_chunks_mut(width).zip(numbers.par_chunks(width));
        rows.zip(&self.weight)
            .zip(&self.bias)
            .with_min_len(ROWS)
            .for_each(|(((result, numbers), weight), bias)| {
                let columns = numbers.iter().zip(&mean).zip(&scale);
                for (result, ((number, mean), scale)) in result.iter_mut().zip(columns) {
                    *result = (number - mean) * scale * weight + bias;
                }
            });
        Ok((CpuStorage::F32(result), layout.shape().clone()))
    }
}

/// Sums a function of each number, given with its column, down every column.
fn sums(numbers: &[f32], width: usize, function: impl Fn(f32, usize) -> f32 + Sync) -> Vec<f32> {
    let parts: Vec<Vec<f32>> = numbers
        .par_chunks(ROWS * width)
        .map(|rows| {
            let mut sums = vec![0.0; width];
            for row in rows.chunks_exact(width) {
                for (column, (sum, number)) in sums.iter_mut().zip(row).enumerate() {
                    *sum += function(*number, column);
                }
            }
            sums
        })
        .collect();
    let mut sums = vec![0.0; width];
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    sums
}
