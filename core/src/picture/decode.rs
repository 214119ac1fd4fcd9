//! From a file's bytes to upright pixels.

use std::io::Cursor;

use image::error::{ImageError, LimitErrorKind};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use super::{ImageFormat, Picture, complete, heic, jpeg};
use crate::error::{Error, ErrorKind, Result};

/// How to decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOptions {
    /// The most pixels a picture may have.
    pub max_pixels: u64,
    /// Whether a truncated file is decoded as far as it goes; where nothing can be told of the rest, it is grey.
    pub accept_truncated: bool,
    /// The short side that is enough: a JPEG is decoded at the smallest of 1/1, 1/2, 1/4 and 1/8 whose short side has
    /// at least so many pixels. `None` asks for full size.
    pub short_side_pixels: Option<u32>,
}

/// Decodes a picture and applies its EXIF orientation; computes for long, so never on an async thread.
///
/// Pixels become 8-bit RGB: grey is spread, alpha is dropped, 16 bits are scaled, CMYK and palettes converted.
///
/// # Errors
/// Those of [`ImageFormat::sniff`]; `InvalidInput` with `too_many_pixels`, `truncated_image` or `corrupt_image`;
/// `Unsupported` (`unsupported_image_type`) for a variant of a format that is not read.
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Picture> {
    let format = ImageFormat::sniff(&bytes[..bytes.len().min(32)])?;
    if !options.accept_truncated && !complete::is_complete(format, Cursor::new(bytes), bytes.len() as u64)? {
        return Err(truncated());
    }
    let Some(library_format) = format.library_format() else {
        return heic::decode(bytes, options.max_pixels);
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), library_format);
    let mut limits = Limits::no_limits();
    // Eight bytes hold the widest pixel (16-bit RGBA); the rest is for the decoder's own tables.
    limits.max_alloc = Some(options.max_pixels.saturating_mul(8).saturating_add(64 << 20));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(decode_error)?;
    let (width, height) = decoder.dimensions();
    super::ImageHeader {
        format,
        width,
        height,
        complete: true,
    }
    .check_pixels(options.max_pixels)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let scaled = options
        .short_side_pixels
        .filter(|_| format == ImageFormat::Jpeg)
        .and_then(|short_side_pixels| jpeg::decode_scaled(bytes, short_side_pixels));
    let mut image = match scaled {
        Some(scaled) => DynamicImage::ImageRgb8(scaled),
        None => DynamicImage::from_decoder(decoder).map_err(decode_error)?,
    };
    image.apply_orientation(orientation);
    Picture::new(image.into_rgb8())
}

pub(crate) fn truncated() -> Error {
    Error::invalid("the file ends before its picture does: upload it again from a whole copy")
        .with_code("truncated_image")
        .with_field("file")
}

