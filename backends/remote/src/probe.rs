//! What the server is asked to find out whether its model is still the same one.
//!
//! A probe's vector is compared in two ways. While this process runs, with the vector that the same probe gave at start: by the
//! angle between them. Across processes there is only the fingerprint, which must come out the same each time, so it can't hold
//! numbers that vary in their last digits, and rounding them would only move the border at which they vary. It holds a SimHash
//! (Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002): of each of 32 fixed planes, on which side
//! of it the vector is. A bit changes with a probability of angle/π. Vectors of another model differ in half of the bits (missed
//! once in 2^32 times); those of the same model on another GPU or in another batch, some 1e-5 apart, in any bit once in ten
//! thousand times, and in half instead of full precision, some 1e-3 apart, once in a hundred.

use image::{Rgb, RgbImage};
use lucida_core::{Error, Result};

use crate::config::PictureFormat;
use crate::picture::PictureFile;

/// The text. It is part of what fingerprints are made of, so it never changes.
pub(crate) const PROBE_TEXT: &str = "a photo of two dogs on a beach at sunset";

/// The sides of the picture in pixels.
const PROBE_SIDE_PIXELS: u32 = 256;

/// How many planes a vector is hashed by.
const PLANES: u32 = 32;

/// The least cosine of two vectors of the same probe by the same model: half precision and other batches stay above 0.9999,
/// and an int8 copy of a model falls below.
const SAME_COSINE: f64 = 0.999;

/// How far the length of a probe's vector may be from 1: half precision has three digits.
const LENGTH_TOLERANCE: f64 = 1e-2;

/// Draws the picture and writes it as PNG, which every server reads as the same pixels. They are part of what fingerprints are
/// made of, so they never change: two gradients, a disc and a dark corner.
///
/// # Errors
/// `Internal` when it can't be written.
pub(crate) fn probe_picture() -> Result<PictureFile> {
    let pixels = RgbImage::from_fn(PROBE_SIDE_PIXELS, PROBE_SIDE_PIXELS, |x, y| {
        let byte = |value: u32| u8::try_from(value.min(255)).unwrap_or(u8::MAX);
        let (from_x, from_y) = (x.abs_diff(96), y.abs_diff(80));
        if from_x * from_x + from_y * from_y < 40 * 40 {
            return Rgb([250, 210, 60]);
        }
        if x > 180 && y > 150 {
            return Rgb([30, 60, 35]);
        }
        Rgb([byte(y), byte(90 + x / 4), byte(255 - y / 2)])
    });
    PictureFile::write(&pixels, PictureFormat::Png)
}

/// Checks that a probe's vector is one: finite, and with unit length unless any length will do.
///
/// # Errors
/// `ConfigInvalid`, naming the setting.
pub(crate) fn check(vector: &[f32], dimensions: Option<usize>, any_length: bool) -> Result<()> {
    if let Some(dimensions) = dimensions
        && vector.len() != dimensions
    {
        let message = format!(
            "is {dimensions}, and the server's vectors have {} numbers",
            vector.len()
        );
        return Err(Error::config("dimensions", message));
    }
    let length = length(vector);
    if !length.is_finite() || length < 1e-6 {
        return Err(Error::unavailable(
            "the server gives a vector with NaN, infinity or only zeros: check its model",
        ));
    }
    if (length - 1.0).abs() > LENGTH_TOLERANCE && !any_length {
        let message = format!(
            "is not set, and the server's vectors have the length {length:.3} instead of 1: set it if only their direction matters"
        );
        return Err(Error::config("normalize", message));
    }
    Ok(())
}

/// Returns whether two vectors of the same probe are by the same model, with their cosine.
pub(crate) fn compare(one: &[f32], other: &[f32]) -> (bool, f64) {
    if one.len() != other.len() {
        return (false, 0.0);
    }
    let product: f64 = one
        .iter()
        .zip(other)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum();
    let cosine = product / (length(one) * length(other));
    (cosine >= SAME_COSINE, cosine)
}

fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

/// Hashes a vector by the sides of planes on which it is.
pub(crate) fn similarity_hash(vector: &[f32]) -> u32 {
    let mut hash = 0;
    for plane in 0..PLANES {
        let mut hasher = blake3::Hasher::new_derive_key("lucida 2026 planes of remote probes v1");
        hasher.update(&plane.to_le_bytes());
        let mut signs = vec![0; vector.len().div_ceil(8)];
        hasher.finalize_xof().fill(&mut signs);
        let side: f64 = vector
            .iter()
            .enumerate()
            .map(|(place, &x)| {
                let minus = signs[place / 8] >> (place % 8) & 1 == 1;
                f64::from(if minus { -x } else { x })
            })
            .sum();
        hash |= u32::from(side > 0.0) << plane;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vector that looks drawn at random, the same each time.
    fn vector(seed: u32) -> Vec<f32> {
        let mut bytes = vec![0; 1_024];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        let numbers = bytes.chunks_exact(2);
        numbers
            .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) + 0.3)
            .collect()
    }

    /// Moves a vector by a share of its length, in a direction drawn at random.
    fn moved(vector: &[f32], share: f32, seed: u32) -> Vec<f32> {
        let noise = self::vector(seed);
        vector.iter().zip(noise).map(|(x, n)| x + n * share).collect()
    }

    #[test]
    fn noise_in_the_last_digits_changes_no_fingerprint_and_another_model_does() {
        let mut changed = 0;
        for seed in 0..200 {
            let one = vector(seed);
            let again = moved(&one, 1e-6, seed + 1_000);
            assert!(compare(&one, &again).0);
            changed += u32::from(similarity_hash(&one) != similarity_hash(&again));
            let other = vector(seed + 2_000);
            assert!(!compare(&one, &other).0);
            assert_ne!(similarity_hash(&one), similarity_hash(&other));
        }
        assert_eq!(changed, 0);
    }

    #[test]
    fn a_quantized_copy_of_a_model_is_not_the_same_model_while_it_runs() {
        let one = vector(1);
        let (same, cosine) = compare(&one, &moved(&one, 0.1, 2));
        assert!(!same, "{cosine}");
        let (same, cosine) = compare(&one, &moved(&one, 0.001, 2));
        assert!(same, "{cosine}");
        assert!(!compare(&one, &one[..100]).0);
    }

    #[test]
    fn the_probes_never_change() {
        let file = probe_picture().unwrap();
        let pixels = image::load_from_memory(&file.bytes).unwrap().into_rgb8();
        let digest = blake3::hash(pixels.as_raw()).to_hex();
        assert_eq!(
            digest.as_str(),
            "9c4a121b736998ab574020e98eb2e2d8048fb43a1966a12e365ce364de3ac0a6"
        );
        assert_eq!(similarity_hash(&vector(7)), 0x02c8_b468);
    }

    #[test]
    fn a_vector_that_has_no_unit_length_is_refused_with_the_setting() {
        check(&[0.6, 0.8], Some(2), false).unwrap();
        let error = check(&[3.0, 4.0], None, false).unwrap_err();
        assert_eq!(error.field(), Some("normalize"));
        check(&[3.0, 4.0], None, true).unwrap();
        let error = check(&[0.6, 0.8], Some(3), false).unwrap_err();
        assert_eq!(error.field(), Some("dimensions"));
        for broken in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            assert!(check(&broken, None, true).is_err());
        }
    }
}
