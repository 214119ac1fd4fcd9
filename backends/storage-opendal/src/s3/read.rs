//! Reading an object, or a range of it, by one request, and seeing to it that all of it came.

use std::ops::Range;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use lucida_core::{Blob, BlobKey, ByteStream, Error, Result};
use opendal::BytesRange;
use opendal::{Buffer, BufferStream, Metadata};

use super::bucket::Bucket;
use super::error::{absent, is_absent};
use crate::range::cut;

/// Beyond this, stores don't read a range's numbers.
const LAST_BYTE: u64 = i64::MAX as u64;

/// Opens a blob, or the given range of its bytes.
pub(super) async fn open(bucket: &Bucket, key: &BlobKey, range: Option<Range<u64>>) -> Result<Blob> {
    // HTTP can't ask for no bytes at all.
    if let Some(range) = &range
        && (range.end <= range.start || range.start >= LAST_BYTE)
    {
        let size_bytes = super::store::stat(bucket, key).await?.size_bytes;
        cut(key, Some(range.clone()), size_bytes)?;
        let stream = stream::empty().boxed();
        return Ok(Blob { size_bytes, stream });
    }
    let asked = match &range {
        None => BytesRange::default(),
        Some(range) => BytesRange::new(
            range.start,
            (range.end <= LAST_BYTE).then(|| range.end - range.start),
        ),
    };
    let opened = start(bucket, key, asked).await;
    let (metadata, stream) = opened.map_err(|error| match (&range, error.kind()) {
        (Some(range), opendal::ErrorKind::RangeNotSatisfied) => Error::invalid(format!(
            "range {}..{} is not within blob `{key}`",
            range.start, range.end
        )),
        _ if is_absent(&error) => absent(key),
        _ => bucket.failed(format!("reading blob `{key}`"), &error),
    })?;
    let size_bytes = metadata.content_length();
    let range = cut(key, range, size_bytes)?;
    let stream = stream.map_err({
        let (bucket, key) = (bucket.clone(), key.clone());
        move |error| bucket.failed(format!("reading blob `{key}`"), &error)
    });
    Ok(Blob {
        size_bytes,
        stream: whole(key.clone(), range.end - range.start, stream),
    })
}

/// Sends the request, and returns what the answer's head says.
pub(super) async fn start(
    bucket: &Bucket,
    key: &BlobKey,
    range: BytesRange,
) -> opendal::Result<(Metadata, BufferStream)> {
    let reader = bucket.operator().reader(key.as_str()).await?;
    let mut stream = reader.into_stream(range).await?;
    Ok((stream.metadata().await?, stream))
}

/// Passes on `size_bytes` of a body, which fails when it has fewer.
///
/// It asks for no more than those: OpenDAL would then miss bytes that were asked for beyond the blob's end.
fn whole(
    key: BlobKey,
    size_bytes: u64,
    body: impl Stream<Item = Result<Buffer>> + Send + Unpin + 'static,
) -> ByteStream {
    let state = (body, size_bytes, key);
    stream::try_unfold(state, |(mut body, left, key)| async move {
        if left == 0 {
            return Ok(None);
        }
        let Some(piece) = body.try_next().await? else {
            return Err(Error::unavailable(format!(
                "reading blob `{key}`: the store sent {left} bytes too few"
            )));
        };
        let mut piece: Bytes = piece.to_bytes();
        piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - piece.len() as u64;
        Ok(Some((piece, (body, left, key))))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(size_bytes: u64, pieces: &[&'static str]) -> Result<Vec<Bytes>> {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Buffer::from(*piece))).collect();
        let key = BlobKey::new("a")?;
        whole(key, size_bytes, stream::iter(pieces)).try_collect().await
    }

    #[tokio::test]
    async fn a_body_that_is_shorter_than_announced_fails() {
        assert_eq!(read(5, &["abc", "de"]).await.unwrap().concat(), b"abcde");
        assert_eq!(read(0, &[]).await.unwrap().concat(), b"");
        let error = read(5, &["abc"]).await.unwrap_err();
        assert_eq!(error.kind(), lucida_core::ErrorKind::Unavailable);
        assert_eq!(
            error.to_string(),
            "reading blob `a`: the store sent 2 bytes too few"
        );
    }

    #[tokio::test]
    async fn a_store_that_sends_all_of_a_blob_instead_of_its_start_is_cut() {
        assert_eq!(read(4, &["abc", "de"]).await.unwrap(), ["abc", "d"]);
    }
}
