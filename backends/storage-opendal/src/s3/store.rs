//! The [`Storage`] in a bucket.

use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use lucida_core::config::Secret;
use lucida_core::{Blob, BlobKey, BlobStat, ByteStream, Error, Result, Storage};
use opendal::BytesRange;
use opendal::options::ListOptions;
use opendal::{Buffer, Metadata};
use uuid::Uuid;

use super::bucket::Bucket;
use super::config::S3Config;
use super::error::{absent, is_absent, is_bare};
use super::read;
use super::upload::{Parts, Upload};

/// What objects are called that a ping begins; `+` is in no key.
const PINGS: &str = "+ping";

/// Keeps blobs as objects in a bucket.
#[derive(Debug, Clone)]
pub struct S3Storage {
    bucket: Bucket,
}

impl S3Storage {
    /// Reads the secret's file, and tries the settings out. A store that is merely away is fine: it may come.
    ///
    /// # Errors
    /// `ConfigInvalid` or `PermissionDenied`, naming the setting, when the store can't be used by these.
    pub async fn open(config: S3Config) -> Result<Self> {
        let secret = match &config.secret_access_key_file {
            Some(path) => Some(read_secret(path).await?),
            None => config.secret_access_key.clone(),
        };
        let bucket = Bucket::of(&config, secret.as_ref())?;
        let probed = probe(&bucket).await;
        match probed.err().and_then(|error| bucket.place().unusable(&error)) {
            Some(error) => Err(error),
            None => Ok(Self { bucket }),
        }
    }
}

#[async_trait]
impl Storage for S3Storage {
    async fn put(&self, key: &BlobKey, body: ByteStream) -> Result<u64> {
        let failed = |error| self.bucket.failed(format!("writing blob `{key}`"), &error);
        let mut upload = self.bucket.upload(key).await.map_err(failed)?;
        let mut parts = Parts::of(body, self.bucket.part_bytes());
        let mut size_bytes = 0;
        loop {
            match parts.next().await {
                Ok(Some(part)) => {
                    size_bytes += part.len() as u64;
                    upload = upload.part(part).await.map_err(failed)?;
                }
                Ok(None) => break,
                Err(error) => {
                    // The body's error is the one to tell.
                    let _ = upload.abort().await;
                    return Err(error);
                }
            }
        }
        upload.finish().await.map_err(failed)?;
        Ok(size_bytes)
    }

    async fn get(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<Blob> {
        read::open(&self.bucket, key, range).await
    }

    async fn stat(&self, key: &BlobKey) -> Result<BlobStat> {
        stat(&self.bucket, key).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.bucket
            .operator()
            .delete(key.as_str())
            .await
            .map_err(|error| self.bucket.failed(format!("deleting blob `{key}`"), &error))
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<BlobStat>> {
        let checked = match prefix.strip_suffix('/') {
            None if prefix.is_empty() => Ok(()),
            Some(folder) => BlobKey::new(folder).map(drop),
            None => Err(Error::invalid(format!(
                "prefix `{prefix}` is not empty and does not end with `/`"
            ))),
        };
        match checked {
            Ok(()) => list(self.bucket.clone(), prefix.to_owned()),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn ping(&self) -> Result<()> {
        probe(&self.bucket)
            .await
            .map_err(|error| self.bucket.failed("writing to the store", &error))
    }
}

/// Returns what is known of a blob.
pub(super) async fn stat(bucket: &Bucket, key: &BlobKey) -> Result<BlobStat> {
    let mut looked = bucket.operator().stat(key.as_str()).await;
    if looked.as_ref().is_err_and(is_bare) {
        // `HEAD` is answered without a body, which would tell a missing blob from a missing bucket.
        let byte = BytesRange::new(0, Some(1));
        looked = read::start(bucket, key, byte).await.map(|(metadata, _)| metadata);
    }
    match looked {
        Ok(metadata) => Ok(describe(key.clone(), &metadata)),
        Err(error) if is_absent(&error) => Err(absent(key)),
        Err(error) => Err(bucket.failed(format!("looking at blob `{key}`"), &error)),
    }
}

fn describe(key: BlobKey, metadata: &Metadata) -> BlobStat {
    BlobStat {
        key,
        size_bytes: metadata.content_length(),
        modified_at: metadata.last_modified().map(Into::into),
    }
}

/// Lists page by page, each fetched when the one before it is used up.
fn list(bucket: Bucket, prefix: String) -> BoxStream<'static, Result<BlobStat>> {
    let operator = bucket.operator().clone();
    let start = async move {
        let options = ListOptions {
            recursive: true,
            ..ListOptions::default()
        };
        operator.lister_options(&prefix, options).await
    };
    stream::once(start)
        .try_flatten()
        .try_filter_map(|entry| async move {
            // Names that are no keys are not ours.
            let key = BlobKey::new(entry.path()).ok();
            Ok(key.map(|key| describe(key, entry.metadata())))
        })
        .map_err(move |error| bucket.failed("listing blobs", &error))
        .boxed()
}

/// Writes a byte as part of an object and gives it up: that takes the right to write and a place to write to, and
/// leaves nothing, not even a version where the bucket keeps them.
async fn probe(bucket: &Bucket) -> opendal::Result<()> {
    let path = format!("{PINGS}/{}", Uuid::now_v7().simple());
    let mut upload = Upload::start(bucket.operator(), &path, 1).await?;
    // The first is held back until there is a second.
    for _ in 0..2 {
        upload = upload.part(Buffer::from("?")).await?;
    }
    upload.abort().await
}

async fn read_secret(path: &Path) -> Result<Secret> {
    let failed = |what: &str| {
        let message = format!("{} {what}", path.display());
        Error::config("secret_access_key_file", message)
    };
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|error| failed("can't be read").with_source(error))?;
    match text.trim() {
        "" => Err(failed("is empty: write the secret into it")),
        secret => Ok(Secret::new(secret)),
    }
}
