//! Smaller pictures for people: their size, and how they are written.

use bytes::Bytes;
use jpeg_encoder::{ColorType, Encoder};
use lucida_core::{Error, Picture, Result};

/// Returns the width and height of a picture that is fitted into a square of `size` pixels, without being enlarged.
#[must_use]
pub fn fitted(width: u32, height: u32, size: u32) -> (u32, u32) {
    let long = width.max(height);
    if long <= size {
        return (width, height);
    }
    let scaled = |side: u32| {
        let (side, size, long) = (u64::from(side), u64::from(size), u64::from(long));
        let rounded = (side * size + long / 2) / long;
        u32::try_from(rounded).unwrap_or(u32::MAX).max(1)
    };
    (scaled(width), scaled(height))
}

/// Writes a picture as JPEG of a quality of 1 to 100; below 90 with colours at half the resolution, which nobody sees at
/// that quality. Computes, so not on an async thread.
///
/// # Errors
/// `Internal` where a side has more than 65,535 pixels.
pub fn encode_jpeg(picture: &Picture, quality: u8) -> Result<Bytes> {
    let side = |pixels: u32| {
        u16::try_from(pixels).map_err(|_| Error::internal(format!("a JPEG can't be {pixels} pixels long")))
    };
    let mut file = Vec::new();
    Encoder::new(&mut file, quality)
        .encode(
            picture.pixels().as_raw(),
            side(picture.width())?,
            side(picture.height())?,
            ColorType::Rgb,
        )
        .map_err(|error| Error::internal("a picture can't be written as JPEG").with_source(error))?;
    Ok(file.into())
}
