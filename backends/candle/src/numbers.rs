//! Numbers as slices of f32: those of a checkpoint, mapped where that can be, and those of a candle tensor.

use candle_core::{CpuStorage, Layout};
use lucida_models::checkpoint::{ElementType, Tensor};

/// The numbers of a checkpoint's tensor, row by row. Those that the file has as f32 stay in its map: they are shared with
/// every other process that maps it, and cost nothing to load. Others are copies.
#[derive(Debug)]
pub(crate) enum Numbers {
    Mapped(Tensor),
    Copied(Vec<f32>),
}

impl Numbers {
    pub(crate) fn of(tensor: &Tensor) -> Self {
        if mapped(tensor).is_some() {
            Self::Mapped(tensor.clone())
        } else {
            let copy = tensor.to_f32();
            tensor.release_pages();
            Self::Copied(copy)
        }
    }

    /// Copies a matrix with its sides turned.
    pub(crate) fn turned(tensor: &Tensor) -> Self {
        Self::Copied(turned(tensor))
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        match self {
            Self::Mapped(tensor) => mapped(tensor).expect("what was mapped once stays where it is"),
            Self::Copied(numbers) => numbers,
        }
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        match self {
            // The checkpoint keeps the map for the next time, and with it what was read of it would stay in memory.
            Self::Mapped(tensor) => tensor.release_pages(),
            Self::Copied(_) => {}
        }
    }
}

/// Copies the numbers of a matrix with its sides turned: `(rows, columns)` to `(columns, rows)`.
pub(crate) fn turned(tensor: &Tensor) -> Vec<f32> {
    let (rows, columns) = (tensor.shape()[0], tensor.shape()[1]);
    let numbers = tensor.to_f32();
    tensor.release_pages();
    let turned = (0..columns).flat_map(|column| (0..rows).map(move |row| (row, column)));
    turned
        .map(|(row, column)| numbers[row * columns + column])
        .collect()
}

/// Returns the numbers in the file's map, if the file has them as this machine does, and at a place that it can read from.
fn mapped(tensor: &Tensor) -> Option<&[f32]> {
    let native = match tensor.element_type() {
        ElementType::F32 => cfg!(target_endian = "little"),
        ElementType::F16 | ElementType::Bf16 => false,
    };
    native.then(|| bytemuck::try_cast_slice(tensor.bytes()).ok())?
}

/// Returns the numbers of a candle tensor that lie without gaps.
pub(crate) fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice()?[start..end]),
        None => candle_core::bail!("a tensor of shape {:?} has gaps", layout.shape()),
    }
}
