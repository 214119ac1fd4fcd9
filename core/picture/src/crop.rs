//! The part of a picture that a model sees: resized and cropped as transformers' `CLIPImageProcessor` does it.

use image::{Rgb, RgbImage, imageops};

use super::resize::resize_rows_first;
use super::{Picture, Region, ResizeFilter};
use lucida_core::{DecodeSize, Error, Result};

/// The most pixels that a recipe may ask for: a long picture whose short side is enlarged, and that is not cropped,
/// would fill the memory.
const MAX_PIXELS: u64 = 1 << 24;

/// The size that a picture is resized to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResizeTo {
    /// The short side gets this many pixels, the long one as many as keep the shape, rounded down.
    ShortSide(u32),
    /// The long side gets this many pixels, the short one as many as keep the shape, rounded half to even, as OpenCLIP's
    /// `ResizeKeepRatio` does.
    LongSide {
        /// The long side in pixels.
        side: u32,
        /// The grey of what a crop has beyond the resized picture.
        fill: u8,
    },
    /// Both sides are given, whatever becomes of the shape.
    Exact {
        /// The width in pixels.
        width: u32,
        /// The height in pixels.
        height: u32,
    },
}

/// A centre crop in pixels; what it has beyond the resized picture is black, or of the colour that [`ResizeTo`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CropSize {
    /// The width in pixels.
    pub width: u32,
    /// The height in pixels.
    pub height: u32,
}

/// How a picture becomes what a model sees: first resized, then cropped.
///
/// Only what the crop shows is computed, which gives the same pixels as cropping afterwards, at a fraction of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CropRecipe {
    /// The size to resize to; `None` keeps the picture's own.
    pub resize: Option<ResizeTo>,
    /// How pixels are weighted.
    pub filter: ResizeFilter,
    /// The part to keep; `None` keeps all.
    pub crop: Option<CropSize>,
}

/// Which side an odd pixel is cut off from, or filled in at, where a crop can't be centred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Centring {
    /// Always the end, as transformers does; one is filled in at the start.
    Down,
    /// The offset is rounded to the nearest whole number, half to even, as torchvision's `CenterCrop` does; one is filled in at
    /// the end.
    HalfToEven,
}

impl CropRecipe {
    /// Resizes and crops a picture; computes, so not on an async thread.
    ///
    /// # Errors
    /// `InvalidInput` for a recipe with a side of 0, and for a picture so long that what it becomes has more than
    /// 2^24 pixels.
    pub fn apply(&self, picture: &Picture) -> Result<Picture> {
        self.apply_centred(picture, Centring::Down)
    }

    /// Resizes and crops a picture with the crop centred in the given way.
    ///
    /// # Errors
    /// Those of [`CropRecipe::apply`].
    pub fn apply_centred(&self, picture: &Picture, centring: Centring) -> Result<Picture> {
        let (width, height) = (u64::from(picture.width()), u64::from(picture.height()));
        let (resized_width, resized_height) = self.resized(width, height);
        let crop = self.crop.map(|CropSize { width, height }| (width, height));
        let (crop_width, crop_height) = crop.map_or((resized_width, resized_height), |(width, height)| {
            (width.into(), height.into())
        });
        let across = Span::centred(width, resized_width, crop_width, centring)?;
        let down = Span::centred(height, resized_height, crop_height, centring)?;
        if u64::from(across.length) * u64::from(down.length) > MAX_PIXELS {
            return Err(Error::invalid("the picture is too long for what the model takes"));
        }
        let region = Region {
            left: across.source_start,
            top: down.source_start,
            width: across.source_length,
            height: down.source_length,
        };
        let seen = resize_rows_first(picture, region, across.length, down.length, self.filter)?;
        match crop {
            Some((width, height)) if (across.length, down.length) != (width, height) => {
                let mut padded = RgbImage::from_pixel(width, height, Rgb([self.fill(); 3]));
                let (left, top) = (i64::from(across.margin), i64::from(down.margin));
                imageops::replace(&mut padded, seen.pixels(), left, top);
                Picture::new(padded)
            }
            Some(_) | None => Ok(seen),
        }
    }

