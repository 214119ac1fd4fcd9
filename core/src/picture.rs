//! Pictures: what format a file has, whether it is whole, and its pixels, upright.

mod complete;
mod crop;
mod decode;
mod header;
#[cfg(feature = "heic")]
mod heic;
#[cfg(not(feature = "heic"))]
#[path = "picture/heic_left_out.rs"]
mod heic;
mod jpeg;
mod normalise;
mod resize;

use std::fmt;
use std::path::Path;

use image::RgbImage;
use serde::{Deserialize, Serialize};

pub use crop::{Centring, CropRecipe, CropSize, ResizeTo};
pub(crate) use decode::truncated;
pub use decode::{DecodeOptions, decode};
pub use header::{ImageHeader, probe};
pub use normalise::Normaliser;
pub use resize::{Region, ResizeFilter, resize};

use crate::error::{Error, Result};

/// The picture formats that Lucida reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageFormat {
    /// JPEG.
    Jpeg,
    /// PNG; of an animation the first frame.
    Png,
    /// WebP, lossy or lossless; of an animation the first frame.
    Webp,
    /// GIF; the first frame.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// TIFF; the first page.
    Tiff,
    /// HEIC, as iPhones write it; of a sequence the first picture. Read where the feature `heic` is built in.
    Heic,
}

impl ImageFormat {
    /// Every format.
    pub const ALL: [Self; 7] = [
        Self::Jpeg,
        Self::Png,
        Self::Webp,
        Self::Gif,
        Self::Bmp,
        Self::Tiff,
        Self::Heic,
    ];

    /// Tells the format from a file's first bytes (32 are enough).
    ///
    /// # Errors
    /// `InvalidInput` (`empty_file`) for no bytes; `Unsupported` with `unsupported_image_type` for a picture of
    /// another format, and with `not_an_image` for anything else.
    pub fn sniff(start: &[u8]) -> Result<Self> {
        if start.is_empty() {
            return Err(Error::invalid("the file is empty")
                .with_code("empty_file")
                .with_field("file"));
        }
        let unsupported = |name: &str| {
            Error::new(
                crate::ErrorKind::Unsupported,
                format!("{name} is not read yet: send {}", heic::READ_FORMATS),
            )
            .with_code("unsupported_image_type")
            .with_field("file")
        };
        match image::guess_format(start) {
            Ok(image::ImageFormat::Jpeg) => Ok(Self::Jpeg),
            Ok(image::ImageFormat::Png) => Ok(Self::Png),
            Ok(image::ImageFormat::WebP) => Ok(Self::Webp),
            Ok(image::ImageFormat::Gif) => Ok(Self::Gif),
            Ok(image::ImageFormat::Bmp) => Ok(Self::Bmp),
            Ok(image::ImageFormat::Tiff) => Ok(Self::Tiff),
            Ok(other) => Err(unsupported(&format!("{other:?}").to_uppercase())),
            Err(_) => match start.get(4..12) {
                // The brands behind the first tell what a file is that names only the container there.
                Some(b"ftypmif1" | b"ftypmsf1") if start.windows(4).any(|brand| brand == b"avif") => {
                    Err(unsupported("AVIF"))
                }
                Some(
                    b"ftypheic" | b"ftypheix" | b"ftypheim" | b"ftypheis" | b"ftyphevc" | b"ftyphevx"
                    | b"ftypmif1" | b"ftypmsf1",
                ) => Ok(Self::Heic),
                Some(b"ftypavif" | b"ftypavis") => Err(unsupported("AVIF")),
                Some(_) | None => Err(Error::new(
                    crate::ErrorKind::Unsupported,
                    format!("the file is not an image: send {}", heic::READ_FORMATS),
                )
                .with_code("not_an_image")
                .with_field("file")),
            },
        }
    }

