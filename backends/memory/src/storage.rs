//! Blobs in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use lucida_core::{Blob, BlobKey, BlobStat, ByteStream, Error, Result, Storage, stream_of};

#[derive(Debug)]
struct Stored {
    bytes: Bytes,
    modified_at: Timestamp,
}

/// A [`Storage`] that forgets when the process ends.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    blobs: Mutex<BTreeMap<BlobKey, Stored>>,
}

impl MemoryStorage {
    /// Makes an empty storage.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<BlobKey, Stored>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stat_of(key: &BlobKey, stored: &Stored) -> BlobStat {
    BlobStat {
        key: key.clone(),
        size_bytes: stored.bytes.len() as u64,
        modified_at: Some(stored.modified_at),
    }
}

fn not_found(key: &BlobKey) -> Error {
    Error::not_found(format!("blob `{key}` not found"))
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn put(&self, key: &BlobKey, mut body: ByteStream) -> Result<u64> {
        let mut bytes = BytesMut::new();
        while let Some(piece) = body.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        let stored = Stored {
            bytes: bytes.freeze(),
            modified_at: Timestamp::now(),
        };
        let size = stored.bytes.len() as u64;
        self.lock().insert(key.clone(), stored);
        Ok(size)
    }

    async fn get(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<Blob> {
        let bytes = match self.lock().get(key) {
            Some(stored) => stored.bytes.clone(),
            None => return Err(not_found(key)),
        };
        let size_bytes = bytes.len() as u64;
        let wanted = match range {
            None => bytes,
            Some(range) => {
                if range.start >= size_bytes {
                    return Err(Error::invalid(format!(
                        "the range starts at byte {} of blob `{key}`, which has {size_bytes}",
                        range.start
                    )));
                }
                let index = |offset: u64| usize::try_from(offset.min(size_bytes)).unwrap_or(usize::MAX);
                bytes.slice(index(range.start)..index(range.end.max(range.start)))
            }
        };
        Ok(Blob {
            size_bytes,
            stream: stream_of(wanted),
        })
    }

    async fn stat(&self, key: &BlobKey) -> Result<BlobStat> {
        self.lock()
            .get(key)
            .map(|stored| stat_of(key, stored))
            .ok_or_else(|| not_found(key))
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.lock().remove(key);
        Ok(())
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<BlobStat>> {
        let found: Vec<_> = self
            .lock()
            .iter()
            .filter(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, stored)| Ok(stat_of(key, stored)))
            .collect();
        futures::stream::iter(found).boxed()
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}