    fn fill(&self) -> u8 {
        match self.resize {
            Some(ResizeTo::LongSide { fill, .. }) => fill,
            Some(ResizeTo::ShortSide(_) | ResizeTo::Exact { .. }) | None => 0,
        }
    }

    /// Returns the size of picture that is enough: twice what the recipe makes of it leaves the filter enough to
    /// average. Full size where the recipe doesn't resize.
    #[must_use]
    pub fn decode_size(&self) -> DecodeSize {
        self.resize.map_or(DecodeSize::FULL, |resize| {
            let side = match resize {
                ResizeTo::ShortSide(side) | ResizeTo::LongSide { side, .. } => side,
                ResizeTo::Exact { width, height } => width.max(height),
            };
            DecodeSize::short_side(side.saturating_mul(2))
        })
    }

    /// Returns the resized width and height, by the short side as `get_resize_output_image_size` of transformers 4.57 does.
    fn resized(&self, width: u64, height: u64) -> (u64, u64) {
        match self.resize {
            None => (width, height),
            Some(ResizeTo::Exact { width, height }) => (width.into(), height.into()),
            Some(ResizeTo::ShortSide(side)) => {
                let short = width.min(height);
                let scaled = |long: u64| u64::from(side) * long / short;
                (scaled(width), scaled(height))
            }
            Some(ResizeTo::LongSide { side, .. }) => {
                // Of a picture so long that nothing of its short side was left, OpenCLIP fails.
                let scaled = |length| rounded_quotient(u64::from(side) * length, width.max(height)).max(1);
                (scaled(width), scaled(height))
            }
        }
    }
}

/// Divides and rounds to the nearest whole number, half to even.
fn rounded_quotient(number: u64, by: u64) -> u64 {
    let (quotient, doubled) = (number / by, number % by * 2);
    let is_up = doubled > by || (doubled == by && quotient % 2 == 1);
    quotient + u64::from(is_up)
}

/// What a crop shows along one axis.
struct Span {
    /// Where it starts in the picture, in pixels.
    source_start: f64,
    /// How much of the picture it takes, in pixels.
    source_length: f64,
    /// How many pixels it becomes.
    length: u32,
    /// How many filled pixels go before them.
    margin: u32,
}