    /// Returns the media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Bmp => "image/bmp",
            Self::Tiff => "image/tiff",
            Self::Heic => "image/heic",
        }
    }

    /// Returns the format of a media type that [`ImageFormat::content_type`] gives.
    #[must_use]
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.content_type() == content_type)
    }

    /// Returns the usual file name extensions, the best one first.
    #[must_use]
    pub const fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Jpeg => &["jpg", "jpeg", "jpe", "jfif", "mpo"],
            Self::Png => &["png", "apng"],
            Self::Webp => &["webp"],
            Self::Gif => &["gif"],
            Self::Bmp => &["bmp", "dib"],
            Self::Tiff => &["tif", "tiff"],
            Self::Heic => &["heic", "heif", "hif"],
        }
    }

    /// Checks that a file's name does not promise another picture format than its bytes hold. Names without an
    /// extension, or with one that is no picture's, promise nothing.
    ///
    /// # Errors
    /// `InvalidInput` (`type_mismatch`), naming the right extension.
    pub fn check_name(self, filename: &str) -> Result<()> {
        let Some(extension) = Path::new(filename)
            .extension()
            .and_then(|extension| extension.to_str())
        else {
            return Ok(());
        };
        let extension = extension.to_ascii_lowercase();
        let promised = Self::ALL
            .into_iter()
            .find(|format| format.extensions().contains(&extension.as_str()));
        match promised {
            Some(promised) if promised != self => Err(Error::invalid(format!(
                "the file is named .{extension} but holds {self}: rename it to .{}",
                self.extensions()[0]
            ))
            .with_code("type_mismatch")
            .with_field("file")),
            Some(_) | None => Ok(()),
        }
    }

    /// Returns the `image` crate's name of the format; `None` for one that it does not read.
    pub(crate) const fn library_format(self) -> Option<image::ImageFormat> {
        match self {
            Self::Jpeg => Some(image::ImageFormat::Jpeg),
            Self::Png => Some(image::ImageFormat::Png),
            Self::Webp => Some(image::ImageFormat::WebP),
            Self::Gif => Some(image::ImageFormat::Gif),
            Self::Bmp => Some(image::ImageFormat::Bmp),
            Self::Tiff => Some(image::ImageFormat::Tiff),
            Self::Heic => None,
        }
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Webp => "WebP",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Heic => "HEIC",
        })
    }
}

/// A decoded picture, upright: 8-bit RGB pixels, `(height, width, 3)` u8, 0 to 255, sRGB as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    pixels: RgbImage,
}

impl Picture {
    /// Wraps pixels that are upright already.
    ///
    /// # Errors
    /// `InvalidInput` for a picture without pixels.
    pub fn new(pixels: RgbImage) -> Result<Self> {
        if pixels.width() == 0 || pixels.height() == 0 {
            return Err(Error::invalid("the picture has no pixels").with_code("corrupt_image"));
        }
        Ok(Self { pixels })
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
        Self { pixels }
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

    /// Gives the pixels away.
    #[must_use]
    pub fn into_pixels(self) -> RgbImage {
        self.pixels
    }

    /// Returns the pixels.
    #[must_use]
    pub const fn pixels(&self) -> &RgbImage {
        &self.pixels
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({}x{})", self.width(), self.height())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_promises_another_format_is_refused() {
        let error = ImageFormat::Jpeg.check_name("photo.PNG").unwrap_err();
        assert_eq!(error.code(), "type_mismatch");
        assert!(error.message().contains(".jpg"), "{error}");
        for name in ["photo.JPEG", "photo", "photo.2024", "photo.edited"] {
            ImageFormat::Jpeg.check_name(name).unwrap();
        }
    }

    #[test]
    fn heic_is_told_by_its_brands() {
        for brands in [b"ftypheic\0\0\0\0mif1heic", b"ftypmif1\0\0\0\0mif1heic"] {
            let file = [b"\0\0\0\x18", &brands[..]].concat();
            assert_eq!(ImageFormat::sniff(&file).unwrap(), ImageFormat::Heic);
        }
    }

    #[test]
    fn what_is_no_image_is_told_apart() {
        let code = |bytes: &[u8]| ImageFormat::sniff(bytes).unwrap_err().code();
        assert_eq!(code(b""), "empty_file");
        assert_eq!(code(b"hello, world, this is text"), "not_an_image");
        for brands in [b"ftypavif\0\0\0\0avifmif1", b"ftypmif1\0\0\0\0mif1avif"] {
            let file = [b"\0\0\0\x18", &brands[..]].concat();
            assert_eq!(code(&file), "unsupported_image_type");
        }
        assert_eq!(code(b"%PDF-1.7"), "not_an_image");
    }
}
