//! What a file says of its picture before anything is decoded.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use image::metadata::Orientation;
use image::{ImageDecoder, ImageReader};

use super::{ImageFormat, complete, heic};
use crate::error::{Error, Result, ResultExt};

/// What the header of a picture's file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageHeader {
    /// The format, told from the bytes.
    pub format: ImageFormat,
    /// The width in pixels as seen, after EXIF orientation.
    pub width: u32,
    /// The height in pixels as seen, after EXIF orientation.
    pub height: u32,
    /// Whether the file reaches to the end that its format marks; where a format marks none, true.
    pub complete: bool,
}

impl ImageHeader {
    /// Returns the number of pixels.
    #[must_use]
    pub const fn pixels(&self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// Checks that a picture is not too large to be decoded.
    ///
    /// # Errors
    /// `InvalidInput` (`too_many_pixels`), naming the bound.
    pub fn check_pixels(&self, max_pixels: u64) -> Result<()> {
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
}

/// Reads a file's header; blocks on the disk, decodes no pixel.
///
/// # Errors
/// Those of [`ImageFormat::sniff`]; `InvalidInput` (`truncated_image`, `corrupt_image`) for a broken header.
pub fn probe(path: &Path) -> Result<ImageHeader> {
    let mut file = File::open(path).context("opening the upload")?;
    let mut start = Vec::with_capacity(32);
    Read::by_ref(&mut file)
        .take(32)
        .read_to_end(&mut start)
        .context("reading the upload")?;
    let format = ImageFormat::sniff(&start)?;
    file.rewind().context("reading the upload")?;
    let size_bytes = file.metadata().context("reading the upload")?.len();
    let complete =
        complete::is_complete(format, BufReader::new(&mut file), size_bytes).context("reading the upload")?;
    file.rewind().context("reading the upload")?;
    let size = match format.library_format() {
        Some(format) => dimensions(BufReader::new(file), format),
        None => heic_size(file),
    };
    let (width, height) = size.map_err(|error| {
        if complete {
            error
        } else {
            super::decode::truncated()
        }
    })?;
    Ok(ImageHeader {
        format,
        width,
        height,
        complete,
    })
}

/// Its boxes may stand in any order, so the whole file is read.
fn heic_size(mut file: File) -> Result<(u32, u32)> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).context("reading the upload")?;
    heic::size(&bytes)
}

fn dimensions(reader: impl std::io::BufRead + Seek, format: image::ImageFormat) -> Result<(u32, u32)> {
    let mut reader = ImageReader::with_format(reader, format);
    reader.no_limits();
    let mut decoder = reader.into_decoder().map_err(super::decode::decode_error)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(Error::invalid("the picture has no pixels").with_code("corrupt_image"));
    }
    // A broken EXIF block does not make a picture unreadable.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok(match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (height, width),
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => (width, height),
    })
}