impl Span {
    /// Centres a crop on an axis of `source` pixels that is resized to `resized`, as `center_crop` of transformers 4.57 and
    /// `center_crop_or_pad` of OpenCLIP 3.3 do.
    fn centred(source: u64, resized: u64, crop: u64, centring: Centring) -> Result<Self> {
        if resized == 0 || crop == 0 {
            return Err(Error::invalid("a picture can't be made into one without pixels"));
        }
        let length = crop.min(resized);
        let cut = resized - length;
        let start = match centring {
            Centring::Down => cut / 2,
            Centring::HalfToEven => (cut + cut / 2 % 2) / 2,
        };
        let margin = match centring {
            Centring::Down => (crop - length).div_ceil(2),
            Centring::HalfToEven => (crop - length) / 2,
        };
        let to_u32 = |pixels: u64| {
            u32::try_from(pixels)
                .map_err(|_| Error::invalid("the picture is too long for what the model takes"))
        };
        // Multiplied first: the whole axis must not come out a rounding error longer than the picture.
        #[expect(clippy::cast_precision_loss, reason = "products of two sides, far below 2^52")]
        let in_source = |pixels: u64| (pixels * source) as f64 / resized as f64;
        Ok(Self {
            source_start: in_source(start),
            source_length: in_source(length),
            length: to_u32(length)?,
            margin: to_u32(margin)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_pixel_is_cut_off_where_each_library_cuts_it_off() {
        let start = |cut: u64, centring| {
            Span::centred(10 + cut, 10 + cut, 10, centring)
                .unwrap()
                .source_start
        };
        for (cut, down, half_to_even) in [
            (0, 0.0, 0.0),
            (1, 0.0, 0.0),
            (2, 1.0, 1.0),
            (3, 1.0, 2.0),
            (5, 2.0, 2.0),
            (7, 3.0, 4.0),
        ] {
            assert!((start(cut, Centring::Down) - down).abs() < 1e-9, "{cut}");
            assert!(
                (start(cut, Centring::HalfToEven) - half_to_even).abs() < 1e-9,
                "{cut}"
            );
        }
    }

    const CLIP: CropRecipe = CropRecipe {
        resize: Some(ResizeTo::ShortSide(224)),
        filter: ResizeFilter::Bicubic,
        crop: Some(CropSize {
            width: 224,
            height: 224,
        }),
    };

    #[test]
    fn a_picture_of_the_right_size_is_kept_as_it_is() {
        let picture = Picture::gradient(224, 224);
        assert_eq!(CLIP.apply(&picture).unwrap(), picture);
    }

    #[test]
    fn a_crop_without_resizing_takes_the_middle_pixels() {
        let recipe = CropRecipe { resize: None, ..CLIP };
        let picture = Picture::gradient(301, 230);
        let middle = imageops::crop_imm(picture.pixels(), 38, 3, 224, 224).to_image();
        assert_eq!(*recipe.apply(&picture).unwrap().pixels(), middle);
    }

    #[test]
    fn every_shape_becomes_the_same_size() {
        for (width, height) in [(1, 1), (1, 60_000), (60_000, 1), (223, 225), (1000, 999)] {
            let seen = CLIP.apply(&Picture::gradient(width, height)).unwrap();
            assert_eq!(seen.pixels().dimensions(), (224, 224), "{width} x {height}");
        }
    }

    #[test]
    fn a_long_picture_that_is_not_cropped_does_not_fill_the_memory() {
        let recipe = CropRecipe { crop: None, ..CLIP };
        let seen = recipe.apply(&Picture::gradient(448, 1000)).unwrap();
        assert_eq!(seen.pixels().dimensions(), (224, 500));
        let error = recipe.apply(&Picture::gradient(1, 60_000)).unwrap_err();
        assert_eq!(error.kind(), lucida_core::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_picture_by_its_long_side_is_whole_in_the_middle_of_a_filled_square() {
        let recipe = CropRecipe {
            resize: Some(ResizeTo::LongSide { side: 224, fill: 7 }),
            ..CLIP
        };
        // The sizes and margins that `ResizeKeepRatio` and `CenterCropOrPad` of OpenCLIP 3.3 give.
        for (width, height, resized, left, top) in [
            (300, 200, (224, 149), 0, 37),
            (200, 300, (149, 224), 37, 0),
            (448, 3, (224, 2), 0, 111),
            (448, 5, (224, 2), 0, 111),
            (100, 100, (224, 224), 0, 0),
            (60_000, 1, (224, 1), 0, 111),
        ] {
            let picture = Picture::gradient(width, height);
            let seen = recipe.apply_centred(&picture, Centring::HalfToEven).unwrap();
            let whole = CropRecipe {
                resize: Some(ResizeTo::Exact {
                    width: resized.0,
                    height: resized.1,
                }),
                crop: None,
                ..CLIP
            };
            let mut expected = RgbImage::from_pixel(224, 224, Rgb([7; 3]));
            imageops::replace(&mut expected, whole.apply(&picture).unwrap().pixels(), left, top);
            assert!(*seen.pixels() == expected, "{width} x {height}");
        }
    }

    #[test]
    fn a_recipe_without_pixels_is_refused() {
        let recipe = CropRecipe {
            resize: Some(ResizeTo::ShortSide(0)),
            ..CLIP
        };
        assert!(recipe.apply(&Picture::gradient(10, 10)).is_err());
    }
}
