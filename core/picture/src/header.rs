//! What a file says of its picture before anything is decoded.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::{ImageDecoder, ImageReader};

use super::complete::{self, Completeness};
use super::error::{corrupt, decode_error, guarded, truncated};
use super::format::{SNIFFED_BYTES, library_format, sniff};
use super::metadata::{self, png_chunks};
use super::{ImageFormat, gif, heic, jpeg, png_rows, recognise, tiff};
use lucida_core::{Error, ErrorKind, Result, ResultExt};

/// What the header of a picture's file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageHeader {
    /// The format, by the bytes.
    pub format: ImageFormat,
    /// The width in pixels as seen, after EXIF orientation.
    pub width: u32,
    /// The height in pixels as seen, after EXIF orientation.
    pub height: u32,
    /// Whether the file holds every pixel; it need not reach the end that its format marks.
    pub complete: bool,
    /// Whether the picture can be decoded at a smaller size without holding all of it: sequential JPEG, PNG that isn't
    /// interlaced, TIFF.
    pub is_plain: bool,
}

/// A picture's size as stored, and whether it can be decoded in part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) stored: (u32, u32),
    is_plain: bool,
}

impl Size {
    /// Makes a header of a whole file.
    pub(super) const fn header(self, format: ImageFormat, orientation: Option<u8>) -> ImageHeader {
        // 5 to 8 lay the picture on its side.
        let (width, height) = match orientation {
            Some(5..=8) => (self.stored.1, self.stored.0),
            Some(_) | None => self.stored,
        };
        ImageHeader {
            format,
            width,
            height,
            complete: true,
            is_plain: self.is_plain,
        }
    }
}

impl ImageHeader {
    /// The header of a file that is too short to have one.
    pub(super) const fn unknown(format: ImageFormat) -> Self {
        Self {
            format,
            width: 0,
            height: 0,
            complete: false,
            is_plain: false,
        }
    }

    /// Returns the number of pixels.
    #[must_use]
    pub const fn pixels(&self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// Checks that a picture is not too large to be decoded.
    ///
    /// # Errors
    /// `InvalidInput` (`too_many_pixels`), naming the bound.
    pub(crate) fn check_pixels(&self, max_pixels: u64) -> Result<()> {
        if self.pixels() <= max_pixels {
            return Ok(());
        }
        let (width, height) = (self.width, self.height);
        Err(Error::invalid(format!(
            "the picture has {width} x {height} pixels; at most {max_pixels} are taken (ingest.max_pixels)"
        ))
        .with_code("too_many_pixels")
        .with_field("file"))
    }

    /// Reads the header of a file's bytes without asking whether all pixels are there; decodes nothing.
    ///
    /// # Errors
    /// Those of [`sniff`](crate::sniff) alone: a header that can't be read is one without pixels.
    pub fn peek(bytes: &[u8]) -> Result<Self> {
        let (bytes, format) = recognise(bytes)?;
        let size = guarded(format, || size(format, bytes));
        Ok(size.map_or(Self::unknown(format), |size| size.header(format, None)))
    }

    /// Reads the header of a file's bytes; decodes pixels only where the file's structure ends too early.
    ///
    /// # Errors
    /// Those of [`probe`].
    pub fn read(bytes: &[u8], max_pixels: u64) -> Result<Self> {
        let (bytes, format) = recognise(bytes)?;
        guarded(format, || {
            let size = checked_size(format, bytes)?;
            let blocks = metadata::blocks(format, bytes);
            // HEIC's size is as seen already.
            let orientation = blocks.orientation().filter(|_| format != ImageFormat::Heic);
            let mut header = size.header(format, orientation);
            header.check_pixels(max_pixels)?;
            header.complete = !matches!(complete::inspect(format, bytes), Completeness::Cut(_));
            Ok(header)
        })
    }
}

/// Reads a file's header; blocks on the disk. Decodes pixels only where the file's structure ends too early.
///
/// # Errors
/// Those of [`sniff`](crate::sniff); `InvalidInput` (`truncated_image`, `corrupt_image`) for a broken header, and
/// (`too_many_pixels`) for more than `max_pixels`.
pub fn probe(path: &Path, max_pixels: u64) -> Result<ImageHeader> {
    let mut file = File::open(path).context("opening the upload")?;
    let mut bytes = Vec::with_capacity(SNIFFED_BYTES);
    Read::by_ref(&mut file)
        .take(SNIFFED_BYTES as u64)
        .read_to_end(&mut bytes)
        .context("reading the upload")?;
    // What is not a picture is not read to its end.
    sniff(&bytes)?;
    file.read_to_end(&mut bytes).context("reading the upload")?;
    ImageHeader::read(&bytes, max_pixels)
}

/// Reads a picture's size; of a file that ends too early for that the error says so.
///
/// # Errors
/// Those of [`probe`].
pub(super) fn checked_size(format: ImageFormat, bytes: &[u8]) -> Result<Size> {
    size(format, bytes).map_err(|error| {
        let is_damaged = error.kind() == ErrorKind::InvalidInput;
        if is_damaged && matches!(complete::inspect(format, bytes), Completeness::Cut(_)) {
            truncated()
        } else {
            error
        }
    })
}

/// Reads a picture's size.
///
/// # Errors
/// Those of [`probe`], whether the file is whole or not.
pub(super) fn size(format: ImageFormat, bytes: &[u8]) -> Result<Size> {
    let (stored, is_plain) = match format {
        ImageFormat::Heic => (heic::size(bytes)?, false),
        ImageFormat::Tiff => (tiff::size(bytes)?, true),
        ImageFormat::Jpeg => {
            let prepared = jpeg::prepared(bytes)?;
            let is_sequential =
                jpeg::header_segments(&prepared).any(|segment| matches!(segment.marker, 0xC0 | 0xC1));
            (by_library(format, &prepared)?, is_sequential)
        }
        ImageFormat::Png => {
            png_rows::refuse_apples(bytes)?;
            let header = png_chunks(bytes).next();
            let is_interlaced = header.is_some_and(|chunk| chunk.body.get(12) == Some(&1));
            (by_library(format, bytes)?, !is_interlaced)
        }
        ImageFormat::Gif => (by_library(format, &gif::prepared(bytes))?, false),
        ImageFormat::Webp | ImageFormat::Bmp => (by_library(format, bytes)?, false),
    };
    if stored.0 == 0 || stored.1 == 0 {
        return Err(corrupt("the picture has no pixels"));
    }
    Ok(Size { stored, is_plain })
}

fn by_library(format: ImageFormat, bytes: &[u8]) -> Result<(u32, u32)> {
    let Some(library_format) = library_format(format) else {
        return Err(truncated());
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), library_format);
    reader.no_limits();
    let decoder = reader.into_decoder().map_err(decode_error)?;
    Ok(decoder.dimensions())
}
