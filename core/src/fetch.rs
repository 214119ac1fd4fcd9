//! Files that clients name by URL.

use async_trait::async_trait;

use crate::error::Result;
use crate::storage::ByteStream;

/// Fetches the file that a URL names, and decides which URLs may be fetched at all: a server reaches more than its
/// clients do.
#[async_trait]
pub trait Fetcher: Send + Sync {
    /// Begins to fetch; the stream ends with an error where the file is too large or the connection breaks.
    ///
    /// # Errors
    /// `InvalidInput` for a URL that may not be fetched (`url_refused`), or that leads to no picture (`url_failed`);
    /// `Timeout` where it takes too long.
    async fn fetch(&self, url: &str) -> Result<Fetched>;
}

/// A file that is being fetched.
pub struct Fetched {
    /// The last component of the URL's path, where there is one.
    pub filename: Option<String>,
    /// The bytes.
    pub bytes: ByteStream,
}
