//! The formats of pictures that are read.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

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

    /// Returns the name that metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
            Self::Heic => "heic",
        }
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

    /// Returns the format that a file's name promises; `None` where the name has no extension, or one that is no
    /// picture's.
    #[must_use]
    pub fn promised_by(filename: &str) -> Option<Self> {
        let extension = Path::new(filename).extension()?.to_str()?.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|format| format.extensions().contains(&extension.as_str()))
    }

    /// Checks that a file's name does not promise another picture format than its bytes hold.
    ///
    /// # Errors
    /// `InvalidInput` (`type_mismatch`), naming the right extension.
    pub fn check_name(self, filename: &str) -> Result<()> {
        match Self::promised_by(filename) {
            Some(promised) if promised != self => Err(Error::invalid(format!(
                "the file is named like {promised} but holds {self}: rename it to .{}, or set ingest.strict_names = false",
                self.extensions()[0]
            ))
            .with_code("type_mismatch")
            .with_field("file")),
            Some(_) | None => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_promises_another_format_is_refused_where_names_are_checked() {
        let error = ImageFormat::Jpeg.check_name("photo.PNG").unwrap_err();
        assert_eq!(error.code(), "type_mismatch");
        assert!(error.message().contains(".jpg"), "{error}");
        for name in ["photo.JPEG", "photo", "photo.2024", "photo.edited"] {
            ImageFormat::Jpeg.check_name(name).unwrap();
        }
    }
}
