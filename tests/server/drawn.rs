//! Photos that differ, drawn from a number.

use std::io::Cursor;

use image::RgbImage;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Draws a photo of its own: coarse random blocks.
pub(crate) fn photo(seed: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seed);
    let blocks: Vec<[u8; 3]> = (0..12).map(|_| random.random()).collect();
    let image = RgbImage::from_fn(160, 120, |x, y| {
        image::Rgb(blocks[(x / 40 + 4 * (y / 40)) as usize])
    });
    let mut bytes = Vec::new();
    image
        .write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Jpeg)
        .unwrap();
    bytes
}
