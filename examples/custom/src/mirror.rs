//! The blob store `mirror`: every blob in two folders, meant to be on two disks, so that one may die.
//!
//! A blob is acknowledged when both have it. Reading falls back to the second folder where the first has lost it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use lucida_core::config::factory_fn;
use lucida_core::{
    Blob, BlobKey, BlobStat, ByteStream, Error, ErrorKind, Factory, Result, ResultExt as _, Settings, Storage,
};
use lucida_opendal::{DiskConfig, DiskStorage};
use schemars::JsonSchema;
use serde::Deserialize;

/// Photos in two folders, meant to be on two disks.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MirrorConfig {
    /// The folder that is read from.
    #[schemars(example = &"/mnt/first/photos")]
    pub(crate) first: PathBuf,
    /// The folder that has a copy of everything.
    #[schemars(example = &"/mnt/second/photos")]
    pub(crate) second: PathBuf,
}

impl Settings for MirrorConfig {
    fn validate(&self) -> Result<()> {
        for (field, folder) in [("first", &self.first), ("second", &self.second)] {
            if folder.as_os_str().is_empty() {
                return Err(Error::config(field, "must name a folder"));
            }
        }
        if self.first == self.second {
            return Err(Error::config(
                "second",
                "must be another folder than `first`, best on another disk",
            ));
        }
        Ok(())
    }
}

/// Makes the factory of `type = "mirror"`.
pub(crate) fn factory() -> impl Factory<dyn Storage> {
    factory_fn("mirror", |config: MirrorConfig, _| async move {
        Mirror::open(config).await
    })
}

struct Mirror {
    first: DiskStorage,
    second: DiskStorage,
}

impl Mirror {
    async fn open(config: MirrorConfig) -> Result<Self> {
        Ok(Self {
            first: DiskStorage::open(DiskConfig { root: config.first }).await?,
            second: DiskStorage::open(DiskConfig { root: config.second }).await?,
        })
    }
}

/// Returns whether the second folder may still have what the first one couldn't give.
fn try_the_second(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::Timeout
        | ErrorKind::Unavailable
        | ErrorKind::Internal => true,
        ErrorKind::AlreadyExists
        | ErrorKind::InvalidInput
        | ErrorKind::Unsupported
        | ErrorKind::ConfigInvalid
        | ErrorKind::Conflict
        | ErrorKind::Overloaded => false,
    }
}

#[async_trait]
impl Storage for Mirror {
    async fn put(&self, key: &BlobKey, body: ByteStream) -> Result<u64> {
        let size_bytes = self.first.put(key, body).await?;
        // From the first copy, so that neither a photo nor its pieces are held in memory.
        let copy = self.first.get(key, None).await?;
        self.second
            .put(key, copy.stream)
            .await
            .context("copying to the second folder")?;
        Ok(size_bytes)
    }

    async fn get(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<Blob> {
        match self.first.get(key, range.clone()).await {
            Err(error) if try_the_second(&error) => self.second.get(key, range).await,
            answer => answer,
        }
    }

    async fn stat(&self, key: &BlobKey) -> Result<BlobStat> {
        match self.first.stat(key).await {
            Err(error) if try_the_second(&error) => self.second.stat(key).await,
            answer => answer,
        }
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        // The copy first: while there is any blob, the one that is read from is there.
        self.second.delete(key).await?;
        self.first.delete(key).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<BlobStat>> {
        let (first, second) = (self.first.list(prefix), self.second.list(prefix));
        let both = async move {
            let mut stats: Vec<BlobStat> = first.try_collect().await?;
            let known: BTreeSet<BlobKey> = stats.iter().map(|stat| stat.key.clone()).collect();
            let lost: Vec<BlobStat> = second
                .try_filter(|stat| std::future::ready(!known.contains(&stat.key)))
                .try_collect()
                .await?;
            stats.extend(lost);
            Ok::<_, Error>(futures::stream::iter(stats.into_iter().map(Ok)))
        };
        futures::stream::once(both).try_flatten().boxed()
    }

    async fn ping(&self) -> Result<()> {
        self.first.ping().await.context("the first folder")?;
        self.second.ping().await.context("the second folder")
    }
}

#[cfg(test)]
mod tests {
    use lucida_core::stream_of;
    use lucida_testkit::Fixture;

    use super::*;

    async fn mirror_in(folder: &tempfile::TempDir) -> Mirror {
        Mirror::open(MirrorConfig {
            first: folder.path().join("first"),
            second: folder.path().join("second"),
        })
        .await
        .unwrap()
    }

    async fn fixture() -> Fixture<dyn Storage> {
        let folder = tempfile::tempdir().unwrap();
        Fixture::new(mirror_in(&folder).await).keeping(folder)
    }
    lucida_testkit::storage_contract!(fixture);

    #[tokio::test]
    async fn a_blob_survives_the_loss_of_the_first_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = mirror_in(&folder).await;
        let key = BlobKey::new("originals/ab/photo").unwrap();
        mirror.put(&key, stream_of("its bytes")).await.unwrap();
        mirror.first.delete(&key).await.unwrap();

        let bytes = mirror.get(&key, None).await.unwrap().bytes().await.unwrap();
        assert_eq!(bytes, "its bytes");
        assert_eq!(mirror.stat(&key).await.unwrap().size_bytes, 9);
        let listed: Vec<BlobStat> = mirror.list("originals/").try_collect().await.unwrap();
        assert_eq!(
            listed.into_iter().map(|stat| stat.key).collect::<Vec<_>>(),
            std::slice::from_ref(&key)
        );

        mirror.delete(&key).await.unwrap();
        assert_eq!(
            mirror.get(&key, None).await.err().unwrap().kind(),
            ErrorKind::NotFound
        );
    }

    #[test]
    fn one_folder_twice_is_no_mirror() {
        let config = MirrorConfig {
            first: "a".into(),
            second: "a".into(),
        };
        assert_eq!(config.validate().unwrap_err().field(), Some("second"));
    }
}
