//! Reading a blob, or a range of it, and checking that all of it came.

use std::ops::Range;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use lucida_core::{Blob, BlobKey, ByteStream, Error, Result};
use opendal::Buffer;

use crate::service::Service;

/// Opens a blob, or the given range of its bytes.
pub(crate) async fn open<S: Service>(service: &S, key: &BlobKey, range: Option<Range<u64>>) -> Result<Blob> {
    let opened = service.open(key, range).await?;
    let body = opened.stream.map_err({
        let (service, key) = (service.clone(), key.clone());
        move |error| service.failed(format!("reading blob `{key}`"), &error)
    });
    Ok(Blob {
        size_bytes: opened.size_bytes,
        stream: whole(key.clone(), opened.range.end - opened.range.start, body),
    })
}

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
