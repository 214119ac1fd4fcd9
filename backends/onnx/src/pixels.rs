//! The square pictures that the starter model sees.

use lucida_core::{Picture, Result};
use lucida_picture::{ResizeFilter, resize as resize_pixels};

pub use lucida_picture::Region;

/// Resizes a region to `size` × `size` with Pillow's antialiased bicubic filter: `(size, size, 3)` u8, 0 to 255.
///
/// # Errors
/// `InvalidInput` for a picture that can't be resized.
pub fn resize(picture: &Picture, region: Region, size: u32) -> Result<Vec<u8>> {
    let resized = resize_pixels(picture, region, size, size, ResizeFilter::Bicubic)?;
    Ok(resized.into_pixels().into_raw())
}
