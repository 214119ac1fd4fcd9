//! ConSE: a picture's vector as the weighted mean of the vectors of its likeliest labels.

use lucida_core::{Error, Result};
use safetensors::{Dtype, SafeTensors};

use super::manifest::{ImageRecipe, Manifest, broken};

const LABELS_FILE: &str = "labels.safetensors";
const LABELS_TENSOR: &str = "labels";

/// The labels' vectors, and how they are weighted.
#[derive(Debug)]
pub(super) struct Consensus {
    /// `(classes, dimensions)` f32; not of unit length: a label whose prompts disagree counts less.
    labels: Vec<f32>,
    classes: usize,
    dimensions: usize,
    power: f64,
    top: usize,
}

impl Consensus {
    /// Reads the labels' vectors.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`, naming the file, when it is missing or has another shape or type.
    pub(super) fn read(manifest: &Manifest) -> Result<Self> {
        let bytes = manifest.read_file(LABELS_FILE)?;
        let path = manifest.path(LABELS_FILE);
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| broken(&path, "is not a safetensors file").with_source(error))?;
        let tensor = tensors
            .tensor(LABELS_TENSOR)
            .map_err(|error| broken(&path, "has no tensor `labels`").with_source(error))?;
        let shape = [manifest.image().classes, manifest.dimensions()];
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            let problem = format!(
                "has labels of {:?} {:?}, not F32 {shape:?}",
                tensor.dtype(),
                tensor.shape()
            );
            return Err(broken(&path, &problem));
        }
        let labels = tensor
            .data()
            .chunks_exact(4)
            .map(|number| f32::from_le_bytes([number[0], number[1], number[2], number[3]]))
            .collect();
        Ok(Self::new(labels, manifest.image(), manifest.dimensions()))
    }

    fn new(labels: Vec<f32>, recipe: &ImageRecipe, dimensions: usize) -> Self {
        Self {
            labels,
            classes: recipe.classes,
            dimensions,
            power: recipe.probability_power,
            top: recipe.top_labels,
        }
    }

    /// Blends the labels that the classifier's `(views, classes)` f32 logits speak for: `(dimensions,)` f32.
    ///
    /// The views' probabilities are averaged, the largest ones are raised to the recipe's power and scaled to the
    /// sum 1, and weigh the labels' vectors.
    ///
    /// # Errors
    /// `Internal` (`bad_vector`) when a logit is not finite.
    pub(super) fn blend(&self, logits: &[f32]) -> Result<Vec<f32>> {
        let mut probabilities = vec![0.0_f64; self.classes];
        for view in logits.chunks_exact(self.classes) {
            let highest = view.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let exponentials = || view.iter().map(|&logit| f64::from(logit - highest).exp());
            let sum: f64 = exponentials().sum();
            if !sum.is_finite() || !highest.is_finite() {
                let message = "the classifier gave a number that is not finite";
                return Err(Error::internal(message).with_code("bad_vector"));
            }
            for (probability, exponential) in probabilities.iter_mut().zip(exponentials()) {
                *probability += exponential / sum;
            }
        }
        // Averaging would only scale all of them.
        let mut order: Vec<usize> = (0..self.classes).collect();
        // A stable sort keeps the order of equal ones, so the choice never depends on anything else.
        order.sort_by(|&left, &right| probabilities[right].total_cmp(&probabilities[left]));
        order.truncate(self.top);
        let weights: Vec<f64> = order
            .iter()
            .map(|&label| probabilities[label].powf(self.power))
            .collect();
        let sum: f64 = weights.iter().sum();
        let mut vector = vec![0.0_f64; self.dimensions];
        for (&label, weight) in order.iter().zip(&weights) {
            let row = &self.labels[label * self.dimensions..][..self.dimensions];
            for (component, &number) in vector.iter_mut().zip(row) {
                *component += weight / sum * f64::from(number);
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "means of f32 numbers fit f32; the rounding is meant"
        )]
        let vector = vector.into_iter().map(|component| component as f32).collect();
        Ok(vector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums in f64 are rounded once, to f32.
    const TOLERANCE: f32 = 1e-6;

    fn three_labels(power: f64, top: usize) -> Consensus {
        Consensus {
            labels: vec![1.0, 0.0, 0.0, 1.0, -1.0, 0.0],
            classes: 3,
            dimensions: 2,
            power,
            top,
        }
    }

    fn logits(probabilities: &[f32]) -> Vec<f32> {
        probabilities
            .iter()
            .map(|probability| probability.ln() + 3.0)
            .collect()
    }

    fn assert_close(found: &[f32], expected: &[f32]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < TOLERANCE, "{found} is not {expected}");
        }
    }

    #[test]
    fn labels_are_weighted_by_the_root_of_their_probability() {
        let vector = three_labels(0.5, 2).blend(&logits(&[0.64, 0.32, 0.04])).unwrap();
        let (first, second) = (0.8, 0.32_f32.sqrt());
        assert_close(&vector, &[first / (first + second), second / (first + second)]);
    }

    #[test]
    fn labels_below_the_top_count_for_nothing() {
        let vector = three_labels(1.0, 1).blend(&logits(&[0.2, 0.5, 0.3])).unwrap();
        assert_close(&vector, &[0.0, 1.0]);
    }

    #[test]
    fn views_are_averaged_as_probabilities() {
        let views = [logits(&[0.8, 0.1, 0.1]), logits(&[0.2, 0.7, 0.1])].concat();
        let vector = three_labels(1.0, 3).blend(&views).unwrap();
        assert_close(&vector, &[0.5 - 0.1, 0.4]);
    }

    #[test]
    fn a_logit_that_is_no_number_fails() {
        for bad in [f32::NAN, f32::INFINITY] {
            let error = three_labels(1.0, 3).blend(&[0.0, bad, 0.0]).unwrap_err();
            assert_eq!(error.code(), "bad_vector");
        }
    }
}
