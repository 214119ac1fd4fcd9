//! From a picture to the pixels that a tower sees.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{Filter, FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use lucida_core::{Error, Picture, Result};

/// A part of a picture: left, top, width and height in its pixels, with fractions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Region {
    /// The whole picture.
    #[must_use]
    pub fn whole(picture: &Picture) -> Self {
        Self {
            left: 0.0,
            top: 0.0,
            width: f64::from(picture.width()),
            height: f64::from(picture.height()),
        }
    }

    /// The square in the middle that fills a `size` crop after the short side was resized to `short_side`.
    #[must_use]
    pub fn centre_crop(picture: &Picture, size: u32, short_side: u32) -> Self {
        let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
        let side = width.min(height) * f64::from(size) / f64::from(short_side);
        Self {
            left: (width - side) / 2.0,
            top: (height - side) / 2.0,
            width: side,
            height: side,
        }
    }
}

/// Resizes a region to `size` × `size` with Pillow's antialiased bicubic filter: `(size, size, 3)` u8, 0 to 255.
///
/// # Errors
/// `InvalidInput` for a picture that can't be resized.
pub fn resize(picture: &Picture, region: Region, size: u32) -> Result<Vec<u8>> {
    let source = ImageRef::new(
        picture.width(),
        picture.height(),
        picture.pixels().as_raw(),
        PixelType::U8x3,
    )
    .map_err(unusable)?;
    let mut target = Image::new(size, size, PixelType::U8x3);
    let filter = Filter::new("bicubic", bicubic, BICUBIC_SUPPORT).map_err(unusable)?;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Custom(filter)))
        .crop(region.left, region.top, region.width, region.height)
        .use_alpha(false);
    Resizer::new()
        .resize(&source, &mut target, Some(&options))
        .map_err(unusable)?;
    Ok(target.into_vec())
}

const BICUBIC_SUPPORT: f64 = 2.0;

/// Keys' cubic with a = -0.5, Pillow's `BICUBIC` and fast_image_resize's `CatmullRom`, but never 0 within its support.
///
/// fast_image_resize 6.1 drops weights of exactly 0 from the ends of a row's window and takes the first output's
/// window for the leftmost. A region whose first output lies exactly on a pixel has its weight of 0 at distance 1, so
/// the next window starts further left, and the subtraction in `do_convolution` overflows. A weight too small for the
/// fixed-point sum keeps the windows in order.
fn bicubic(distance: f64) -> f64 {
    const A: f64 = -0.5;
    const NEXT_TO_NOTHING: f64 = 1e-30;
    let x = distance.abs();
    let weight = if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < BICUBIC_SUPPORT {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        return 0.0;
    };
    if weight == 0.0 { NEXT_TO_NOTHING } else { weight }
}

fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::invalid("the picture can't be resized").with_source(error)
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
    use image::{Rgb, RgbImage};

    use super::*;

    #[test]
    fn the_centre_crop_leaves_out_the_margins() {
        let picture = Picture::gradient(400, 300);
        let region = Region::centre_crop(&picture, 260, 296);
        let side = 300.0 * 260.0 / 296.0;
        let expected = Region {
            left: (400.0 - side) / 2.0,
            top: (300.0 - side) / 2.0,
            width: side,
            height: side,
        };
        assert_eq!(region, expected);
    }

    #[test]
    fn every_shape_of_picture_can_be_resized() {
        for (width, height) in [(1, 1), (1, 5000), (5000, 1), (2, 3), (260, 260)] {
            let picture = Picture::gradient(width, height);
            for region in [Region::whole(&picture), Region::centre_crop(&picture, 260, 296)] {
                assert_eq!(resize(&picture, region, 260).unwrap().len(), 260 * 260 * 3);
            }
        }
    }

    #[test]
    fn a_crop_whose_first_pixel_lies_on_one_of_the_picture_is_resized() {
        // Half a target pixel is 0.338 source pixels, which moves the first centre from 12.162 to 12.5.
        let picture = Picture::gradient(200, 200);
        let region = Region::centre_crop(&picture, 260, 296);
        let resized = resize(&picture, region, 260).unwrap();
        let [red, green, _] = [resized[0], resized[1], resized[2]];
        let expected = picture.pixels().get_pixel(12, 12);
        assert_eq!([red, green], [expected[0], expected[1]]);
    }

    #[test]
    fn every_size_of_crop_can_be_resized() {
        for side in 1..=200 {
            let picture = Picture::gradient(side, side);
            let region = Region::centre_crop(&picture, 52, 59);
            assert_eq!(resize(&picture, region, 52).unwrap().len(), 52 * 52 * 3, "{side}");
        }
    }

    #[test]
    fn a_plain_picture_stays_its_colour() {
        let picture = Picture::new(RgbImage::from_pixel(77, 31, Rgb([10, 200, 90]))).unwrap();
        let resized = resize(&picture, Region::whole(&picture), 8).unwrap();
        assert!(resized.chunks_exact(3).all(|pixel| pixel == [10, 200, 90]));
    }

    #[test]
    fn fine_stripes_become_grey_and_not_a_pattern() {
        let picture = Picture::new(RgbImage::from_fn(512, 512, |x, _| {
            Rgb([if x % 2 == 0 { 0 } else { 255 }; 3])
        }))
        .unwrap();
        let resized = resize(&picture, Region::whole(&picture), 32).unwrap();
        assert!(
            resized.iter().all(|&value| value.abs_diff(128) <= 4),
            "{resized:?}"
        );
    }

    #[test]
    fn normalising_puts_the_colours_into_planes() {
        let mut planes = [0.0; 6];
        normalise(&[127, 255, 0, 63, 127, 191], 127.0, 128.0, &mut planes);
        assert_eq!(planes, [0.0, -0.5, 1.0, 0.0, -0.992_187_5, 0.5]);
    }
}
