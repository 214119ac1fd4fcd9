//! Finds the tensors of a `pytorch_model.bin`.
//!
//! Such a file is a zip archive of raw numbers, stored without compression, and a pickle that names them. candle's reader
//! interprets the pickle without running what it says; the numbers are then mapped where they are, as those of a
//! safetensors file are.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use candle_core::DType;
use candle_core::pickle::{TensorInfo, read_pth_tensor_info};
use lucida_core::{Error, Result};
use zip::{CompressionMethod, ZipArchive};

use super::entry::Entry;
use crate::checkpoint::broken;
use crate::checkpoint::tensor::{ElementType, Tensor, WeightFile};

/// The numbers that are read.
const ELEMENTS: [(DType, ElementType); 3] = [
    (DType::F32, ElementType::F32),
    (DType::F16, ElementType::F16),
    (DType::BF16, ElementType::Bf16),
];

/// Reads the pickle and the archive's directory and locates each tensor.
pub(super) fn tensors(path: &Path, file: &Arc<WeightFile>) -> Result<Vec<(String, Entry)>> {
    let infos = read_pth_tensor_info(path, false, None).map_err(|error| unreadable(path, error))?;
    let starts = stored_files(path).map_err(|error| unreadable(path, error))?;
    if infos.is_empty() {
        return Err(broken(path, "names no tensors"));
    }
    let located = infos.into_iter().map(|info| {
        let entry = locate(&info, &starts, file).map_or_else(Entry::Unusable, Entry::Usable);
        (info.name, entry)
    });
    Ok(located.collect())
}

fn locate(
    info: &TensorInfo,
    starts: &HashMap<String, u64>,
    file: &Arc<WeightFile>,
) -> Result<Tensor, String> {
    let element = ELEMENTS.iter().find(|(theirs, _)| *theirs == info.dtype);
    let &(_, element) = element.ok_or_else(|| format!("its numbers are {}", info.dtype.as_str()))?;
    if !info.layout.is_contiguous() {
        return Err("its numbers are not contiguous".to_owned());
    }
    let start = starts
        .get(&info.path)
        .ok_or_else(|| format!("`{}` is compressed or not in the archive", info.path))?;
    // The reader has multiplied the offset by the size of a number.
    let offset = usize::try_from(*start)
        .ok()
        .and_then(|start| start.checked_add(info.layout.start_offset()));
    offset
        .and_then(|offset| Tensor::new(&info.name, element, info.layout.dims(), file, offset))
        .ok_or_else(|| "the file ends before it does".to_owned())
}

/// Returns where in the archive each uncompressed file starts.
fn stored_files(path: &Path) -> Result<HashMap<String, u64>, Box<dyn std::error::Error + Send + Sync>> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
    let mut starts = HashMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index)?;
        if entry.compression() == CompressionMethod::Stored
            && let Some(start) = entry.data_start()
        {
            starts.insert(entry.name()?.into_owned(), start);
        }
    }
    Ok(starts)
}

fn unreadable(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let problem = "is no PyTorch file of version 1.6 or later, or not a whole one: fetch it again, or save it anew with \
                   `safe_serialization=True`";
    broken(path, problem).with_source(error)
}
