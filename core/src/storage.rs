//! Where the bytes of photos are kept.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::id::PhotoId;

/// A blob's bytes in pieces, in order.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// The name of a blob: `/`-separated segments of `A-Z a-z 0-9 . _ -`, none of them `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BlobKey(String);

impl BlobKey {
    /// The prefix of all originals.
    pub const ORIGINALS: &'static str = "originals/";
    /// The prefix of all blobs that plugins make.
    pub const DERIVED: &'static str = "derived/";
    /// The prefix of the manifests, one beside each original.
    pub const MANIFESTS: &'static str = "manifests/";
    /// The prefix of the tombstones, which record deletions.
    pub const TOMBSTONES: &'static str = "tombstones/";

    /// Checks and wraps a name.
    ///
    /// # Errors
    /// `InvalidInput` for a name that is empty, longer than 512 bytes, or has other characters.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let fits = name.len() <= 512
            && name.split('/').all(|segment| {
                !segment.is_empty()
                    && segment != "."
                    && segment != ".."
                    && segment
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            });
        if fits {
            Ok(Self(name))
        } else {
            Err(Error::invalid(format!(
                "`{name}` is not a blob key; expected segments of A-Z a-z 0-9 . _ - between slashes"
            )))
        }
    }

    /// Returns the key of a photo's original. Keys are spread over 256 folders.
    #[must_use]
    pub fn original(id: &PhotoId) -> Self {
        Self::spread(Self::ORIGINALS, id, "")
    }

    /// Returns the key of the manifest of a photo's original.
    #[must_use]
    pub fn manifest(id: &PhotoId) -> Self {
        Self::spread(Self::MANIFESTS, id, ".json")
    }

    /// Returns the key of the tombstone of a deleted photo.
    #[must_use]
    pub fn tombstone(id: &PhotoId) -> Self {
        Self::spread(Self::TOMBSTONES, id, ".json")
    }

    fn spread(prefix: &str, id: &PhotoId, ending: &str) -> Self {
        let id = id.to_string();
        Self(format!("{prefix}{}/{id}{ending}", &id[id.len() - 2..]))
    }

    /// Returns the key of a blob that `plugin` makes from a photo.
    ///
    /// # Errors
    /// `InvalidInput` when `plugin` or `name` has characters that keys may not have.
    pub fn derived(id: &PhotoId, plugin: &str, name: &str) -> Result<Self> {
        let id = id.to_string();
        Self::new(format!(
            "{}{}/{id}/{plugin}/{name}",
            Self::DERIVED,
            &id[id.len() - 2..]
        ))
    }

    /// Returns the photo that a key of [`BlobKey::original`], [`BlobKey::derived`], [`BlobKey::manifest`] or
    /// [`BlobKey::tombstone`] belongs to.
    #[must_use]
    pub fn photo_id(&self) -> Option<PhotoId> {
        let (plain, json) = (
            [Self::ORIGINALS, Self::DERIVED],
            [Self::MANIFESTS, Self::TOMBSTONES],
        );
        let under = |prefixes: [&str; 2]| prefixes.iter().find_map(|prefix| self.0.strip_prefix(prefix));
        let name = match (under(plain), under(json)) {
            (Some(rest), _) => rest.split('/').nth(1)?,
            (None, rest) => rest?.split('/').nth(1)?.strip_suffix(".json")?,
        };
        name.parse().ok()
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for BlobKey {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::new(name)
    }
}

impl From<BlobKey> for String {
    fn from(key: BlobKey) -> Self {
        key.0
    }
}

/// What is known of a blob without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobStat {
    /// The blob's name.
    pub key: BlobKey,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// When it was last written, where the store says so; the reconciler leaves young blobs alone.
    pub modified_at: Option<jiff::Timestamp>,
}

/// A blob that is being read.
pub struct Blob {
    /// The size of the whole blob in bytes, also when only a range is read.
    pub size_bytes: u64,
    /// The bytes, or those of the range.
    pub stream: ByteStream,
}

impl Blob {
    /// Reads the rest into memory.
    ///
    /// # Errors
    /// Those of the stream.
    pub async fn bytes(mut self) -> Result<Bytes> {
        let Some(first) = self.stream.next().await.transpose()? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.stream.next().await.transpose()? else {
            return Ok(first);
        };
        let expected = usize::try_from(self.size_bytes)
            .unwrap_or(0)
            .max(first.len() + second.len());
        let mut all = BytesMut::with_capacity(expected);
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(piece) = self.stream.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.freeze())
    }
}

/// Makes a stream of bytes that are in memory.
#[must_use]
pub fn stream_of(bytes: impl Into<Bytes>) -> ByteStream {
    let bytes = bytes.into();
    futures::stream::iter((!bytes.is_empty()).then_some(Ok(bytes))).boxed()
}

/// Keeps blobs under keys.
///
/// Implementations must not retry, time or log: the decorators do.
#[async_trait]
pub trait Storage: Send + Sync {
    /// Writes a blob, and returns its size.
    ///
    /// Atomic: a reader sees the old blob, the new one or none, never a part; when the stream fails, nothing
    /// is left. Durable when it returns. Writing over an existing key replaces the blob. An empty stream
    /// makes an empty blob.
    ///
    /// # Errors
    /// The stream's own error; `Unavailable` (code `storage_full` where the disk is full) or
    /// `PermissionDenied` by the store.
    async fn put(&self, key: &BlobKey, body: ByteStream) -> Result<u64>;

    /// Opens a blob, or the given range of its bytes; a range is cut at the blob's end.
    ///
    /// # Errors
    /// `NotFound` for an absent key; `InvalidInput` for a range that starts at or beyond the end.
    async fn get(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<Blob>;

    /// Returns what is known of a blob.
    ///
    /// # Errors
    /// `NotFound` for an absent key.
    async fn stat(&self, key: &BlobKey) -> Result<BlobStat>;

    /// Deletes a blob; an absent one is fine.
    ///
    /// # Errors
    /// `Unavailable` or `PermissionDenied` by the store.
    async fn delete(&self, key: &BlobKey) -> Result<()>;

    /// Lists every blob whose key starts with `prefix`, each once, in any order; parts of unfinished writes
    /// are not listed. `prefix` is empty or ends with `/`.
    fn list(&self, prefix: &str) -> BoxStream<'static, Result<BlobStat>>;

    /// Checks that the store can be reached and written to.
    ///
    /// # Errors
    /// `Unavailable` or `PermissionDenied`, naming the store.
    async fn ping(&self) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_leave_the_root_are_refused() {
        for name in ["", "/", "a//b", "../a", "a/..", "a/./b", "a b", "a\\b", "ä"] {
            assert!(BlobKey::new(name).is_err(), "{name:?} was taken");
        }
    }

    #[test]
    fn a_key_names_its_photo() {
        let id = PhotoId::generate();
        assert_eq!(BlobKey::original(&id).photo_id(), Some(id));
        assert_eq!(
            BlobKey::derived(&id, "thumbnail", "320.jpg").unwrap().photo_id(),
            Some(id)
        );
        assert_eq!(BlobKey::manifest(&id).photo_id(), Some(id));
        assert_eq!(BlobKey::tombstone(&id).photo_id(), Some(id));
        for stray in [
            "other/thing".to_owned(),
            format!("originals/{id}"),
            format!("manifests/aa/{id}"),
        ] {
            assert_eq!(BlobKey::new(stray).unwrap().photo_id(), None);
        }
    }
}
