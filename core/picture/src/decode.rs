//! From a file's bytes to upright pixels.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageReader, Limits, RgbImage};

use super::canvas::{Decoded, DeepGrey, is_hidden};
use super::complete::{self, Completeness};
use super::error::{decode_error, guarded, truncated};
use super::format::library_format;
use super::header::{self, ImageHeader};
use super::metadata;
use super::pixels::upright;
use super::{ImageFormat, Picture, gif, heic, jpeg, png_rows, recognise, tiff};
use lucida_core::{DecodeSize, Error, Result};

/// How to decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOptions {
    /// The most pixels a picture may have.
    pub max_pixels: u64,
    /// Whether a truncated file is decoded as far as it goes; where nothing is known of the rest, it is grey or black.
    pub accept_truncated: bool,
    /// The size that is enough: a JPEG, and a large PNG or TIFF, is decoded at the smallest of 1/1, 1/2, 1/4 and 1/8
    /// that meets it.
    pub size: DecodeSize,
}

/// From so many pixels on a PNG or TIFF is reduced while it is read. Below, models see every pixel.
const LARGE_PIXELS: u64 = 64_000_000;

/// Decodes a picture and turns it upright; computes for long, so never on an async thread.
///
/// Pixels become 8-bit RGB: grey is spread, alpha is kept beside, 16 bits are scaled, CMYK, Lab and palettes converted.
///
/// # Errors
/// Those of [`sniff`](crate::sniff); `InvalidInput` with `too_many_pixels`, `truncated_image` or `corrupt_image`;
/// `Unsupported` (`unsupported_image_type`) for a variant of a format that is not read.
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Picture> {
    let (bytes, format) = recognise(bytes)?;
    guarded(format, || decode_as(format, bytes, options))
}

/// Estimates how much memory [`decode`] takes at its peak for a picture, in bytes, the file itself not included.
#[must_use]
pub fn memory_bytes(header: &ImageHeader, size: DecodeSize) -> u64 {
    let pixels = header.pixels();
    let reduced = u64::from(super::canvas::divisor_for(header.width, header.height, size));
    // What decoders hold for each pixel: planes, coefficients, the picture itself, and once more when it is turned.
    let (whole, scaled) = match header.format {
        ImageFormat::Jpeg => (if header.is_plain { 6 } else { 12 }, header.is_plain),
        ImageFormat::Png => (10, header.is_plain && pixels > LARGE_PIXELS),
        ImageFormat::Tiff => (10, header.is_plain && pixels > LARGE_PIXELS),
        ImageFormat::Webp | ImageFormat::Gif | ImageFormat::Bmp => (12, false),
        ImageFormat::Heic => (20, false),
    };
    let per_picture = if scaled && reduced > 1 {
        pixels * 14 / (reduced * reduced)
    } else {
        pixels * whole
    };
    per_picture.saturating_add(1 << 20)
}

fn decode_as(format: ImageFormat, bytes: &[u8], options: &DecodeOptions) -> Result<Picture> {
    // The size comes first: finding out whether all pixels are there may mean to decode them.
    header::checked_size(format, bytes)
        .map(|size| size.header(format, None))
        .or_else(|error| {
            if options.accept_truncated {
                Ok(ImageHeader::unknown(format))
            } else {
                Err(error)
            }
        })?
        .check_pixels(options.max_pixels)?;
    let repaired;
    let bytes = match complete::inspect(format, bytes) {
        Completeness::Whole => bytes,
        Completeness::Repaired(file) => {
            repaired = file;
            &repaired[..]
        }
        Completeness::Cut(file) if options.accept_truncated => {
            repaired = file;
            &repaired[..]
        }
        Completeness::Cut(_) => return Err(truncated()),
    };
    let blocks = metadata::blocks(format, bytes);
    let decoded = match format {
        ImageFormat::Heic => {
            let decoded = heic::decode(bytes, options.max_pixels)?;
            return upright(decoded, None, blocks.profile);
        }
        ImageFormat::Tiff => {
            let (width, height) = tiff::size(bytes)?;
            let is_large = u64::from(width) * u64::from(height) > LARGE_PIXELS;
            let size = if is_large { options.size } else { DecodeSize::FULL };
            tiff::decode(bytes, options.accept_truncated, size)?
        }
        ImageFormat::Jpeg => {
            let bytes = jpeg::prepared(bytes)?;
            match jpeg::decode_scaled(&bytes, options.size) {
                Some(scaled) => Decoded::opaque(scaled),
                None => by_library(format, &bytes, options)?,
            }
        }
        ImageFormat::Png => {
            png_rows::refuse_apples(bytes)?;
            let (width, height) = header::size(format, bytes)?.stored;
            let is_large = u64::from(width) * u64::from(height) > LARGE_PIXELS;
            let reduced = is_large.then(|| png_rows::decode_reduced(bytes, options.size));
            match reduced.flatten() {
                Some(reduced) => reduced,
                None => by_library(format, bytes, options)?,
            }
        }
        ImageFormat::Gif => by_library(format, &gif::prepared(bytes), options)?,
        ImageFormat::Webp | ImageFormat::Bmp => by_library(format, bytes, options)?,
    };
    upright(decoded, blocks.orientation(), blocks.profile)
}

