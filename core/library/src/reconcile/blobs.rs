//! The blobs against the records: originals and derived blobs that no record names, and missing manifests.
//!
//! An original that no record names is deleted only where a deletion is recorded for it, or where the same owner's photo
//! has the same bytes, read and verified. Every other one stays, whatever the metadata store says: it may be an empty one,
//! one of another server, or one that was restored from an old backup.

use std::collections::{HashMap, HashSet};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};

use super::finding::FindingKind;
use super::pass::{PAGE, Pass, ago};
use super::progress::DeepRun;
use crate::blobs::Pace;
use crate::manifest::Manifest;
use crate::manifests::Tombstones;
use lucida_core::{BlobKey, BlobStat, Error, Photo, PhotoId, PhotoState, Result};

/// How far the clocks of two servers may differ. An upload this soon after a deletion of the same bytes may be a new one.
const CLOCK_MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// How long a tombstone is kept at least: long enough for a deep pass to remove what was left of the photo, and for a
/// backup of the metadata store that was made before the deletion to be restored.
const TOMBSTONE_KEPT: SignedDuration = SignedDuration::from_hours(24 * 30);

/// The names of the folders that keys are spread over, under each prefix.
pub(crate) fn hex_folders() -> impl ExactSizeIterator<Item = String> {
    (0..=255_u16).map(|folder| format!("{folder:02x}"))
}

/// An original that no record names.
struct Unknown {
    key: BlobKey,
    manifest: Option<Manifest>,
}

impl Unknown {
    fn subject(&self) -> String {
        match &self.manifest {
            Some(Manifest {
                user_id,
                filename: Some(filename),
                ..
            }) => format!("{} ({filename}, of {user_id})", self.key),
            Some(Manifest { user_id, .. }) => format!("{} (of {user_id})", self.key),
            None => self.key.to_string(),
        }
    }
}

