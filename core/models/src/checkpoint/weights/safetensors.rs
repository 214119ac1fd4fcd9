//! Finds the tensors of a safetensors file.

use std::path::Path;
use std::sync::Arc;

use ::safetensors::{Dtype, SafeTensors};
use lucida_core::Result;

use super::entry::Entry;
use crate::checkpoint::broken;
use crate::checkpoint::tensor::{ElementType, Tensor, WeightFile};

/// The bytes in front of the header, which hold its length.
const LENGTH_BYTES: usize = 8;

/// The numbers that are read.
const ELEMENTS: [(Dtype, ElementType); 3] = [
    (Dtype::F32, ElementType::F32),
    (Dtype::F16, ElementType::F16),
    (Dtype::BF16, ElementType::Bf16),
];

/// Reads the header, checks that the file is as long as it says, and locates each tensor.
pub(super) fn tensors(path: &Path, file: &Arc<WeightFile>) -> Result<Vec<(String, Entry)>> {
    let (header_bytes, metadata) = SafeTensors::read_metadata(file.bytes()).map_err(|error| {
        broken(path, "is not a complete safetensors file: download it again").with_source(error)
    })?;
    let start = LENGTH_BYTES + header_bytes;
    let located = metadata.tensors().into_iter().map(|(name, info)| {
        let element = ELEMENTS.iter().find(|(theirs, _)| *theirs == info.dtype);
        let entry = element
            .and_then(|&(_, element)| {
                Tensor::new(&name, element, &info.shape, file, start + info.data_offsets.0)
            })
            .map_or_else(
                || Entry::Unusable(format!("its numbers are {:?}", info.dtype)),
                Entry::Usable,
            );
        (name, entry)
    });
    Ok(located.collect())
}
