//! What stands in for the HEIC decoder in a build without it.

use super::canvas::Decoded;
use super::error::not_read;
use lucida_core::{Error, Result};

/// The formats that this build reads, for people.
pub(super) const READ_FORMATS: &str = "JPEG, PNG, WebP, GIF, BMP or TIFF";

/// # Errors
/// Always `Unsupported` (`unsupported_image_type`).
pub(super) fn size(_bytes: &[u8]) -> Result<(u32, u32)> {
    Err(left_out())
}

/// # Errors
/// Always `Unsupported` (`unsupported_image_type`).
pub(super) fn decode(_bytes: &[u8], _max_pixels: u64) -> Result<Decoded> {
    Err(left_out())
}

fn left_out() -> Error {
    not_read(&format!(
        "HEIC needs the feature `heic`, which this build was made without: send {READ_FORMATS}"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::{DecodeOptions, decode as decode_any};

    #[test]
    fn a_heic_file_is_refused_by_the_feature_that_is_missing() {
        let options = DecodeOptions {
            max_pixels: 1_000_000,
            accept_truncated: true,
            size: lucida_core::DecodeSize::FULL,
        };
        let error = decode_any(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", &options).unwrap_err();
        assert_eq!(error.code(), "unsupported_image_type");
        assert!(error.message().contains("feature `heic`"), "{error}");
    }
}