fn by_library(format: ImageFormat, bytes: &[u8], options: &DecodeOptions) -> Result<Decoded> {
    let Some(library_format) = library_format(format) else {
        return Err(Error::internal(format!("{format} has a decoder of its own")));
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), library_format);
    let mut limits = Limits::no_limits();
    // Eight bytes hold the widest pixel (16-bit RGBA); the rest is for the decoder's own tables.
    limits.max_alloc = Some(options.max_pixels.saturating_mul(8).saturating_add(64 << 20));
    reader.limits(limits);
    let image = reader.decode().map_err(decode_error)?;
    let mut decoded = separated(image);
    if format == ImageFormat::Bmp {
        // Writers that don't mean it leave the fourth byte 0 everywhere.
        decoded.alpha = decoded
            .alpha
            .filter(|alpha| alpha.iter().any(|&value| value != 0));
    }
    Ok(decoded)
}

/// Separates a picture's colours from its opacity, and brings both to 8 bits.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library's kinds of pixels are open-ended, and it converts each"
)]
fn separated(image: DynamicImage) -> Decoded {
    let (width, height) = (image.width(), image.height());
    let with_alpha = |pixels, alpha: Vec<u8>| {
        let is_seen = alpha.iter().any(|&value| value != 255);
        Decoded {
            pixels,
            alpha: GrayImage::from_raw(width, height, alpha).filter(|_| is_seen),
            brightened: None,
        }
    };
    let byte = |value: u16| ((u32::from(value) + 128) / 257) as u8;
    let deep = |values: Vec<f32>, alpha| {
        let grey = DeepGrey {
            width,
            height,
            values,
            range: Some(f32::from(u16::MAX)),
            alpha,
        };
        grey.finish()
    };
    match &image {
        DynamicImage::ImageLumaA8(grey) => {
            let alpha = grey
                .as_raw()
                .as_chunks()
                .0
                .iter()
                .map(|[_, alpha]| *alpha)
                .collect();
            with_alpha(image.into_rgb8(), alpha)
        }
        DynamicImage::ImageRgba8(colours) => {
            let alpha = colours
                .as_raw()
                .as_chunks()
                .0
                .iter()
                .map(|[_, _, _, alpha]| *alpha)
                .collect();
            with_alpha(image.into_rgb8(), alpha)
        }
        DynamicImage::ImageRgba16(colours) => {
            let alpha = colours
                .as_raw()
                .as_chunks()
                .0
                .iter()
                .map(|[_, _, _, alpha]| byte(*alpha))
                .collect();
            let deep = colours.as_raw().as_chunks().0.iter();
            let brightened = brightened(width, height, || deep.clone().map(|[r, g, b, _]| [*r, *g, *b]));
            Decoded {
                brightened,
                ..with_alpha(image.into_rgb8(), alpha)
            }
        }
        DynamicImage::ImageRgb16(colours) => {
            let deep = colours.as_raw().as_chunks::<3>().0.iter();
            let brightened = brightened(width, height, || deep.clone().copied());
            Decoded {
                brightened,
                ..Decoded::opaque(image.into_rgb8())
            }
        }
        DynamicImage::ImageLuma16(grey) => deep(
            grey.as_raw().iter().map(|value| f32::from(*value)).collect(),
            None,
        ),
        DynamicImage::ImageLumaA16(grey) => {
            let pairs = grey.as_raw().as_chunks::<2>().0;
            deep(
                pairs.iter().map(|[value, _]| f32::from(*value)).collect(),
                Some(pairs.iter().map(|[_, alpha]| byte(*alpha)).collect()),
            )
        }
        _ => Decoded::opaque(image.into_rgb8()),
    }
}

/// Scales colours of 16 bits so that the brightest value is white, where they would be all but black.
fn brightened<P>(width: u32, height: u32, pixels: impl Fn() -> P) -> Option<RgbImage>
where
    P: Iterator<Item = [u16; 3]>,
{
    let brightest = f32::from(pixels().flatten().max()?);
    if !is_hidden(brightest / f32::from(u16::MAX)) {
        return None;
    }
    let values = pixels()
        .flatten()
        .map(|value| (f32::from(value) * 255.0 / brightest + 0.5) as u8);
    RgbImage::from_raw(width, height, values.collect())
}

#[cfg(test)]
mod tests {
    use image::metadata::Orientation;
    use lucida_core::ErrorKind;

    use super::*;

    const OPTIONS: DecodeOptions = DecodeOptions {
        max_pixels: 1_000_000,
        accept_truncated: false,
        size: DecodeSize::FULL,
    };

    /// The formats that can be written here.
    fn writable() -> impl Iterator<Item = ImageFormat> {
        ImageFormat::ALL
            .into_iter()
            .filter(|format| library_format(*format).is_some())
    }

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let pixels = Picture::gradient(64, 48).pixels().clone();
        let mut bytes = Vec::new();
        pixels
            .write_to(&mut Cursor::new(&mut bytes), library_format(format).unwrap())
            .unwrap();
        bytes
    }

    #[test]
    fn a_panic_of_a_decoder_is_that_pictures_fault_in_a_sentence_of_ours() {
        let error = guarded(ImageFormat::Tiff, || -> Result<()> {
            panic!("index out of bounds")
        })
        .unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::InvalidInput, "corrupt_image")
        );
        assert!(error.message().contains("the decoder failed on it"), "{error}");
        assert!(!error.to_string().contains("index out of bounds"), "{error}");
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
            for keep in [bytes.len() * 2 / 3, bytes.len() * 9 / 10] {
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
