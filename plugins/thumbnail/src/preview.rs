//! From a picture to its previews.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use jpeg_encoder::{ColorType, Encoder};
use lucida_core::{Error, Picture, Result};
use lucida_picture::{Region, ResizeFilter, for_people, resize};

/// Makes a JPEG for each size, by size; computes, so not on an async thread.
///
/// The long side of a preview is its size, or the picture's own where that is smaller.
pub(crate) fn make(picture: &Picture, sizes_pixels: &[u32], quality: u8) -> Result<BTreeMap<u32, Bytes>> {
    let mut largest_first = sizes_pixels.to_vec();
    largest_first.sort_unstable_by(|left, right| right.cmp(left));
    let mut previews = BTreeMap::new();
    // A preview is made from the next larger one: that is much smaller than the picture.
    let mut last: Option<Cow<'_, Picture>> = None;
    let mut encoded: Option<((u32, u32), Bytes)> = None;
    for size in largest_first {
        let (width, height) = fitted(picture.width(), picture.height(), size);
        if let Some((dimensions, bytes)) = &encoded
            && *dimensions == (width, height)
        {
            previews.insert(size, bytes.clone());
            continue;
        }
        let preview = match &last {
            None => for_people(picture, width, height)?,
            Some(larger) => {
                let region = Region::whole(larger);
                Cow::Owned(resize(larger, region, width, height, ResizeFilter::Lanczos)?)
            }
        };
        let bytes = encode(preview.pixels().as_raw(), width, height, quality)?;
        last = Some(preview);
        previews.insert(size, bytes.clone());
        encoded = Some(((width, height), bytes));
    }
    Ok(previews)
}

/// Fits a picture's sides into a square, without making it larger.
fn fitted(width: u32, height: u32, size: u32) -> (u32, u32) {
    let long = width.max(height);
    if long <= size {
        return (width, height);
    }
    let scaled = |side: u32| {
        let (side, size, long) = (u64::from(side), u64::from(size), u64::from(long));
        let rounded = (side * size + long / 2) / long;
        u32::try_from(rounded).unwrap_or(u32::MAX).max(1)
    };
    (scaled(width), scaled(height))
}

/// Writes a JPEG; below quality 90 with colours at half the resolution, which nobody sees at that quality.
fn encode(pixels: &[u8], width: u32, height: u32, quality: u8) -> Result<Bytes> {
    let side = |pixels: u32| {
        u16::try_from(pixels).map_err(|_| Error::internal(format!("a JPEG can't be {pixels} pixels long")))
    };
    let mut file = Vec::new();
    Encoder::new(&mut file, quality)
        .encode(pixels, side(width)?, side(height)?, ColorType::Rgb)
        .map_err(|error| Error::internal("a preview can't be written as JPEG").with_source(error))?;
    Ok(file.into())
}
