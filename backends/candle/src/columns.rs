//! Where each input of a batch lies among the columns of an activation.
//!
//! Activations are `(features, columns)` f32, one column for each token or patch, the inputs of a batch side by side. This
//! way round a product is `W X`: the weights are read as the file has them, in rows, once for the whole batch, and vector
//! instructions run along the columns, where each column is computed by itself whatever is beside it.

use std::ops::Range;

/// Columns come in multiples of this, the widest vector of f32 there is, and what is left over is 0. So no product has a
/// single column or a part of a vector, for which `gemm` has other code that rounds otherwise.
const MULTIPLE: usize = 16;

/// The inputs of a batch, in order, without gaps, and the width of the whole.
#[derive(Debug)]
pub(crate) struct Columns {
    inputs: Vec<Range<usize>>,
    width: usize,
}

impl Columns {
    /// Puts inputs of these lengths side by side.
    pub(crate) fn of(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut end = 0;
        let inputs = lengths
            .into_iter()
            .map(|length| {
                let start = end;
                end += length;
                start..end
            })
            .collect();
        Self {
            inputs,
            width: end.next_multiple_of(MULTIPLE),
        }
    }

    /// Returns the columns of each input.
    pub(crate) fn inputs(&self) -> &[Range<usize>] {
        &self.inputs
    }

    /// Returns the number of columns, those left over included.
    pub(crate) const fn width(&self) -> usize {
        self.width
    }
}
