//! The picture that a program gets.

use std::path::Path;

use lucida_core::{DecodeSize, Picture, Result, ResultExt as _};
use lucida_picture::{DecodeOptions, decode, encode_jpeg, fitted, for_people};

use crate::protocol::PictureFile;

/// The JPEG quality: above it, models see no difference.
const QUALITY: u8 = 90;

/// Writes a picture as JPEG whose long side has at most so many pixels; computes, so not on an async thread.
pub(crate) fn encoded(picture: &Picture, long_side_pixels: u32) -> Result<PictureFile> {
    let (width, height) = fitted(picture.width(), picture.height(), long_side_pixels);
    let seen = for_people(picture, width, height)?;
    Ok(PictureFile::jpeg(&encode_jpeg(&seen, QUALITY)?, width, height))
}

/// Decodes an upload and writes it as JPEG; computes, so not on an async thread.
pub(crate) fn of_upload(path: &Path, long_side_pixels: u32) -> Result<PictureFile> {
    let file = std::fs::read(path).context("reading an upload")?;
    let options = DecodeOptions {
        // The server has compared the header with its limit, and refuses what is truncated unless that is accepted.
        max_pixels: u64::MAX,
        accept_truncated: true,
        size: DecodeSize::long_side(long_side_pixels),
    };
    encoded(&decode(&file, &options)?, long_side_pixels)
}