pub(super) fn decode_error(error: ImageError) -> Error {
    let corrupt = |error: ImageError| {
        Error::invalid("the picture can't be decoded")
            .with_code("corrupt_image")
            .with_field("file")
            .with_source(error)
    };
    match error {
        ImageError::Unsupported(_) => Error::new(ErrorKind::Unsupported, "this kind of picture is not read")
            .with_code("unsupported_image_type")
            .with_field("file")
            .with_source(error),
        ImageError::Limits(ref limit) if matches!(limit.kind(), LimitErrorKind::InsufficientMemory) => {
            Error::invalid("the picture needs more memory than ingest.max_pixels allows")
                .with_code("too_many_pixels")
                .with_field("file")
                .with_source(error)
        }
        ImageError::IoError(ref io) if io.kind() == std::io::ErrorKind::UnexpectedEof => truncated(),
        ImageError::Decoding(_)
        | ImageError::Encoding(_)
        | ImageError::Parameter(_)
        | ImageError::Limits(_)
        | ImageError::IoError(_) => corrupt(error),
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    const OPTIONS: DecodeOptions = DecodeOptions {
        max_pixels: 1_000_000,
        accept_truncated: false,
        short_side_pixels: None,
    };

    /// The formats that can be written here.
    fn writable() -> impl Iterator<Item = ImageFormat> {
        ImageFormat::ALL
            .into_iter()
            .filter(|format| format.library_format().is_some())
    }

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let pixels = Picture::gradient(64, 48).pixels().clone();
        let mut bytes = Vec::new();
        pixels
            .write_to(&mut Cursor::new(&mut bytes), format.library_format().unwrap())
            .unwrap();
        bytes
    }

    #[test]
    fn every_format_decodes_to_its_size() {
        for format in writable() {
            let picture = decode(&encoded(format), &OPTIONS).unwrap();
            assert_eq!((picture.width(), picture.height()), (64, 48), "{format}");
        }
    }

    #[test]
    fn a_lossless_format_gives_back_the_pixels() {
        for format in [
            ImageFormat::Png,
            ImageFormat::Bmp,
            ImageFormat::Tiff,
            ImageFormat::Webp,
        ] {
            assert_eq!(
                decode(&encoded(format), &OPTIONS).unwrap(),
                Picture::gradient(64, 48),
                "{format}"
            );
        }
    }

    #[test]
    fn a_truncated_file_of_any_format_is_refused() {
        for format in writable() {
            let bytes = encoded(format);
            for keep in [bytes.len() * 2 / 3, bytes.len() - 3] {
                let error = decode(&bytes[..keep], &OPTIONS).unwrap_err();
                assert!(
                    ["truncated_image", "corrupt_image"].contains(&error.code()),
                    "{format} cut at {keep} gave {error:?}"
                );
            }
        }
    }

    #[test]
    fn a_truncated_jpeg_is_decoded_in_part_where_that_is_asked_for() {
        let bytes = encoded(ImageFormat::Jpeg);
        let options = DecodeOptions {
            accept_truncated: true,
            ..OPTIONS
        };
        let picture = decode(&bytes[..bytes.len() * 2 / 3], &options).unwrap();
        assert_eq!((picture.width(), picture.height()), (64, 48));
    }

    #[test]
    fn too_many_pixels_are_refused_before_decoding() {
        let options = DecodeOptions {
            max_pixels: 64 * 48 - 1,
            ..OPTIONS
        };
        for format in writable() {
            assert_eq!(
                decode(&encoded(format), &options).unwrap_err().code(),
                "too_many_pixels",
                "{format}"
            );
        }
    }

    #[test]
    fn all_eight_exif_orientations_come_out_upright() {
        // Upright: left half red, right half blue, with a green top row.
        let upright = RgbImage::from_fn(32, 16, |x, y| match (x < 16, y < 8) {
            (_, true) => image::Rgb([0, 255, 0]),
            (true, false) => image::Rgb([255, 0, 0]),
            (false, false) => image::Rgb([0, 0, 255]),
        });
        for orientation in 1..=8_u8 {
            let mut stored = DynamicImage::ImageRgb8(upright.clone());
            let undo = match orientation {
                6 => Orientation::Rotate270,
                8 => Orientation::Rotate90,
                other => Orientation::from_exif(other).unwrap(),
            };
            stored.apply_orientation(undo);
            let mut bytes = Vec::new();
            stored
                .write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png)
                .unwrap();
            let picture = decode(&with_orientation(&bytes, orientation), &OPTIONS).unwrap();
            assert_eq!(*picture.pixels(), upright, "orientation {orientation}");
        }
    }

    /// Puts an `eXIf` chunk with only the orientation behind a PNG's `IHDR`.
    fn with_orientation(png: &[u8], orientation: u8) -> Vec<u8> {
        let mut chunk = b"eXIfMM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        chunk.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0]);
        let crc = chunk.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))
            })
        });
        let length = u32::try_from(chunk.len() - 4).unwrap();
        let mut out = png[..33].to_vec();
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&chunk);
        out.extend_from_slice(&(!crc).to_be_bytes());
        out.extend_from_slice(&png[33..]);
        out
    }
}
