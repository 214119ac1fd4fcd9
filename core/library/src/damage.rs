//! What is known of damage in the blob store: a record in the metadata store that every process reads.

use std::collections::BTreeMap;

use futures::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::Photos;
use lucida_core::{BlobStat, ContentHash, Error, ErrorKind, Photo, PhotoId, PhotoState, Result, metrics};

const RECORD: &str = "storage_report";

/// How often a change of the record is tried against others at the same time.
const MAX_CONFLICTS: usize = 16;

/// How many damaged originals are kept by name; further ones are only counted.
const MAX_NAMED: usize = 10_000;

/// What is wrong with an original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// The store has lost it.
    Missing,
    /// It has another size than it was stored with.
    WrongSize,
    /// It has the right size and other bytes.
    WrongBytes,
}

impl Damage {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Missing, Self::WrongSize, Self::WrongBytes];

    /// Returns the name that metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::WrongSize => "wrong_size",
            Self::WrongBytes => "wrong_bytes",
        }
    }

    /// Makes the error of whoever needs the original.
    pub(super) fn error(self, photo: &Photo) -> Error {
        let (what, code) = match self {
            Self::Missing => ("is missing from the store", "blob_missing"),
            Self::WrongSize => ("has another size than it was stored with", "blob_damaged"),
            Self::WrongBytes => ("has other bytes than it was stored with", "blob_damaged"),
        };
        Error::internal(format!(
            "the original of photo `{}` {what}: upload the same file again, or restore it from a backup",
            photo.id
        ))
        .with_code(code)
    }
}

/// What the last comparisons found in the blob store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageReport {
    /// Photos whose originals are damaged, up to a bound.
    pub damaged: BTreeMap<PhotoId, Damage>,
    /// How many more there are.
    #[serde(default)]
    pub damaged_unnamed: u64,
    /// Originals that no record names.
    pub unknown_originals: u64,
    /// When all stores were last compared.
    pub compared_at: Option<Timestamp>,
}

impl StorageReport {
    /// Returns how many originals are damaged in one way.
    #[must_use]
    pub fn count(&self, damage: Damage) -> u64 {
        self.damaged.values().filter(|found| **found == damage).count() as u64
    }

    /// Returns a sentence for whoever looks after the server, `None` when all is well.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let damaged = self.damaged.len() as u64 + self.damaged_unnamed;
        let unknown = self.unknown_originals;
        let mut notes = Vec::new();
        if damaged > 0 {
            notes.push(format!("originals missing or damaged: {damaged}"));
        }
        if unknown > 0 {
            notes.push(format!("originals that no record names: {unknown}"));
        }
        (!notes.is_empty()).then(|| format!("{}; `lucida check` lists them", notes.join(", ")))
    }

    pub(super) fn set_damaged(&mut self, damaged: BTreeMap<PhotoId, Damage>) {
        let all = damaged.len();
        self.damaged = damaged.into_iter().take(MAX_NAMED).collect();
        self.damaged_unnamed = (all - self.damaged.len()) as u64;
    }

    fn set(&mut self, id: PhotoId, damage: Option<Damage>) {
        match damage {
            Some(damage) if self.damaged.contains_key(&id) || self.damaged.len() < MAX_NAMED => {
                self.damaged.insert(id, damage);
            }
            Some(_) => self.damaged_unnamed += 1,
            None => {
                self.damaged.remove(&id);
            }
        }
    }

    pub(super) fn set_gauges(&self) {
        for damage in Damage::ALL {
            metrics::DAMAGED_ORIGINALS.set(crate::photos::gauge(self.count(damage)), &[damage.as_str()]);
        }
        metrics::UNKNOWN_ORIGINALS.set(crate::photos::gauge(self.unknown_originals), &[]);
    }
}

impl Photos {
    /// Returns what the last comparisons found in the blob store, by whichever process.
    ///
    /// # Errors
    /// Those of the metadata store.
    pub async fn storage_report(&self) -> Result<StorageReport> {
        let record = self.parts().metadata.record(RECORD).await?;
        // One that can't be read is of another version: the next comparison writes it anew.
        Ok(record
            .and_then(|record| serde_json::from_value(record.value).ok())
            .unwrap_or_default())
    }

