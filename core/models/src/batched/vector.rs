//! What a model's numbers must be before they leave it as an embedding.

use lucida_core::{Embedding, Error, Result};

/// Scales a vector to unit length, and refuses one that means nothing.
pub(super) fn unit(mut vector: Vec<f32>, dimensions: usize) -> Result<Embedding> {
    if vector.len() != dimensions {
        let message = format!(
            "the model gave a vector of {} numbers, not {dimensions}",
            vector.len()
        );
        return Err(Error::internal(message).with_code("bad_vector"));
    }
    let norm = vector
        .iter()
        .map(|&x| f64::from(x) * f64::from(x))
        .sum::<f64>()
        .sqrt();
    if !norm.is_finite() || norm < 1e-12 {
        return Err(
            Error::internal("the model gave a vector with NaN, infinity or only zeros")
                .with_code("bad_vector"),
        );
    }
    #[expect(clippy::cast_possible_truncation, reason = "unit components fit f32")]
    for component in &mut vector {
        *component = (f64::from(*component) / norm) as f32;
    }
    Ok(vector)
}
