//! From a picture to the numbers that a tower sees.

use lucida_core::picture::{ResizeFilter, resize as resize_pixels};
use lucida_core::{Picture, Result};

pub use lucida_core::picture::Region;

/// Resizes a region to `size` × `size` with Pillow's antialiased bicubic filter: `(size, size, 3)` u8, 0 to 255.
///
/// # Errors
/// `InvalidInput` for a picture that can't be resized.
pub fn resize(picture: &Picture, region: Region, size: u32) -> Result<Vec<u8>> {
    let resized = resize_pixels(picture, region, size, size, ResizeFilter::Bicubic)?;
    Ok(resized.into_pixels().into_raw())
}

/// Writes `(size, size, 3)` u8 as `(3, size, size)` f32, `(value - mean) / scale`, into `target`.
pub fn normalise(pixels: &[u8], mean: f32, scale: f32, target: &mut [f32]) {
    let count = pixels.len() / 3;
    let (red, rest) = target.split_at_mut(count);
    let (green, blue) = rest.split_at_mut(count);
    for (index, pixel) in pixels.chunks_exact(3).enumerate() {
        red[index] = (f32::from(pixel[0]) - mean) / scale;
        green[index] = (f32::from(pixel[1]) - mean) / scale;
        blue[index] = (f32::from(pixel[2]) - mean) / scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalising_puts_the_colours_into_planes() {
        let mut planes = [0.0; 6];
        normalise(&[127, 255, 0, 63, 127, 191], 127.0, 128.0, &mut planes);
        assert_eq!(planes, [0.0, -0.5, 1.0, 0.0, -0.992_187_5, 0.5]);
    }
}
