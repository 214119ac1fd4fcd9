//! From a picture to its previews.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use lucida_core::{Picture, Result};
use lucida_picture::{Region, ResizeFilter, encode_jpeg, fitted, for_people, resize};

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
        let bytes = encode_jpeg(&preview, quality)?;
        last = Some(preview);
        previews.insert(size, bytes.clone());
        encoded = Some(((width, height), bytes));
    }
    Ok(previews)
}
