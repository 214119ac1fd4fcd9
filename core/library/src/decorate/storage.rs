//! The guard around a blob store.

use std::ops::Range;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::Guarded;
use lucida_core::{Blob, BlobKey, BlobStat, ByteStream, Result, Storage};

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

    /// Each entry has the time of a call. The first one decides for the breaker what a call does.
    fn list(&self, prefix: &str) -> BoxStream<'static, Result<BlobStat>> {
        let pass = match self.guard.breaker.admit() {
            Ok(pass) => pass,
            Err(refusal) => return stream::iter([Err(refusal)]).boxed(),
        };
        let listing = (self.guard.clone(), Some(pass), self.inner.list(prefix));
        stream::unfold(listing, |(guard, pass, mut entries)| async move {
            let pass = pass.unwrap_or_else(|| guard.breaker.probe());
            let timeout = guard.options.timeout;
            let next = match tokio::time::timeout(timeout, entries.try_next()).await {
                Ok(next) => next,
                Err(_) => Err(guard.no_answer("list", timeout)),
            };
            pass.ended(&next);
            let entry = next.map_err(|error| guard.of_part(error)).transpose()?;
            Some((entry, (guard, None, entries)))
        })
        .boxed()
    }

    async fn ping(&self) -> Result<()> {
        self.guard.ping(self.inner.ping()).await
    }
}
