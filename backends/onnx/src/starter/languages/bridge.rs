//! The matrix from the space of multilingual-e5-small into MiniLM's.

/// An affine map, which `fit.py` of the crate `lucida-setup` fits.
#[derive(Debug)]
pub(crate) struct Bridge {
    /// `(dimensions,)` f32, the mean of what it was fitted on, on e5's side.
    pub(super) start: Vec<f32>,
    /// `(dimensions, dimensions)` f32, row by row: from e5's side to MiniLM's.
    pub(super) matrix: Vec<f32>,
    /// `(dimensions,)` f32, the mean on MiniLM's side.
    pub(super) target: Vec<f32>,
}

impl Bridge {
    /// Brings a vector of e5, of any length but zero, to MiniLM's side. The result isn't of unit length.
    pub(super) fn cross(&self, vector: &[f32]) -> Vec<f32> {
        let norm = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        let mut crossed = self.target.clone();
        let rows = self.matrix.chunks_exact(crossed.len());
        for ((number, start), row) in vector.iter().zip(&self.start).zip(rows) {
            let factor = number / norm - start;
            for (sum, weight) in crossed.iter_mut().zip(row) {
                *sum += factor * weight;
            }
        }
        crossed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_centred_turned_and_moved() {
        let bridge = Bridge {
            start: vec![0.5, 0.0],
            matrix: vec![0.0, 2.0, 1.0, 0.0],
            target: vec![0.25, 0.25],
        };
        // Of unit length it is (0.6, 0.8), centred (0.1, 0.8).
        let crossed = bridge.cross(&[3.0, 4.0]);
        for (found, expected) in crossed.iter().zip([0.8 + 0.25, 0.2 + 0.25]) {
            assert!((found - expected).abs() < 1e-6, "{crossed:?}");
        }
    }
}
