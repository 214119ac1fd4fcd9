//! Resizing with the antialiased filters of Pillow, the one place where it is done.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{Filter, FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

use super::Picture;
use lucida_core::{Error, ErrorKind, Result};

/// A part of a picture: left, top, width and height in its pixels, with fractions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
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

/// How the pixels under an output pixel are weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResizeFilter {
    /// Pillow's `BICUBIC`, what CLIP and most models were trained with.
    Bicubic,
    /// Pillow's `LANCZOS`, the sharpest, for people.
    Lanczos,
    /// Pillow's `BILINEAR`.
    Bilinear,
}

impl ResizeFilter {
    /// Returns the filter of a number in Pillow's `Resampling`, which processor configs carry as `resample`.
    ///
    /// # Errors
    /// `Unsupported` for a number that no image model is known to use, or that Pillow doesn't have.
    pub fn from_pillow(resample: u32) -> Result<Self> {
        match resample {
            1 => Ok(Self::Lanczos),
            2 => Ok(Self::Bilinear),
            3 => Ok(Self::Bicubic),
            other => Err(Error::new(
                ErrorKind::Unsupported,
                format!("resample {other} is not supported: 1 (Lanczos), 2 (bilinear) and 3 (bicubic) are"),
            )),
        }
    }

    /// How far an output pixel's weights reach, in its own size.
    const fn support(self) -> f64 {
        match self {
            Self::Bicubic => BICUBIC_SUPPORT,
            Self::Lanczos => 3.0,
            Self::Bilinear => 1.0,
        }
    }
}

/// Resizes a region of a picture to `width` × `height`; computes, so not on an async thread.
///
/// Columns go first, which is the faster order.
///
/// # Errors
/// `InvalidInput` for a picture or a region without pixels.
pub fn resize(
    picture: &Picture,
    region: Region,
    width: u32,
    height: u32,
    filter: ResizeFilter,
) -> Result<Picture> {
    Picture::new(convolve(picture.pixels(), region, width, height, filter)?)
}

/// Resizes like [`resize`], but rows go first as in Pillow, whose values between the passes are cut off at 0 and 255:
/// along hard edges another order gives values that differ by more than rounding does. A quarter of a millisecond
/// slower for a picture of a megapixel.
pub(super) fn resize_rows_first(
    picture: &Picture,
    region: Region,
    width: u32,
    height: u32,
    filter: ResizeFilter,
) -> Result<Picture> {
    let reach = filter.support() * (region.height / f64::from(height)).max(1.0);
    let first = (region.top - reach).floor().max(0.0);
    let last = (region.top + region.height + reach)
        .ceil()
        .min(picture.height().into());
    let seen_rows = Region {
        top: first,
        height: last - first,
        ..region
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, and within the picture's height"
    )]
    let rows = convolve(picture.pixels(), seen_rows, width, (last - first) as u32, filter)?;
    let columns = Region {
        left: 0.0,
        top: region.top - first,
        width: width.into(),
        height: region.height,
    };
    Picture::new(convolve(&rows, columns, width, height, filter)?)
}

/// Leaves out the pass along a side whose pixels stay as they are.
///
/// The library's typed images are used since its untyped ones compile the code of every pixel type there is.
fn convolve(
    pixels: &RgbImage,
    region: Region,
    width: u32,
    height: u32,
    filter: ResizeFilter,
) -> Result<RgbImage> {
    let source =
        TypedImageRef::<U8x3>::from_buffer(pixels.width(), pixels.height(), pixels).map_err(unusable)?;
    let mut resized = RgbImage::new(width, height);
    let mut target = TypedImage::<U8x3>::from_buffer(width, height, &mut resized).map_err(unusable)?;
    let kernel = match filter {
        ResizeFilter::Bicubic => {
            FilterType::Custom(Filter::new("bicubic", bicubic, BICUBIC_SUPPORT).map_err(unusable)?)
        }
        ResizeFilter::Lanczos => FilterType::Lanczos3,
        ResizeFilter::Bilinear => FilterType::Bilinear,
    };
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(kernel))
        .crop(region.left, region.top, region.width, region.height)
        .use_alpha(false);
    Resizer::new()
        .resize_typed(&source, &mut target, Some(&options))
        .map_err(unusable)?;
    drop(target);
    Ok(resized)
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

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn square(picture: &Picture, region: Region, side: u32) -> Vec<u8> {
        resize(picture, region, side, side, ResizeFilter::Bicubic)
            .unwrap()
            .into_pixels()
            .into_raw()
    }

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
                assert_eq!(square(&picture, region, 260).len(), 260 * 260 * 3);
            }
        }
    }

    #[test]
    fn a_crop_whose_first_pixel_lies_on_one_of_the_picture_is_resized() {
        // Half a target pixel is 0.338 source pixels, which moves the first centre from 12.162 to 12.5.
        let picture = Picture::gradient(200, 200);
        let region = Region::centre_crop(&picture, 260, 296);
        let resized = square(&picture, region, 260);
        let [red, green, _] = [resized[0], resized[1], resized[2]];
        let expected = picture.pixels().get_pixel(12, 12);
        assert_eq!([red, green], [expected[0], expected[1]]);
    }

    #[test]
    fn every_size_of_crop_can_be_resized() {
        for side in 1..=200 {
            let picture = Picture::gradient(side, side);
            let region = Region::centre_crop(&picture, 52, 59);
            assert_eq!(square(&picture, region, 52).len(), 52 * 52 * 3, "{side}");
        }
    }

    #[test]
    fn pillows_numbers_name_its_filters() {
        assert_eq!(ResizeFilter::from_pillow(3).unwrap(), ResizeFilter::Bicubic);
        assert_eq!(ResizeFilter::from_pillow(2).unwrap(), ResizeFilter::Bilinear);
        assert_eq!(ResizeFilter::from_pillow(1).unwrap(), ResizeFilter::Lanczos);
        let error = ResizeFilter::from_pillow(0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("resample 0"), "{error}");
    }

    #[test]
    fn a_plain_picture_stays_its_colour() {
        let picture = Picture::new(RgbImage::from_pixel(77, 31, Rgb([10, 200, 90]))).unwrap();
        let resized = square(&picture, Region::whole(&picture), 8);
        assert!(resized.chunks_exact(3).all(|pixel| pixel == [10, 200, 90]));
    }

    #[test]
    fn fine_stripes_become_grey_and_not_a_pattern() {
        let picture = Picture::new(RgbImage::from_fn(512, 512, |x, _| {
            Rgb([if x % 2 == 0 { 0 } else { 255 }; 3])
        }))
        .unwrap();
        let resized = square(&picture, Region::whole(&picture), 32);
        assert!(
            resized.iter().all(|&value| value.abs_diff(128) <= 4),
            "{resized:?}"
        );
    }
}
