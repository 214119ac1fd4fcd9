//! A picture on its way to the server: scaled to what a model needs, and written as a file.

use bytes::Bytes;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use lucida_core::{Error, Picture, Result};
use lucida_picture::{Region, ResizeFilter, resize};

use crate::config::PictureFormat;

/// The quality of JPEGs: beyond it the files grow and the vectors hardly change.
const JPEG_QUALITY: u8 = 95;

/// The longest side of a JPEG in pixels.
const MAX_JPEG_SIDE_PIXELS: u32 = 65_535;

/// A picture's file.
#[derive(Debug, Clone)]
pub(crate) struct PictureFile {
    pub(crate) bytes: Bytes,
    pub(crate) format: PictureFormat,
}

impl PictureFile {
    /// Scales a picture down to a short side, and writes it; computes, so not on an async thread.
    ///
    /// # Errors
    /// `Internal` for one that can't be written.
    pub(crate) fn of(picture: &Picture, short_side_pixels: u32, format: PictureFormat) -> Result<Self> {
        let (width, height) = sent_size(picture.width(), picture.height(), short_side_pixels);
        if (width, height) == (picture.width(), picture.height()) {
            return Self::write(picture.pixels(), format);
        }
        let whole = Region::whole(picture);
        let scaled = resize(picture, whole, width, height, ResizeFilter::Bicubic)?;
        Self::write(scaled.pixels(), format)
    }

    /// Writes pixels as they are.
    ///
    /// # Errors
    /// `Internal` for those that can't be written.
    pub(crate) fn write(pixels: &RgbImage, format: PictureFormat) -> Result<Self> {
        let (width, height) = pixels.dimensions();
        // A panorama of more than 65,535 pixels is no JPEG.
        let format = match format {
            PictureFormat::Jpeg if width.max(height) <= MAX_JPEG_SIDE_PIXELS => PictureFormat::Jpeg,
            PictureFormat::Jpeg | PictureFormat::Png => PictureFormat::Png,
        };
        let mut file = Vec::new();
        let written = match format {
            PictureFormat::Jpeg => jpeg(pixels, &mut file),
            PictureFormat::Png => {
                PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Adaptive)
                    .write_image(pixels.as_raw(), width, height, ExtendedColorType::Rgb8)
                    .map_err(|error| Error::internal("a picture can't be written as PNG").with_source(error))
            }
        };
        written.map(|()| Self {
            bytes: file.into(),
            format,
        })
    }

    /// Returns the file's MIME type.
    pub(crate) const fn mime(&self) -> &'static str {
        match self.format {
            PictureFormat::Jpeg => "image/jpeg",
            PictureFormat::Png => "image/png",
        }
    }
}

fn jpeg(pixels: &RgbImage, file: &mut Vec<u8>) -> Result<()> {
    let side = |pixels: u32| {
        u16::try_from(pixels).map_err(|_| Error::internal(format!("a JPEG can't be {pixels} pixels long")))
    };
    let mut encoder = Encoder::new(file, JPEG_QUALITY);
    encoder.set_sampling_factor(SamplingFactor::R_4_4_4);
    encoder
        .encode(
            pixels.as_raw(),
            side(pixels.width())?,
            side(pixels.height())?,
            ColorType::Rgb,
        )
        .map_err(|error| Error::internal("a picture can't be written as JPEG").with_source(error))
}

/// Returns the size at which a picture is sent.
fn sent_size(width: u32, height: u32, short_side_pixels: u32) -> (u32, u32) {
    let short = width.min(height);
    if short <= short_side_pixels {
        return (width, height);
    }
    let scaled = |side: u32| {
        let (side, wanted, short) = (u64::from(side), u64::from(short_side_pixels), u64::from(short));
        let rounded = (side * wanted + short / 2) / short;
        u32::try_from(rounded).unwrap_or(u32::MAX).max(1)
    };
    (scaled(width), scaled(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_picture_is_sent_with_the_configured_short_side_and_a_small_one_as_it_is() {
        for (width, height, sent) in [
            (4_000, 3_000, (683, 512)),
            (3_000, 4_000, (512, 683)),
            (512, 9_000, (512, 9_000)),
            (300, 200, (300, 200)),
            (1, 1, (1, 1)),
        ] {
            assert_eq!(sent_size(width, height, 512), sent);
        }
        let file = PictureFile::of(&Picture::gradient(1_200, 900), 512, PictureFormat::Jpeg).unwrap();
        let read = image::load_from_memory(&file.bytes).unwrap();
        assert_eq!((read.width(), read.height()), (683, 512));
        assert_eq!(file.mime(), "image/jpeg");
    }

    #[test]
    fn a_png_is_exact_and_a_jpeg_is_close() {
        let picture = Picture::gradient(90, 70);
        let file = |format| {
            let file = PictureFile::of(&picture, 512, format).unwrap();
            image::load_from_memory(&file.bytes).unwrap().into_rgb8()
        };
        assert_eq!(file(PictureFormat::Png), *picture.pixels());
        let jpeg = file(PictureFormat::Jpeg);
        let pairs = jpeg.as_raw().iter().zip(picture.pixels().as_raw());
        // What quality 95 leaves of a smooth gradient.
        assert!(pairs.map(|(a, b)| a.abs_diff(*b)).max() <= Some(8));
    }
}
