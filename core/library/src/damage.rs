//! What is known of damage in the blob store: a record in the metadata store that every process reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::gauge;
use crate::state_record::{StateRecord, Unreadable};
use lucida_core::{Error, MetadataStore, Photo, PhotoId, Result, metrics};

/// One that another version has written is replaced by the next comparison.
const RECORD: StateRecord<StorageReport> = StateRecord::new("storage_report", Unreadable::StartOver);

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

    /// Returns the error of a call that needs the original.
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

    /// Returns a sentence for the operator; `None` when no damage is known.
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
            metrics::DAMAGED_ORIGINALS.set(gauge(self.count(damage)), &[damage.as_str()]);
        }
        metrics::UNKNOWN_ORIGINALS.set(gauge(self.unknown_originals), &[]);
    }
}

/// The record of damage, which every process reads and changes.
#[derive(Clone)]
pub(crate) struct DamageLog {
    metadata: Arc<dyn MetadataStore>,
}

impl DamageLog {
    pub(crate) fn new(metadata: Arc<dyn MetadataStore>) -> Self {
        Self { metadata }
    }

    /// Returns what the last comparisons of any process found in the blob store.
    ///
    /// # Errors
    /// Those of the metadata store.
    pub(crate) async fn report(&self) -> Result<StorageReport> {
        RECORD.read(&*self.metadata).await
    }

    /// Changes the report.
    ///
    /// # Errors
    /// Those of the metadata store.
    pub(crate) async fn change(&self, change: impl Fn(&mut StorageReport) + Send + Sync) -> Result<()> {
        let change = |report: &mut StorageReport| {
            change(report);
            Ok(())
        };
        RECORD.change(&*self.metadata, change).await.map(drop)
    }

    /// Records how an original was found; a failure is only logged.
    pub(crate) async fn note(&self, id: &PhotoId, damage: Option<Damage>) {
        if let Err(error) = self.change(|report| report.set(*id, damage)).await {
            warn!(%error, photo_id = %id, "damage to an original was not recorded");
        }
    }
}
