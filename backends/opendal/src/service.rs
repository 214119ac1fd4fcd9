//! What differs between the services of OpenDAL that hold blobs.

use std::fmt::Debug;
use std::ops::Range;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use lucida_core::{BlobKey, Error, Result};
use opendal::options::WriteOptions;
use opendal::{Buffer, Metadata, Operator, Writer};

/// A service: its operator, and what its operator doesn't do.
#[async_trait]
pub trait Service: Clone + Debug + Send + Sync + 'static {
    /// Whether one request lists all depths below a prefix.
    const LISTS_ALL_DEPTHS: bool;

    /// Returns the operator that holds the blobs.
    fn operator(&self) -> &Operator;

    /// Returns how a body is cut, and how many of its parts are written at once.
    fn write_options(&self) -> WriteOptions;

    /// Returns the path to which a blob is written until it is whole.
    fn unfinished_path(&self, key: &BlobKey) -> String;

    /// Makes the blob `key` of what was written, durably; when that fails, takes back what was written.
    ///
    /// # Errors
    /// Those of [`Storage::put`](lucida_core::Storage::put).
    async fn finish(&self, writer: Writer, path: String, key: BlobKey) -> Result<()>;

    /// Takes back what was written to `path`. What can be done without waiting is done before the future is polled.
    fn discard(&self, writer: Writer, path: &str) -> BoxFuture<'static, opendal::Result<()>>;

    /// Fails where blobs only seem to be absent.
    ///
    /// # Errors
    /// `Unavailable`, when the place itself is missing.
    async fn check_present(&self) -> Result<()> {
        Ok(())
    }

    /// Asks what is known of a blob.
    ///
    /// # Errors
    /// The service's own.
    async fn stat(&self, key: &BlobKey) -> opendal::Result<Metadata> {
        self.operator().stat(key.as_str()).await
    }

    /// Opens a blob, or the given range of it.
    ///
    /// # Errors
    /// Those of [`Storage::get`](lucida_core::Storage::get).
    async fn open(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<Opened>;

    /// Cleans up after a blob was deleted, or was already absent.
    ///
    /// # Errors
    /// Those of [`Service::check_present`].
    async fn deleted(&self, _key: &BlobKey) -> Result<()> {
        Ok(())
    }

    /// Checks that blobs can be written.
    ///
    /// # Errors
    /// Those of [`Storage::ping`](lucida_core::Storage::ping).
    async fn ping(&self) -> Result<()>;

    /// Returns whether the error means that there is no blob of that name.
    fn is_absent(error: &opendal::Error) -> bool;

    /// Makes the error of an operation that failed; never `NotFound`.
    fn failed(&self, doing: String, error: &opendal::Error) -> Error;
}

/// A blob that was opened.
pub struct Opened {
    /// The size of the whole blob in bytes.
    pub(crate) size_bytes: u64,
    /// The part of it that was asked for, cut at its end.
    pub(crate) range: Range<u64>,
    /// The bytes of that range; a service may send more, or break off early.
    pub(crate) stream: BoxStream<'static, opendal::Result<Buffer>>,
}