    pub(super) async fn change_storage_report(
        &self,
        change: impl Fn(&mut StorageReport) + Send + Sync,
    ) -> Result<()> {
        let metadata = &self.parts().metadata;
        for _ in 0..MAX_CONFLICTS {
            let record = metadata.record(RECORD).await?;
            let version = record.as_ref().map(|record| record.version);
            let mut report: StorageReport = record
                .and_then(|record| serde_json::from_value(record.value).ok())
                .unwrap_or_default();
            let before = report.clone();
            change(&mut report);
            if report == before {
                return Ok(());
            }
            let value = serde_json::to_value(&report)
                .map_err(|error| Error::internal("the storage report can't be written").with_source(error))?;
            match metadata.put_record(RECORD, &value, version).await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::conflict(
            "the storage report is being changed by too many at once",
        ))
    }

    /// Writes down how an original was found, without failing whoever found it.
    pub(super) async fn note_damage(&self, id: &PhotoId, damage: Option<Damage>) {
        let noted = self.change_storage_report(|report| report.set(*id, damage)).await;
        if let Err(error) = noted {
            warn!(%error, photo_id = %id, "damage to an original was not recorded");
        }
    }

    /// Looks at an original without reading it; `None` when it exists in its right size.
    pub(super) async fn stat_original(&self, photo: &Photo) -> Result<Option<Damage>> {
        match self.parts().storage.stat(&photo.blob).await {
            Ok(BlobStat { size_bytes, .. }) if size_bytes == photo.size_bytes => Ok(None),
            Ok(_) => Ok(Some(Damage::WrongSize)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(Damage::Missing)),
            Err(error) => Err(error),
        }
    }

    /// Reads an original and compares it with its record; `None` when it is right, or the photo is gone meanwhile.
    pub(super) async fn verify_original(&self, photo: &Photo, pace: &mut Pace) -> Result<Option<Damage>> {
        let Some(damage) = self.hash_original(photo, pace).await? else {
            return Ok(None);
        };
        // A deletion, or an upload that puts the bytes back, may have come in between.
        match self.parts().metadata.get(&photo.id).await? {
            Some(now) if now.state != PhotoState::Deleting => {}
            Some(_) | None => return Ok(None),
        }
        match self.hash_original(photo, pace).await? {
            Some(_) => Ok(Some(damage)),
            None => Ok(None),
        }
    }

    /// Reads an original and compares it with what `photo` says.
    pub(super) async fn hash_original(&self, photo: &Photo, pace: &mut Pace) -> Result<Option<Damage>> {
        let mut blob = match self.parts().storage.get(&photo.blob, None).await {
            Ok(blob) => blob,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(Damage::Missing)),
            Err(error) => return Err(error),
        };
        if blob.size_bytes != photo.size_bytes {
            return Ok(Some(Damage::WrongSize));
        }
        let mut hasher = blake3::Hasher::new();
        while let Some(piece) = blob.stream.next().await.transpose()? {
            hasher.update(&piece);
            metrics::SCRUBBED_BYTES.add(piece.len() as u64, &[]);
            pace.spend(piece.len()).await;
        }
        let hash = ContentHash::from_bytes(*hasher.finalize().as_bytes());
        Ok((hash != photo.hash).then_some(Damage::WrongBytes))
    }
}

/// Bounds how fast originals are read, in bytes a second.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_sec: u64,
    next: tokio::time::Instant,
}

impl Pace {
    /// Makes a pace; 0 doesn't bound it.
    pub(super) fn new(bytes_per_sec: u64) -> Self {
        Self {
            bytes_per_sec,
            next: tokio::time::Instant::now(),
        }
    }

    async fn spend(&mut self, bytes: usize) {
        if self.bytes_per_sec == 0 {
            return;
        }
        tokio::time::sleep_until(self.next).await;
        #[expect(
            clippy::cast_precision_loss,
            reason = "only roughly how long it takes matters"
        )]
        let takes = std::time::Duration::from_secs_f64(bytes as f64 / self.bytes_per_sec as f64);
        self.next = self.next.max(tokio::time::Instant::now()) + takes;
    }
}
