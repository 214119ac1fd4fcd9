//! `W X` on weights that stay where the file has them.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor};
use gemm::{Parallelism, gemm};
use lucida_models::checkpoint::{self, Activation};
use rayon::prelude::*;

use crate::activation::apply;
use crate::numbers::{Numbers, contiguous};

/// Into how many pieces a product is cut for each thread: enough that one that starts late holds up little.
const PIECES_PER_THREAD: usize = 4;

/// A piece has a multiple of so many rows, which the kernels take 6 or 8 at a time.
const ROWS: usize = 24;

/// The depth up to which `gemm` sums a product in one go, whatever its other sides; a deeper one is cut here, since `gemm`
/// cuts where those sides say, and a sum that is cut elsewhere rounds otherwise.
const DEPTH: usize = 512;

/// A matrix and a bias, applied to every column.
#[derive(Debug)]
pub(crate) struct Linear {
    /// `(outputs, inputs)`.
    weight: Numbers,
    /// `(outputs,)`, or empty.
    bias: Vec<f32>,
    outputs: usize,
    inputs: usize,
}

impl Linear {
    pub(crate) fn new(linear: &checkpoint::Linear) -> Self {
        Self {
            weight: match linear.layout {
                checkpoint::Layout::OutputsFirst => Numbers::of(&linear.weight),
                checkpoint::Layout::InputsFirst => Numbers::turned(&linear.weight),
            },
            bias: linear
                .bias
                .as_ref()
                .map(checkpoint::Tensor::to_f32)
                .unwrap_or_default(),
            outputs: linear.outputs(),
            inputs: linear.inputs(),
        }
    }

    /// Takes a convolution whose stride is its kernel's side as the matrix that it is: `(outputs, …)`.
    pub(crate) fn from_patches(weight: &checkpoint::Tensor) -> Self {
        let outputs = weight.shape()[0];
        Self {
            weight: Numbers::of(weight),
            bias: Vec::new(),
            outputs,
            inputs: weight.len() / outputs,
        }
    }

    /// Returns how many numbers come out.
    pub(crate) const fn outputs(&self) -> usize {
        self.outputs
    }

    /// Computes `activation(W X + b)`: `(inputs, columns)` to `(outputs, columns)`.
    pub(crate) fn forward(&self, columns: &Tensor, activation: Activation) -> candle_core::Result<Tensor> {
        columns.apply_op1_no_bwd(&Activated {
            linear: self,
            activation,
        })
    }

    /// Computes `W X + b + other`, where `other` has the result's shape.
    pub(crate) fn forward_onto(&self, columns: &Tensor, other: &Tensor) -> candle_core::Result<Tensor> {
        columns.apply_op2_no_bwd(other, &Added { linear: self })
    }

    /// Computes the product and its bias, and hands each finished row, by its number, to `finish`.
    fn product(
        &self,
        columns: &[f32],
        layout: &Layout,
        finish: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Product {
        let (inputs, width) = layout.shape().dims2()?;
        if inputs != self.inputs {
            candle_core::bail!("{inputs} numbers go into a matrix of {} columns", self.inputs);
        }
        let weight = self.weight.as_slice();
        let mut result = vec![0.0; self.outputs * width];
        let pieces = rayon::current_num_threads() * PIECES_PER_THREAD;
        let rows = self.outputs.div_ceil(pieces).next_multiple_of(ROWS);
        let pieces = result
            .par_chunks_mut(rows * width)
            .zip(weight.par_chunks(rows * inputs));
        pieces.enumerate().for_each(|(piece, (result, weight))| {
            multiply(weight, columns, result, width);
            for (row, numbers) in result.chunks_exact_mut(width).enumerate() {
                let row = piece * rows + row;
                if let Some(bias) = self.bias.get(row) {
                    numbers.iter_mut().for_each(|number| *number += bias);
                }
                finish(row, numbers);
            }
        });
        Ok((CpuStorage::F32(result), Shape::from((self.outputs, width))))
    }
}

type Product = candle_core::Result<(CpuStorage, Shape)>;

struct Activated<'a> {
    linear: &'a Linear,
    activation: Activation,
}

impl CustomOp1 for Activated<'_> {
    fn name(&self) -> &'static str {
        "linear-activation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Product {
        let columns = contiguous(storage, layout)?;
        self.linear
            .product(columns, layout, |_, row| apply(self.activation, row))
    }
}

struct Added<'a> {
    linear: &'a Linear,
}

impl CustomOp2 for Added<'_> {
    fn name(&self) -> &'static str {
        "linear-add"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
        other: &CpuStorage,
        other_layout: &Layout,
    ) -> Product {
        let columns = contiguous(storage, layout)?;
        let (height, width) = other_layout.shape().dims2()?;
        if (height, width) != (self.linear.outputs, layout.shape().dims2()?.1) {
            candle_core::bail!(
                "a product of {} rows is added to {height}x{width}",
                self.linear.outputs
            );
        }
        let other = contiguous(other, other_layout)?;
        self.linear.product(columns, layout, |row, numbers| {
            let other = &other[row * width..][..width];
            numbers
                .iter_mut()
                .zip(other)
                .for_each(|(number, other)| *number += other);
        })
    }
}

/// Computes `result = W X` on this thread: `W` is `(rows, depth)`, `X` is `(depth, width)`, all row by row.
///
/// Each number of the result is summed in the same order whatever `rows` and `width` are, as long as `width` is above 1 and
/// a multiple of the vector.
fn multiply(weight: &[f32], columns: &[f32], result: &mut [f32], width: usize) {
    let depth = columns.len() / width;
    let rows = result.len() / width;
    assert_eq!(weight.len(), rows * depth, "a matrix of another shape");
    let blocks = depth.div_ceil(DEPTH);
    let step = depth.div_ceil(blocks);
    let stride = |side: usize| isize::try_from(side).expect("a slice has no more than isize::MAX numbers");
    for start in (0..depth).step_by(step) {
        #[expect(
            unsafe_code,
            reason = "gemm takes pointers and strides; the three slices were just seen to have the sizes that these say, \
                      and the result is borrowed exclusively"
        )]
        unsafe {
            gemm(
                rows,
                width,
                step.min(depth - start),
                result.as_mut_ptr(),
                1,
                stride(width),
                start > 0,
                weight[start..].as_ptr(),
                1,
                stride(depth),
                columns[start * width..].as_ptr(),
                1,
                stride(width),
                1.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}