impl Pass<'_> {
    /// Compares every blob with the records, from the given folder on.
    pub(super) async fn blobs_against_records(&mut self, from: usize, run: &mut DeepRun<'_>) -> Result<()> {
        let tombstones = self.stores.manifests.tombstones().await?;
        for (at, folder) in hex_folders().enumerate().skip(from) {
            for unknown in self.originals(&folder, &tombstones).await? {
                *run.unknown_originals.entry(at).or_default() += 1;
                if self.forget_unknown.is_none() {
                    self.found(FindingKind::OriginalUnknown, unknown.subject(), false);
                }
            }
            self.derived(&folder).await?;
            run.save_blobs(self, at + 1).await?;
        }
        self.report.unknown_originals = run.unknown_originals.values().sum();
        if let Some(expected) = self.forget_unknown {
            self.forget(expected, &tombstones, run).await?;
        }
        if self.repair {
            self.remove_old_tombstones(&tombstones).await?;
        }
        Ok(())
    }

    /// Deletes the originals that no record names, if there are exactly as many as expected.
    async fn forget(&mut self, expected: u64, tombstones: &Tombstones, run: &DeepRun<'_>) -> Result<()> {
        let counted = self.report.unknown_originals;
        if counted != expected {
            return Err(Error::conflict(format!(
                "found {counted} originals that no record names, not {expected}: none was deleted"
            )));
        }
        let blobs = self.report.blobs;
        let folders = hex_folders().enumerate();
        for (_, folder) in folders.filter(|(at, _)| run.unknown_originals.contains_key(at)) {
            for unknown in self.originals(&folder, tombstones).await? {
                self.delete_original(&unknown.key).await?;
                self.found(FindingKind::OriginalUnknown, unknown.subject(), true);
                self.report.unknown_originals = self.report.unknown_originals.saturating_sub(1);
            }
            if self.repair {
                self.derived(&folder).await?;
            }
            self.progress();
        }
        self.report.blobs = blobs;
        Ok(())
    }

    /// Looks at the originals of a folder: writes missing manifests, deletes what is recorded as deleted or duplicate, and
    /// returns the others that no record names.
    async fn originals(&mut self, folder: &str, tombstones: &Tombstones) -> Result<Vec<Unknown>> {
        let stores = self.stores;
        let storage = &stores.storage;
        let mut manifests = HashSet::new();
        let mut listed = storage.list(&format!("{}{folder}/", BlobKey::MANIFESTS));
        while let Some(stat) = listed.next().await.transpose()? {
            manifests.extend(stat.key.photo_id());
        }
        let mut unknown = Vec::new();
        let mut chunks = storage
            .list(&format!("{}{folder}/", BlobKey::ORIGINALS))
            .chunks(PAGE);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.into_iter().collect::<Result<Vec<_>>>()?;
            self.report.blobs += chunk.len() as u64;
            let known = self.records_of(&chunk).await?;
            for stat in chunk {
                let id = stat.key.photo_id();
                let has_manifest = id.is_some_and(|id| manifests.remove(&id));
                match id.and_then(|id| known.get(&id)) {
                    Some(photo) if photo.blob == stat.key => {
                        if !has_manifest {
                            self.missing_manifest(photo).await?;
                        }
                    }
                    Some(_) | None if !is_older(&stat, self.settled_before) => {}
                    Some(_) | None => {
                        unknown.extend(self.unnamed_original(&stat, has_manifest, tombstones).await?);
                    }
                }
            }
        }
        for tombstone in tombstones
            .iter()
            .filter(|tombstone| manifests.contains(&tombstone.id))
        {
            let recorded = stores.metadata.get(&tombstone.id).await?.is_some();
            if self.repair && !recorded {
                storage.delete(&BlobKey::manifest(&tombstone.id)).await?;
            }
        }
        Ok(unknown)
    }

    async fn records_of(&mut self, chunk: &[BlobStat]) -> Result<HashMap<PhotoId, Photo>> {
        let mut ids: Vec<_> = chunk.iter().filter_map(|stat| stat.key.photo_id()).collect();
        ids.sort_unstable();
        ids.dedup();
        let known = self.stores.metadata.get_many(&ids).await?;
        Ok(known.into_iter().map(|photo| (photo.id, photo)).collect())
    }

    /// Photos that an earlier version took in have no manifest yet.
    async fn missing_manifest(&mut self, photo: &Photo) -> Result<()> {
        if photo.state == PhotoState::Deleting {
            return Ok(());
        }
        if self.repair {
            self.stores.manifests.refresh(photo).await?;
        }
        self.found(FindingKind::ManifestMissing, photo.id, self.repair);
        Ok(())
    }

    /// Decides about an original that no record names; returns one that stays.
    async fn unnamed_original(
        &mut self,
        stat: &BlobStat,
        has_manifest: bool,
        tombstones: &Tombstones,
    ) -> Result<Option<Unknown>> {
        let stores = self.stores;
        let id = stat.key.photo_id();
        let manifest = match id.filter(|_| has_manifest) {
            Some(id) => stores.manifests.read(&id).await?,
            None => None,
        };
        let kind = if id.is_some_and(|id| tombstones.has(&id))
            || manifest
                .as_ref()
                .is_some_and(|manifest| deleted_after(manifest, tombstones))
        {
            Some(FindingKind::DeletionUnfinished)
        } else if let Some(manifest) = &manifest
            && self.is_duplicate(manifest).await?
        {
            Some(FindingKind::OriginalDuplicate)
        } else {
            None
        };
        // The listing is a moment old: the record may have come meanwhile.
        if let Some(id) = id
            && stores.metadata.get(&id).await?.is_some()
        {
            return Ok(None);
        }
        let Some(kind) = kind else {
            let key = stat.key.clone();
            return Ok(Some(Unknown { key, manifest }));
        };
        // An upload in progress may be about to record it.
        if is_older(stat, ago(stores.orphan_grace)?) {
            if self.repair {
                self.delete_original(&stat.key).await?;
            }
            self.found(kind, &stat.key, self.repair);
        }
        Ok(None)
    }

    /// Returns whether another photo of the same owner has these bytes, by reading them.
    async fn is_duplicate(&mut self, manifest: &Manifest) -> Result<bool> {
        let stores = self.stores;
        let found = stores
            .metadata
            .find_by_hash(&manifest.user_id, &manifest.hash)
            .await?;
        let Some(photo) = found else { return Ok(false) };
        if photo.id == manifest.id || photo.state == PhotoState::Deleting {
            return Ok(false);
        }
        Ok(stores
            .blobs
            .compare_hash(&photo, &mut Pace::new(0))
            .await?
            .is_none())
    }

    async fn delete_original(&mut self, key: &BlobKey) -> Result<()> {
        let storage = &self.stores.storage;
        storage.delete(key).await?;
        if let Some(id) = key.photo_id() {
            storage.delete(&BlobKey::manifest(&id)).await?;
        }
        Ok(())
    }

    /// Deletes the derived blobs of a folder that no record names. Those of an original that no record names stay with it.
    async fn derived(&mut self, folder: &str) -> Result<()> {
        let stores = self.stores;
        let oldest_orphan = ago(stores.orphan_grace)?;
        let storage = &stores.storage;
        let mut chunks = storage
            .list(&format!("{}{folder}/", BlobKey::DERIVED))
            .chunks(PAGE);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.into_iter().collect::<Result<Vec<_>>>()?;
            self.report.blobs += chunk.len() as u64;
            let known = self.records_of(&chunk).await?;
            let mut with_original = HashMap::new();
            for stat in chunk {
                let id = stat.key.photo_id();
                let record = id.and_then(|id| known.get(&id));
                let named =
                    record.is_some_and(|photo| photo.derived.values().any(|derived| derived.key == stat.key));
                if named || !is_older(&stat, oldest_orphan) {
                    continue;
                }
                if let (Some(id), None) = (id, record) {
                    let kept = match with_original.get(&id) {
                        Some(kept) => *kept,
                        None => stores.blobs.exists(&BlobKey::original(&id)).await?,
                    };
                    with_original.insert(id, kept);
                    if kept {
                        continue;
                    }
                }
                if self.repair {
                    storage.delete(&stat.key).await?;
                }
                self.found(FindingKind::BlobUnknown, &stat.key, self.repair);
            }
        }
        Ok(())
    }

    /// Finishes deletions that only the blob store knows of: a metadata store from an older backup still has the photos.
    pub(super) async fn finish_recorded_deletions(&mut self) -> Result<()> {
        let stores = self.stores;
        let tombstones = stores.manifests.tombstones().await?;
        for tombstone in tombstones.iter() {
            let Some(photo) = stores.metadata.get(&tombstone.id).await? else {
                continue;
            };
            // `lucida adopt` may have brought the id back since.
            let again = tombstone
                .deleted_at
                .is_none_or(|deleted| photo.created_at > deleted);
            if photo.state == PhotoState::Deleting || again {
                continue;
            }
            if self.repair {
                let deleting = |photo: &mut Photo| photo.state = PhotoState::Deleting;
                if let Some(marked) = stores.records.change(photo, deleting).await? {
                    stores.deletion.finish(&marked).await?;
                }
            }
            self.found(FindingKind::DeletionUnfinished, tombstone.id, self.repair);
        }
        Ok(())
    }

    async fn remove_old_tombstones(&mut self, tombstones: &Tombstones) -> Result<()> {
        let stores = self.stores;
        let deep_interval = SignedDuration::try_from(stores.deep_interval)
            .unwrap_or(TOMBSTONE_KEPT)
            .saturating_mul(2);
        let kept = TOMBSTONE_KEPT.max(deep_interval);
        for tombstone in tombstones.iter() {
            let old = tombstone
                .deleted_at
                .is_none_or(|deleted| Timestamp::now().duration_since(deleted) > kept);
            if old
                && stores.metadata.get(&tombstone.id).await?.is_none()
                && !stores.blobs.exists(&BlobKey::original(&tombstone.id)).await?
            {
                let storage = &stores.storage;
                storage.delete(&BlobKey::tombstone(&tombstone.id)).await?;
            }
        }
        Ok(())
    }
}

/// Returns whether an upload was certainly over before its owner deleted the same bytes.
fn deleted_after(manifest: &Manifest, tombstones: &Tombstones) -> bool {
    let deleted = tombstones.deleted_at(manifest);
    deleted.is_some_and(|deleted| deleted.duration_since(manifest.created_at) > CLOCK_MARGIN)
}

/// Returns whether a blob was written, and its photo's upload began, before `time`.
fn is_older(stat: &BlobStat, time: Timestamp) -> bool {
    let made = stat.key.photo_id().and_then(|id| id.made_at());
    stat.modified_at.is_none_or(|modified| modified < time) && made.is_none_or(|made| made < time)
}
