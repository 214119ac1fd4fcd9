//! Reading an object, or a range of it, by one request.

use std::ops::Range;

use futures::{StreamExt, stream};
use lucida_core::{BlobKey, Error, Result};
use opendal::{BufferStream, BytesRange, ErrorKind, Metadata, Operator};

use crate::read::cut;
use crate::service::{Opened, Service};
use crate::store::absent;

/// Beyond this, stores don't read a range's numbers.
const LAST_BYTE: u64 = i64::MAX as u64;

/// Opens a blob, or the given range of its bytes.
pub(super) async fn open<S: Service>(bucket: &S, key: &BlobKey, range: Option<Range<u64>>) -> Result<Opened> {
    let failed = |error: opendal::Error| match (&range, error.kind()) {
        (Some(range), ErrorKind::RangeNotSatisfied) => Error::invalid(format!(
            "range {}..{} is not within blob `{key}`",
            range.start, range.end
        )),
        _ if S::is_absent(&error) => absent(key),
        _ => bucket.failed(format!("reading blob `{key}`"), &error),
    };
    // HTTP can't ask for no bytes at all.
    if let Some(range) = &range
        && (range.end <= range.start || range.start >= LAST_BYTE)
    {
        let size_bytes = bucket.stat(key).await.map_err(failed)?.content_length();
        return Ok(Opened {
            size_bytes,
            range: cut(key, Some(range.clone()), size_bytes)?,
            stream: stream::empty().boxed(),
        });
    }
    let asked = match &range {
        None => BytesRange::default(),
        Some(range) => BytesRange::new(
            range.start,
            (range.end <= LAST_BYTE).then(|| range.end - range.start),
        ),
    };
    let (metadata, stream) = start(bucket.operator(), key, asked).await.map_err(failed)?;
    let size_bytes = metadata.content_length();
    Ok(Opened {
        size_bytes,
        range: cut(key, range, size_bytes)?,
        stream: stream.boxed(),
    })
}

/// Sends the request, and returns what the answer's head says.
pub(super) async fn start(
    operator: &Operator,
    key: &BlobKey,
    range: BytesRange,
) -> opendal::Result<(Metadata, BufferStream)> {
    let reader = operator.reader(key.as_str()).await?;
    let mut stream = reader.into_stream(range).await?;
    Ok((stream.metadata().await?, stream))
}
