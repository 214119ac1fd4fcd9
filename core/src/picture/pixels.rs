//! A decoded picture: its pixels as models see them, and what people should see instead.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};

use super::canvas::Decoded;
use super::profile::Profile;
use super::{Region, ResizeFilter, resize};
use crate::error::{Error, Result};

/// A decoded picture, upright: 8-bit RGB pixels, `(height, width, 3)` u8, 0 to 255, sRGB as stored.
///
/// The pixels are what models see, as sentence-transformers makes them: opacity is dropped and the colour profile
/// ignored. [`Picture::for_people`] honours both.
#[derive(Clone)]
pub struct Picture {
    pixels: RgbImage,
    /// How opaque each pixel is; `None` where all are opaque.
    alpha: Option<GrayImage>,
    /// What people see of a grey picture whose pixels are all but black.
    brightened: Option<GrayImage>,
    profile: Option<Profile>,
    /// Kept as long as the picture: what its memory is accounted by.
    _held: Option<Arc<dyn Any + Send + Sync>>,
}

impl Picture {
    /// Wraps pixels that are upright already.
    ///
    /// # Errors
    /// `InvalidInput` for a picture without pixels.
    pub fn new(pixels: RgbImage) -> Result<Self> {
        Self::upright(Decoded::opaque(pixels), None, None)
    }

    /// Turns what a decoder made upright; `orientation` is 1 to 8 as EXIF counts.
    pub(super) fn upright(
        decoded: Decoded,
        orientation: Option<u8>,
        profile: Option<Profile>,
    ) -> Result<Self> {
        let Decoded {
            pixels,
            alpha,
            brightened,
        } = decoded;
        if pixels.width() == 0 || pixels.height() == 0 {
            return Err(Error::invalid("the picture has no pixels").with_code("corrupt_image"));
        }
        let orientation = orientation.and_then(Orientation::from_exif);
        let turn = |mut image: DynamicImage| {
            if let Some(orientation) = orientation {
                image.apply_orientation(orientation);
            }
            image
        };
        let turn_grey = |grey: GrayImage| turn(DynamicImage::ImageLuma8(grey)).into_luma8();
        Ok(Self {
            pixels: turn(DynamicImage::ImageRgb8(pixels)).into_rgb8(),
            alpha: alpha.map(turn_grey),
            brightened: brightened.map(turn_grey),
            profile,
            _held: None,
        })
    }

    /// Keeps `held` as long as the picture.
    #[must_use]
    pub fn holding(mut self, held: Arc<dyn Any + Send + Sync>) -> Self {
        self._held = Some(held);
        self
    }

    /// Draws a colour gradient, for checks that need some picture.
    ///
    /// # Panics
    /// Never for sides above 0.
    #[must_use]
    pub fn gradient(width: u32, height: u32) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        #[expect(clippy::cast_possible_truncation, reason = "taken modulo 256")]
        let byte = |value: u32| (value % 256) as u8;
        let pixels = RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([
                byte(x * 255 / width),
                byte(y * 255 / height),
                byte((x + y) * 127 / (width + height)),
            ])
        });
        Self {
            pixels,
            alpha: None,
            brightened: None,
            profile: None,
            _held: None,
        }
    }

    /// Returns the width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.pixels.width()
    }

    /// Returns the height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.pixels.height()
    }

    /// Returns the pixels that models see, and gives up the picture.
    #[must_use]
    pub fn into_pixels(self) -> RgbImage {
        self.pixels
    }

    /// Returns the pixels that models see.
    #[must_use]
    pub const fn pixels(&self) -> &RgbImage {
        &self.pixels
    }

    /// Returns the picture as people should see it, no larger than `width` × `height`: on white where it is
    /// transparent, in sRGB whatever its profile is, and grey that is all but black brightened. Computes.
    ///
    /// # Errors
    /// `InvalidInput` for a size without pixels.
    pub fn for_people(&self, width: u32, height: u32) -> Result<Cow<'_, Self>> {
        let shown = self.on_white();
        let is_resized = (width, height) != (self.width(), self.height());
        let mut shown = if is_resized {
            let region = Region::whole(&shown);
            Cow::Owned(resize(&shown, region, width, height, ResizeFilter::Lanczos)?)
        } else {
            shown
        };
        if let Some(profile) = &self.profile {
            profile.convert(&mut shown.to_mut().pixels);
        }
        Ok(shown)
    }

    /// Returns the picture on white, brightened.
    fn on_white(&self) -> Cow<'_, Self> {
        if self.alpha.is_none() && self.brightened.is_none() {
            return Cow::Borrowed(self);
        }
        let mut pixels = match &self.brightened {
            Some(grey) => {
                let values = grey.as_raw().iter().flat_map(|&value| [value; 3]).collect();
                RgbImage::from_raw(grey.width(), grey.height(), values).unwrap_or_default()
            }
            None => self.pixels.clone(),
        };
        if let Some(alpha) = &self.alpha {
            for (pixel, &alpha) in pixels.as_chunks_mut::<3>().0.iter_mut().zip(alpha.as_raw()) {
                let (opaque, clear) = (u32::from(alpha), 255 - u32::from(alpha));
                for value in pixel {
                    *value = ((u32::from(*value) * opaque + 255 * clear + 127) / 255) as u8;
                }
            }
        }
        Cow::Owned(Self {
            pixels,
            alpha: None,
            brightened: None,
            profile: None,
            _held: None,
        })
    }
}

impl PartialEq for Picture {
    fn eq(&self, other: &Self) -> bool {
        self.pixels == other.pixels
            && self.alpha == other.alpha
            && self.brightened == other.brightened
            && self.profile == other.profile
    }
}

impl Eq for Picture {}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({}x{})", self.width(), self.height())
    }
}
