//! The record of the models in the ledger, changed by compare-and-set.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ModelCommand, ModelRecipe};
use lucida_core::{
    CollectionName, EmbedderInfo, Error, ErrorKind, Fingerprint, MetadataStore, PhotoId, Result, VectorIndex,
};

const RECORD: &str = "models";

/// How often a change is tried against others at the same time.
const MAX_CONFLICTS: usize = 32;

/// A model that has a collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownModel {
    /// What it is.
    pub info: EmbedderInfo,
    /// The collection of its vectors.
    pub collection: CollectionName,
    /// How to open it again.
    pub recipe: Option<ModelRecipe>,
    /// When it was first used.
    pub since: Timestamp,
    /// The collection that its first vectors were taken over from, where another service had made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_from: Option<String>,
}

/// A change of the model under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelChange {
    /// The model whose collection is being filled.
    pub to: Fingerprint,
    /// The model that served before.
    pub from: Option<Fingerprint>,
    /// When it began.
    pub started_at: Timestamp,
    /// Where the current round over the ledger has come to.
    pub after: Option<PhotoId>,
    /// How many photos of this round were found missing.
    pub missing: u64,
    /// How many photos of this round the model can't embed.
    pub given_up: u64,
    /// What went wrong last.
    pub problem: Option<String>,
}

impl ModelChange {
    /// Begins a change.
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

/// What somebody without access to the index asks of a process that has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) id: uuid::Uuid,
    pub(super) command: ModelCommand,
    /// Why it could not be done.
    pub(super) error: Option<String>,
}

/// All that the ledger knows of models.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct ModelBook {
    /// By fingerprint.
    pub(in super::super) models: BTreeMap<Fingerprint, KnownModel>,
    /// The change under way.
    pub(super) change: Option<ModelChange>,
    /// What served before the last change.
    pub(super) previous: Option<Fingerprint>,
    /// What is still to be done for somebody else.
    #[serde(default)]
    pub(super) request: Option<Request>,
}

impl ModelBook {
    /// Reads the record; an absent one is empty.
    pub(in super::super) async fn read(metadata: &dyn MetadataStore) -> Result<Self> {
        Ok(read_versioned(metadata).await?.0)
    }

    /// Changes the record, again if somebody else was quicker; returns what is recorded now.
    pub(in super::super) async fn change(
        metadata: &dyn MetadataStore,
        change: impl Fn(&mut Self) -> Result<()> + Send + Sync,
    ) -> Result<Self> {
        for _ in 0..MAX_CONFLICTS {
            let (mut book, version) = read_versioned(metadata).await?;
            let before = book.clone();
            change(&mut book)?;
            if book == before {
                return Ok(book);
            }
            let value = serde_json::to_value(&book)
                .map_err(|error| Error::internal("the models' record can't be written").with_source(error))?;
            match metadata.put_record(RECORD, &value, version).await {
                Ok(_) => return Ok(book),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::conflict(
            "the models' record is being changed by too many at once",
        ))
    }

    /// Returns the model that a collection belongs to; its name tells that of one that was never recorded.
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

async fn read_versioned(metadata: &dyn MetadataStore) -> Result<(ModelBook, Option<u64>)> {
    let Some(record) = metadata.record(RECORD).await? else {
        return Ok((ModelBook::default(), None));
    };
    let book = serde_json::from_value(record.value).map_err(|error| {
        let message = "the ledger's record `models` can't be read: it was written by a newer version";
        Error::internal(message).with_source(error)
    })?;
    Ok((book, Some(record.version)))
}
