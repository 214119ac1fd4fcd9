//! The record of the models in the metadata store, changed by compare-and-set.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::command::Request;
use super::recipe::ModelRecipe;
use crate::state_record::{StateRecord, Unreadable};
use lucida_core::{CollectionName, EmbedderInfo, Fingerprint, MetadataStore, PhotoId, Result, VectorIndex};

const RECORD: StateRecord<ModelRecord> = StateRecord::new("models", Unreadable::Refuse);

/// A model that has a collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownModel {
    /// The model.
    pub info: EmbedderInfo,
    /// The collection of its vectors.
    pub collection: CollectionName,
    /// How to open it again.
    pub recipe: Option<ModelRecipe>,
    /// When it was first used.
    pub since: Timestamp,
    /// The collection of another service that its first vectors were adopted from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_from: Option<String>,
}

/// A change of the model in progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelChange {
    /// The model whose collection is being filled.
    pub to: Fingerprint,
    /// The model that served before.
    pub from: Option<Fingerprint>,
    /// When the change began.
    pub started_at: Timestamp,
    /// The last photo that the current round has compared.
    pub after: Option<PhotoId>,
    /// How many photos of this round were found missing.
    pub missing: u64,
    /// How many photos of this round the model can't embed.
    pub given_up: u64,
    /// The last failure.
    pub problem: Option<String>,
}

impl ModelChange {
    /// Returns whether two values are the same change at different times.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.to == other.to && self.started_at == other.started_at
    }

    /// Starts a change.
    pub(super) fn new(to: Fingerprint, from: Option<Fingerprint>) -> Self {
        Self {
            to,
            from,
            started_at: Timestamp::now(),
            after: None,
            missing: 0,
            given_up: 0,
            problem: None,
        }
    }
}

/// What the metadata store knows of models.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelRecord {
    /// By fingerprint.
    pub(crate) models: BTreeMap<Fingerprint, KnownModel>,
    /// The change in progress.
    pub(super) change: Option<ModelChange>,
    /// The model that served before the last change.
    pub(super) previous: Option<Fingerprint>,
    /// The command of a process that can't open the index.
    #[serde(default)]
    pub(super) request: Option<Request>,
}

impl ModelRecord {
    /// Reads the record; a missing one is empty.
    pub(crate) async fn read(metadata: &dyn MetadataStore) -> Result<Self> {
        RECORD.read(metadata).await
    }

    /// Changes the record, again where another process was faster; returns what is stored.
    pub(crate) async fn change(
        metadata: &dyn MetadataStore,
        change: impl Fn(&mut Self) -> Result<()> + Send + Sync,
    ) -> Result<Self> {
        RECORD.change(metadata, change).await
    }

    /// Returns the model that a collection belongs to, by the collection's name where none is recorded.
    pub(super) fn fingerprint_of(
        &self,
        collection: &CollectionName,
        index: &dyn VectorIndex,
    ) -> Option<Fingerprint> {
        let known = self.models.values().find(|known| known.collection == *collection);
        known.map(|known| known.info.fingerprint.clone()).or_else(|| {
            let rest = collection.as_str().strip_prefix(index.alias_name())?;
            rest.strip_prefix('-').map(Fingerprint::from_stored)
        })
    }
}
