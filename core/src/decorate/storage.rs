//! The guard around a blob store.

use std::ops::Range;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::Guarded;
use crate::error::Result;
use crate::storage::{Blob, BlobKey, BlobStat, ByteStream, Storage};

#[async_trait]
impl Storage for Guarded<dyn Storage> {
    async fn put(&self, key: &BlobKey, body: ByteStream) -> Result<u64> {
        self.guard
            .once("put", self.guard.options.put_timeout, self.inner.put(key, body))
            .await
    }

    async fn get(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<Blob> {
        self.guard
            .call("get", || self.inner.get(key, range.clone()))
            .await
    }

    async fn stat(&self, key: &BlobKey) -> Result<BlobStat> {
        self.guard.call("stat", || self.inner.stat(key)).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.guard.call("delete", || self.inner.delete(key)).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<BlobStat>> {
        self.inner.list(prefix)
    }

    async fn ping(&self) -> Result<()> {
        self.guard
            .once("ping", self.guard.options.timeout, self.inner.ping())
            .await
    }
}
