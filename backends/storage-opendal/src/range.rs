//! What a range of a blob's bytes comes to, wherever the blob lies.

use std::ops::Range;

use lucida_core::{BlobKey, Error, Result};

/// Checks a range against the blob's size and cuts it at the end; without one it is the whole blob.
pub(crate) fn cut(key: &BlobKey, range: Option<Range<u64>>, size_bytes: u64) -> Result<Range<u64>> {
    let Some(range) = range else {
        return Ok(0..size_bytes);
    };
    if range.start >= size_bytes || range.start > range.end {
        return Err(Error::invalid(format!(
            "range {}..{} is not within blob `{key}` of {size_bytes} bytes",
            range.start, range.end
        )));
    }
    Ok(range.start..range.end.min(size_bytes))
}
