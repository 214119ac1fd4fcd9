//! Manifests and tombstones in the blob store: what makes a photo's record again, and what records its deletion.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use tracing::warn;

use crate::manifest::Manifest;
use lucida_core::{
    BlobKey, ErrorKind, MetadataStore, Photo, PhotoId, PhotoState, Result, Storage, stream_of,
};

/// The largest manifest that is read, in bytes: a few hundred tags of the longest kind fit.
const MAX_BYTES: u64 = 1 << 20;

/// How many tombstones are read at once.
const CONCURRENCY: usize = 16;

/// How often a manifest is written again because its record changed meanwhile.
const MAX_CHANGES: usize = 16;

/// Reads and writes manifests and tombstones.
#[derive(Clone)]
pub(crate) struct Manifests {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) metadata: Arc<dyn MetadataStore>,
}

impl Manifests {
    /// Writes the manifest of a photo that has no record yet, or whose record says what `photo` does.
    pub(crate) async fn write(&self, photo: &Photo) -> Result<()> {
        let bytes = Manifest::of(photo).write()?;
        let key = BlobKey::manifest(&photo.id);
        self.storage.put(&key, stream_of(bytes)).await?;
        Ok(())
    }

    /// Brings the manifest in line with the record, as it is when this ends.
    pub(crate) async fn refresh(&self, photo: &Photo) -> Result<()> {
        let mut current = photo.clone();
        let mut stored = self.read(&photo.id).await?;
        for _ in 0..MAX_CHANGES {
            let right = Manifest::of(&current);
            if stored.as_ref() != Some(&right) {
                self.write(&current).await?;
                stored = Some(right);
            }
            // Of two writers the one with the older record may be the later one: it sees that here.
            match self.metadata.get(&photo.id).await? {
                Some(now) if now.state == PhotoState::Deleting => return Ok(()),
                Some(now) if Manifest::of(&now) == Manifest::of(&current) => return Ok(()),
                Some(now) => current = now,
                None => return self.storage.delete(&BlobKey::manifest(&photo.id)).await,
            }
        }
        Ok(())
    }

    /// Reads the manifest of a photo; one that can't be read counts as missing.
    pub(crate) async fn read(&self, id: &PhotoId) -> Result<Option<Manifest>> {
        self.read_key(&BlobKey::manifest(id)).await
    }

    async fn read_key(&self, key: &BlobKey) -> Result<Option<Manifest>> {
        let blob = match self.storage.get(key, None).await {
            Ok(blob) => blob,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if blob.size_bytes > MAX_BYTES {
            warn!(%key, size_bytes = blob.size_bytes, "manifest is too large to be one");
            return Ok(None);
        }
        match Manifest::read(&blob.bytes().await?) {
            Ok(manifest) if key.photo_id() == Some(manifest.id) => Ok(Some(manifest)),
            Ok(_) => {
                warn!(%key, "manifest belongs to another photo");
                Ok(None)
            }
            Err(error) => {
                warn!(%error, %key, "manifest can't be read");
                Ok(None)
            }
        }
    }

    /// Records the deletion of a photo that is marked as deleting in the blob store, so that it outlives the metadata store.
    pub(crate) async fn write_tombstone(&self, photo: &Photo) -> Result<()> {
        let tombstone = Manifest {
            // When it was marked: another process may finish the deletion after the same bytes were uploaded again.
            deleted_at: Some(photo.updated_at),
            ..Manifest::of(photo)
        };
        let key = BlobKey::tombstone(&photo.id);
        self.storage.put(&key, stream_of(tombstone.write()?)).await?;
        Ok(())
    }

    /// Reads every tombstone.
    pub(crate) async fn tombstones(&self) -> Result<Tombstones> {
        let keys: Vec<_> = self
            .storage
            .list(BlobKey::TOMBSTONES)
            .map_ok(|stat| stat.key)
            .try_collect()
            .await?;
        let reads = keys.into_iter().map(|key| {
            let manifests = self.clone();
            async move { manifests.read_key(&key).await }
        });
        let read: Vec<_> = futures::stream::iter(reads)
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        Ok(Tombstones(read.into_iter().flatten().collect()))
    }
}

/// The deletions that are recorded in the blob store.
#[derive(Debug, Default)]
pub(crate) struct Tombstones(Vec<Manifest>);

impl Tombstones {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Manifest> {
        self.0.iter()
    }

    /// Returns whether the deletion of exactly this photo is recorded.
    pub(crate) fn has(&self, id: &PhotoId) -> bool {
        self.0.iter().any(|tombstone| tombstone.id == *id)
    }

    /// Returns when the same owner last deleted the same bytes.
    pub(crate) fn deleted_at(&self, manifest: &Manifest) -> Option<Timestamp> {
        let same =
            |tombstone: &&Manifest| tombstone.user_id == manifest.user_id && tombstone.hash == manifest.hash;
        self.0
            .iter()
            .filter(same)
            .filter_map(|tombstone| tombstone.deleted_at)
            .max()
    }
}
