//! A tensor of a checkpoint: its name, its shape, and where its bytes are.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use half::{bf16, f16};
use memmap2::Mmap;

/// How a number of a tensor is written, always little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of a single precision number.
    Bf16,
}

impl ElementType {
    /// Returns the bytes that one number takes.
    #[must_use]
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Returns the name that safetensors files use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    /// Reads numbers that are written so, as many as `numbers` has room for.
    pub fn widen(self, bytes: &[u8], numbers: &mut [f32]) {
        match self {
            Self::F32 => {
                for (number, b) in numbers.iter_mut().zip(bytes.chunks_exact(4)) {
                    *number = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                }
            }
            Self::F16 => {
                for (number, b) in numbers.iter_mut().zip(bytes.chunks_exact(2)) {
                    *number = f16::from_le_bytes([b[0], b[1]]).to_f32();
                }
            }
            Self::Bf16 => {
                for (number, b) in numbers.iter_mut().zip(bytes.chunks_exact(2)) {
                    *number = bf16::from_le_bytes([b[0], b[1]]).to_f32();
                }
            }
        }
    }
}

/// Maps a file of a model into memory, without reading it.
///
/// # Errors
/// What opening or mapping it gives.
pub fn map_file(path: &Path) -> std::io::Result<impl AsRef<[u8]> + Send + Sync + use<>> {
    map(path)
}

fn map(path: &Path) -> std::io::Result<Mmap> {
    let file = std::fs::File::open(path)?;
    #[expect(
        unsafe_code,
        reason = "a map of a file is undefined behaviour only where somebody else changes the file meanwhile; model files \
                  are replaced, not rewritten, and their bytes are decoded with every length checked"
    )]
    let map = unsafe { Mmap::map(&file)? };
    Ok(map)
}

/// A file of weights, mapped into memory: its pages are read when they are touched, are shared with every other process
/// that maps the file, and can be dropped by the system at any time.
pub(super) struct WeightFile {
    path: Box<Path>,
    map: Mmap,
}

impl WeightFile {
    /// Maps a file whose path has no links in it.
    pub(super) fn map(path: &Path) -> std::io::Result<Self> {
        Ok(Self {
            path: path.into(),
            map: map(path)?,
        })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.map
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    #[cfg(unix)]
    fn release(&self, offset: usize, size: usize) {
        #[expect(
            unsafe_code,
            reason = "dropping pages loses what was written to them, and nobody can write to this map; they are read from \
                      the file again"
        )]
        let released = unsafe {
            self.map
                .unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, offset, size)
        };
        // It is advice: where it isn't taken, the system takes the pages when it is short of memory.
        drop(released);
    }

    #[cfg(not(unix))]
    #[expect(clippy::unused_self, reason = "the same call on every system")]
    fn release(&self, _offset: usize, _size: usize) {}
}

/// A dense, row-major tensor in a file; cloning it copies no number.
#[derive(Clone)]
pub struct Tensor {
    name: Arc<str>,
    element: ElementType,
    shape: Box<[usize]>,
    file: Arc<WeightFile>,
    offset: usize,
}

impl Tensor {
    /// Wraps a part of a file, if the file has it.
    pub(super) fn new(
        name: &str,
        element: ElementType,
        shape: &[usize],
        file: &Arc<WeightFile>,
        offset: usize,
    ) -> Option<Self> {
        let count = shape
            .iter()
            .try_fold(1_usize, |count, &side| count.checked_mul(side))?;
        let size = count.checked_mul(element.size_bytes())?;
        file.bytes().get(offset..offset.checked_add(size)?)?;
        Some(Self {
            name: name.into(),
            element,
            shape: shape.into(),
            file: Arc::clone(file),
            offset,
        })
    }

    /// Returns the name that the checkpoint gives it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how its numbers are written.
    #[must_use]
    pub const fn element_type(&self) -> ElementType {
        self.element
    }

    /// Returns its sides, the slowest first.
    #[must_use]
    pub const fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns how many numbers it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns whether it has no numbers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the absolute path, without links, of the file that holds it.
    #[must_use]
    pub fn file(&self) -> &Path {
        self.file.path()
    }

    /// Returns where in the file its first byte is.
    #[must_use]
    pub const fn offset_bytes(&self) -> usize {
        self.offset
    }

    /// Returns how many bytes of the file it takes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.len() * self.element.size_bytes()
    }

    /// Returns its numbers as the file has them, mapped.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.file.bytes()[self.offset..self.offset + self.size_bytes()]
    }

    /// Takes the pages of its numbers out of this process, for when they won't be needed for a while. They stay in the
    /// system's cache of the file, as far as there is room, and come back when they are read.
    pub fn release_pages(&self) {
        self.file.release(self.offset, self.size_bytes());
    }

    /// Returns a copy of its numbers.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        let mut numbers = vec![0.0; self.len()];
        self.element.widen(self.bytes(), &mut numbers);
        numbers
    }

    /// Returns a part of it: the given places of its first side, as a tensor of their own.
    pub(super) fn rows(&self, rows: Range<usize>) -> Option<Self> {
        let (&count, sides) = self.shape.split_first()?;
        if rows.start >= rows.end || rows.end > count {
            return None;
        }
        let row_bytes = sides.iter().product::<usize>() * self.element.size_bytes();
        let shape: Vec<_> = std::iter::once(rows.len()).chain(sides.iter().copied()).collect();
        Some(Self {
            name: format!("{}[{}..{}]", self.name, rows.start, rows.end).into(),
            element: self.element,
            shape: shape.into(),
            file: Arc::clone(&self.file),
            offset: self.offset + rows.start * row_bytes,
        })
    }

    /// Returns the same numbers with other sides, if these hold as many.
    pub(super) fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        (shape.iter().product::<usize>() == self.len()).then(|| Self {
            shape: shape.into(),
            ..self.clone()
        })
    }

    /// Returns a copy of what is at one place of its first side, such as a token's embedding in a table of them.
    #[must_use]
    pub fn row_to_f32(&self, row: usize) -> Option<Vec<f32>> {
        let (&rows, sides) = self.shape.split_first()?;
        let mut numbers = vec![0.0; sides.iter().product()];
        let size = numbers.len() * self.element.size_bytes();
        (row < rows).then(|| {
            self.element
                .widen(&self.bytes()[row * size..][..size], &mut numbers);
            numbers
        })
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{:?}", self.name, self.element.as_str(), self.shape)
    }
}
