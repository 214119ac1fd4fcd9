//! What a file of weights holds under a name.

use crate::checkpoint::tensor::Tensor;

/// A tensor that can be used, or why it can't.
pub(super) enum Entry {
    Usable(Tensor),
    Unusable(String),
}
