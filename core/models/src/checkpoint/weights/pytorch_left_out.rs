//! Refuses `pytorch_model.bin` in a build without its reader.

use std::path::Path;
use std::sync::Arc;

use lucida_core::Result;

use super::entry::Entry;
use crate::checkpoint::broken;
use crate::checkpoint::tensor::WeightFile;

/// Refuses the file.
pub(super) fn tensors(path: &Path, _file: &Arc<WeightFile>) -> Result<Vec<(String, Entry)>> {
    let needs = "needs the Cargo feature `pytorch`, which this build lacks; it reads `model.safetensors`";
    Err(broken(path, needs))
}
