//! candle's errors as Lucida's.

use lucida_core::{Error, Result};

/// Gives each input of a batch its vector, or each the failure: shapes are checked when a folder is read, so a failure is
/// no single input's.
pub(crate) fn per_input(
    vectors: candle_core::Result<Vec<Vec<f32>>>,
    inputs: usize,
    doing: &str,
) -> Vec<Result<Vec<f32>>> {
    match vectors {
        Ok(vectors) => vectors.into_iter().map(Ok).collect(),
        Err(error) => {
            let message = format!("{doing} failed: {error}");
            (0..inputs)
                .map(|_| Err(Error::internal(message.clone())))
                .collect()
        }
    }
}
