//! The blobs against the ledger: those that no photo names, folder by folder.
//!
//! They are counted before any is deleted. Many of them mean less likely that so many uploads broke off than that this is
//! not the ledger of these blobs: an empty one, one of another server, or one that was restored from too old a backup.

use std::collections::{BTreeMap, HashMap};

use futures::StreamExt;
use jiff::Timestamp;

use super::super::Photos;
use super::FindingKind;
use super::pass::{PAGE, Pass, ago};
use super::progress::DeepRun;
use crate::error::Result;
use crate::id::PhotoId;
use crate::storage::{BlobKey, BlobStat};

/// How many unknown blobs are deleted whatever their share is.
const FEW: u64 = 100;

/// From which share of all blobs on none is deleted, as one in so many.
const ONE_IN: u64 = 10;

/// The prefixes that all blobs lie under, one for each of the folders that keys are spread over.
pub(super) fn folders() -> impl Iterator<Item = String> {
    [BlobKey::ORIGINALS, BlobKey::DERIVED]
        .into_iter()
        .flat_map(|prefix| (0..=u8::MAX).map(move |folder| format!("{prefix}{folder:02x}/")))
}

impl Pass<'_> {
    /// Counts the blobs and those that no photo names, from the given folder on; without `repair` it tells each.
    pub(super) async fn count_blobs(&mut self, from: usize, run: &mut DeepRun<'_>) -> Result<()> {
        for (at, folder) in folders().enumerate().skip(from) {
            let mut blobs = 0;
            for key in unknown_blobs(self.photos, &folder, &mut blobs).await? {
                *run.unknown_blobs.entry(at).or_default() += 1;
                if !self.repair {
                    self.found(FindingKind::BlobUnknown, &key, false);
                }
            }
            self.report.blobs += blobs;
            run.save_blobs(self, at + 1).await?;
        }
        Ok(())
    }

    /// Deletes what [`Pass::count_blobs`] counted, unless that is too much to be true.
    pub(super) async fn delete_blobs(
        &mut self,
        force: bool,
        unknown_by_folder: &BTreeMap<usize, u64>,
    ) -> Result<()> {
        let unknown: u64 = unknown_by_folder.values().sum();
        if unknown > FEW && unknown > self.report.blobs / ONE_IN && !force {
            self.report.kept_blobs = unknown;
            self.report.unrepaired += unknown;
            *self.report.findings.entry(FindingKind::BlobUnknown).or_default() += unknown;
            return Ok(());
        }
        let counted = folders().enumerate();
        for (_, folder) in counted.filter(|(at, _)| unknown_by_folder.contains_key(at)) {
            for key in unknown_blobs(self.photos, &folder, &mut 0).await? {
                self.photos.parts().storage.delete(&key).await?;
                self.found(FindingKind::BlobUnknown, &key, true);
            }
            self.progress();
        }
        Ok(())
    }
}

/// Returns the old blobs of a folder that no photo names, and adds all of its blobs to `blobs`.
async fn unknown_blobs(photos: &Photos, folder: &str, blobs: &mut u64) -> Result<Vec<BlobKey>> {
    let oldest_orphan = ago(photos.options().orphan_grace)?;
    let mut unknown = Vec::new();
    let mut chunks = photos.parts().storage.list(folder).chunks(PAGE);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.into_iter().collect::<Result<Vec<_>>>()?;
        *blobs += chunk.len() as u64;
        let mut ids: Vec<_> = chunk.iter().filter_map(|blob| blob.key.photo_id()).collect();
        ids.sort_unstable();
        ids.dedup();
        let known = photos.parts().metadata.get_many(&ids).await?;
        let known: HashMap<_, _> = known.iter().map(|photo| (photo.id, photo)).collect();
        for BlobStat { key, modified_at, .. } in chunk {
            let named = key.photo_id().and_then(|id| known.get(&id)).is_some_and(|photo| {
                photo.blob == key || photo.derived.values().any(|derived| derived.key == key)
            });
            // An upload or a worker may be between the blob and the record that names it.
            let old = modified_at.is_none_or(|modified| modified < oldest_orphan)
                && key.photo_id().is_none_or(|id| made_before(&id, oldest_orphan));
            if !named && old {
                unknown.push(key);
            }
        }
    }
    Ok(unknown)
}

/// Tells by a UUIDv7's own time whether a photo's upload began before `time`.
fn made_before(id: &PhotoId, time: Timestamp) -> bool {
    let Some((seconds, nanoseconds)) = id.as_uuid().get_timestamp().map(|made| made.to_unix()) else {
        return true;
    };
    i64::try_from(seconds)
        .ok()
        .zip(i32::try_from(nanoseconds).ok())
        .and_then(|(seconds, nanoseconds)| Timestamp::new(seconds, nanoseconds).ok())
        .is_none_or(|made| made < time)
}
