//! A decoded picture: its pixels as models see them, and what people should see instead.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use image::{GrayImage, RgbImage};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A decoded picture, upright: 8-bit RGB pixels, `(height, width, 3)` u8, 0 to 255, sRGB as stored.
///
/// The pixels are what models see, as sentence-transformers makes them: opacity is dropped and the colour profile
/// ignored. `lucida_picture::for_people` honours both.
#[derive(Clone)]
pub struct Picture {
    pixels: RgbImage,
    /// How opaque each pixel is; `None` where all are opaque.
    alpha: Option<GrayImage>,
    /// What people see of a deep picture whose pixels are all but black.
    brightened: Option<RgbImage>,
    profile: Option<ColourProfile>,
    /// Kept as long as the picture: what its memory is accounted by.
    _held: Option<Arc<dyn Any + Send + Sync>>,
}

/// The least size, in pixels, that a reader of a picture needs: a larger photo may be decoded at a fraction of its size
/// as long as what comes out has at least these sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodeSize {
    short_side_pixels: u32,
    long_side_pixels: u32,
}

impl Default for DecodeSize {
    /// Full size.
    fn default() -> Self {
        Self::FULL
    }
}

impl DecodeSize {
    /// Any size will do.
    pub const ANY: Self = Self::new(0, 0);

    /// Every pixel of the photo.
    pub const FULL: Self = Self::new(u32::MAX, u32::MAX);

    const fn new(short_side_pixels: u32, long_side_pixels: u32) -> Self {
        Self {
            short_side_pixels,
            long_side_pixels,
        }
    }

    /// A short side of at least so many pixels.
    #[must_use]
    pub const fn short_side(pixels: u32) -> Self {
        Self::new(pixels, 0)
    }

    /// A long side of at least so many pixels.
    #[must_use]
    pub const fn long_side(pixels: u32) -> Self {
        Self::new(0, pixels)
    }

    /// Returns the size that is enough for both.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self::new(
            self.short_side_pixels.max(other.short_side_pixels),
            self.long_side_pixels.max(other.long_side_pixels),
        )
    }

    /// Returns whether a picture of these sides is large enough.
    #[must_use]
    pub fn is_met_by(self, width: u32, height: u32) -> bool {
        width.min(height) >= self.short_side_pixels && width.max(height) >= self.long_side_pixels
    }
}

/// What a decoder makes of a file, turned upright; all of one size.
#[derive(Debug, Clone)]
pub struct Layers {
    /// `(height, width, 3)` u8, straight (not multiplied by the opacity).
    pub pixels: RgbImage,
    /// `(height, width)` u8: how opaque each pixel is; `None` where all are opaque.
    pub alpha: Option<GrayImage>,
    /// `(height, width, 3)` u8: what people should see of a picture of more than 8 bits whose pixels are all but black.
    pub brightened: Option<RgbImage>,
    /// The colours that the numbers stand for.
    pub profile: Option<ColourProfile>,
}

impl Picture {
    /// Wraps pixels that are upright already.
    ///
    /// # Errors
    /// `InvalidInput` for a picture without pixels.
    pub fn new(pixels: RgbImage) -> Result<Self> {
        Self::from_layers(Layers {
            pixels,
            alpha: None,
            brightened: None,
            profile: None,
        })
    }

    /// Wraps what a decoder made, upright already.
    ///
    /// # Errors
    /// `InvalidInput` (`corrupt_image`) for a picture without pixels.
    pub fn from_layers(layers: Layers) -> Result<Self> {
        let Layers {
            pixels,
            alpha,
            brightened,
            profile,
        } = layers;
        if pixels.width() == 0 || pixels.height() == 0 {
            return Err(Error::invalid("the picture has no pixels").with_code("corrupt_image"));
        }
        Ok(Self {
            pixels,
            alpha,
            brightened,
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

    /// Returns how opaque each pixel is; `None` where all are opaque.
    #[must_use]
    pub const fn alpha(&self) -> Option<&GrayImage> {
        self.alpha.as_ref()
    }

    /// Returns what people should see of a picture of more than 8 bits whose pixels are all but black.
    #[must_use]
    pub const fn brightened(&self) -> Option<&RgbImage> {
        self.brightened.as_ref()
    }

    /// Returns the colours that the numbers stand for, where the file says so.
    #[must_use]
    pub const fn profile(&self) -> Option<&ColourProfile> {
        self.profile.as_ref()
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

/// The largest profile that is kept, in bytes; those of cameras and screens have a few thousand.
const MAX_BYTES: usize = 4 << 20;

/// What a file says of its colours.
#[derive(Clone, PartialEq, Eq)]
pub enum ColourProfile {
    /// An ICC profile, as stored.
    Icc(Arc<[u8]>),
    /// Code points of ITU-T H.273: primaries and transfer characteristics.
    Coded(u8, u8),
    /// One that can't be used.
    Unknown,
}

impl ColourProfile {
    /// Keeps an ICC profile.
    #[must_use]
    pub fn icc(bytes: &[u8]) -> Self {
        if bytes.len() > MAX_BYTES {
            return Self::Unknown;
        }
        Self::Icc(bytes.into())
    }

    /// Keeps code points.
    #[must_use]
    pub fn coded(primaries: u16, transfer: u16) -> Self {
        match (u8::try_from(primaries), u8::try_from(transfer)) {
            (Ok(primaries), Ok(transfer)) => Self::Coded(primaries, transfer),
            _ => Self::Unknown,
        }
    }
}

impl fmt::Debug for ColourProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Icc(bytes) => write!(f, "Icc({} bytes)", bytes.len()),
            Self::Coded(primaries, transfer) => write!(f, "Coded({primaries}, {transfer})"),
            Self::Unknown => f.write_str("Unknown"),
        }
    }
}
