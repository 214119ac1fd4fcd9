//! Pictures that requests name by URL, fetched by the plugin that decides which URLs may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use lucida_api::picture_in_data_uri;
use lucida_core::{Deadline, Error, Fetcher, Result};

/// The most bytes that the pictures of one call have together: they are in memory at once.
const MAX_FETCHED_BYTES: usize = 128 << 20;

/// How many pictures of one call are fetched at once.
const FETCHED_AT_ONCE: usize = 8;

/// A picture that has to be fetched.
#[derive(Debug)]
pub(crate) struct PictureUrl {
    /// Which of the inputs it is.
    pub(crate) index: usize,
    /// The name of its place in the request.
    pub(crate) field: String,
    /// Where it is.
    pub(crate) url: String,
}

/// Fetches pictures, each with its index.
///
/// # Errors
/// Those of the first picture that failed, with its place: `InvalidInput` without a fetcher, and those of
/// [`Fetcher::fetch`]; `Timeout` at the deadline.
pub(crate) async fn fetch_all(
    fetcher: Option<&Arc<dyn Fetcher>>,
    pictures: Vec<PictureUrl>,
    deadline: &Deadline,
) -> Result<Vec<(usize, Bytes)>> {
    let fetched_bytes = AtomicUsize::new(0);
    let fetched = stream::iter(pictures).map(|picture| {
        let fetched_bytes = &fetched_bytes;
        async move {
            let Some(fetcher) = fetcher else {
                // Refuses the URL, and says how pictures are sent.
                let file = picture_in_data_uri(&picture.field, &picture.url)?;
                return Ok((picture.index, file));
            };
            let file = deadline
                .bound(fetch(&**fetcher, &picture.url, fetched_bytes))
                .await;
            let file = file.map_err(|error| error.with_field(picture.field))?;
            Ok((picture.index, file))
        }
    });
    fetched.buffered(FETCHED_AT_ONCE).try_collect().await
}

async fn fetch(fetcher: &dyn Fetcher, url: &str, fetched_bytes: &AtomicUsize) -> Result<Bytes> {
    let mut bytes = fetcher.fetch(url).await?.bytes;
    let mut file = Vec::new();
    while let Some(piece) = bytes.next().await {
        let piece = piece?;
        if fetched_bytes.fetch_add(piece.len(), Ordering::Relaxed) + piece.len() > MAX_FETCHED_BYTES {
            let message = format!(
                "the pictures of this call are larger than {MAX_FETCHED_BYTES} bytes together: send fewer of them"
            );
            return Err(Error::invalid(message).with_code("payload_too_large"));
        }
        file.extend_from_slice(&piece);
    }
    Ok(file.into())
}
