//! Weights rounded to 8-bit integers.
//!
//! Each row of a matrix or a table has 255 steps of its own, from `-127 * scale` to `127 * scale`, so that no row's outlier
//! coarsens another's.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};

use lucida_core::{Error, Result};
use lucida_models::checkpoint::Tensor;

use crate::graph::{Form, Weight};

/// The step of a row is its largest number by this.
const STEPS: f32 = 127.0;

const BLOCK_BYTES: usize = 1 << 20;

/// Makes a weight's bytes in its form.
///
/// # Errors
/// `Internal`, naming the file that can't be read or the tensor that has a number that is not finite.
pub(super) fn encode(weight: &Weight<'_>) -> Result<Vec<u8>> {
    let mut numbers = Numbers::open(weight.tensor)?;
    let (rows, columns) = weight.matrix();
    let mut bytes = vec![0; weight.size_bytes()];
    match weight.form {
        Form::Stored => numbers.read(&mut bytes)?,
        Form::RowScales => {
            for place in bytes.chunks_exact_mut(size_of::<f32>()) {
                let row = numbers.row(columns)?;
                place.copy_from_slice(&scale(row).to_le_bytes());
            }
        }
        Form::RowCodes => {
            for codes in bytes.chunks_exact_mut(columns) {
                round(numbers.row(columns)?, codes.iter_mut());
            }
        }
        Form::ColumnCodes => {
            for row in 0..rows {
                round(numbers.row(columns)?, bytes.iter_mut().skip(row).step_by(rows));
            }
        }
    }
    Ok(bytes)
}

/// Returns the step of a row; 0 for one of zeros.
fn scale(row: &[f32]) -> f32 {
    let largest = row
        .iter()
        .fold(0.0_f32, |largest, number| largest.max(number.abs()));
    largest / STEPS
}

/// Writes the nearest step of each number, as the bits of an i8.
fn round<'a>(row: &[f32], codes: impl Iterator<Item = &'a mut u8>) {
    let scale = scale(row);
    for (number, code) in row.iter().zip(codes) {
        let steps = if scale > 0.0 { number / scale } else { 0.0 };
        #[expect(clippy::cast_possible_truncation, reason = "held to what an i8 has")]
        let rounded = steps.round_ties_even().clamp(-STEPS, STEPS) as i8;
        *code = rounded.cast_unsigned();
    }
}

/// The numbers of a tensor, read and not mapped: a map's pages would count as this process's memory.
struct Numbers<'t> {
    tensor: &'t Tensor,
    reader: BufReader<File>,
    bytes: Vec<u8>,
    row: Vec<f32>,
}

impl<'t> Numbers<'t> {
    fn open(tensor: &'t Tensor) -> Result<Self> {
        let open = || {
            let mut file = File::open(tensor.file())?;
            file.seek(SeekFrom::Start(tensor.offset_bytes() as u64))?;
            Ok(BufReader::with_capacity(BLOCK_BYTES, file))
        };
        Ok(Self {
            tensor,
            reader: open().map_err(|error| unreadable(tensor, error))?,
            bytes: Vec::new(),
            row: Vec::new(),
        })
    }

    /// Reads bytes as they are.
    fn read(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.reader
            .read_exact(bytes)
            .map_err(|error| unreadable(self.tensor, error))
    }

    /// Reads the next so many numbers.
    fn row(&mut self, columns: usize) -> Result<&[f32]> {
        let element = self.tensor.element_type();
        self.row.resize(columns, 0.0);
        self.bytes.resize(columns * element.size_bytes(), 0);
        self.reader
            .read_exact(&mut self.bytes)
            .map_err(|error| unreadable(self.tensor, error))?;
        element.widen(&self.bytes, &mut self.row);
        if self.row.iter().all(|number| number.is_finite()) {
            return Ok(&self.row);
        }
        Err(Error::internal(format!(
            "{} has a number in `{}` that is not finite",
            self.tensor.file().display(),
            self.tensor.name()
        )))
    }
}

fn unreadable(tensor: &Tensor, error: io::Error) -> Error {
    Error::internal(format!("{} can't be read", tensor.file().display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(row: &[f32]) -> Vec<i8> {
        let mut codes = vec![0; row.len()];
        round(row, codes.iter_mut());
        codes.into_iter().map(u8::cast_signed).collect()
    }

    #[test]
    fn the_largest_number_of_a_row_is_its_last_step() {
        assert_eq!(codes(&[-2.54, 0.02, 1.27, 0.0, 0.031]), [-127, 1, 64, 0, 2]);
        assert!((scale(&[-2.54, 0.02]) - 0.02).abs() < 1e-9);
    }

    #[test]
    fn a_row_of_zeros_stays_one() {
        assert_eq!(codes(&[0.0, -0.0]), [0, 0]);
        assert_eq!(scale(&[0.0, -0.0]).to_bits(), 0);
    }
}
