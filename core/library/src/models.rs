//! Which model serves, which one is being filled in, and how a library moves from one to the other.
//!
//! The index's alias decides which model searches use. A record in the metadata store, the [`ModelRecord`], holds the rest:
//! every model that has a collection, with the recipe to open it again, and the change in progress. [`ModelState`] follows
//! from both. Each process reads them all the time ([`View`]) and so follows a change that another process makes.

mod command;
mod fill;
mod record;
mod register;
mod switch;
mod verify;
mod view;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::OnceCell;

pub use command::{ModelCommand, ModelControl, request_of_models};
use record::ModelRecord;
pub use record::{KnownModel, ModelChange};
pub(crate) use switch::ModelSwitch;
use view::ViewCache;
pub(crate) use view::{Live, View};

use lucida_core::{
    CollectionName, Embedder, EmbedderInfo, Fingerprint, MetadataStore, Photo, Result, VectorIndex,
};

/// How an embedder can be opened again: its type and its settings, without secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRecipe {
    /// The word that a config file uses.
    pub type_name: String,
    /// The settings of that type.
    pub settings: Value,
}

/// Opens the embedder of a recipe.
#[async_trait]
pub trait OpenModel: Send + Sync {
    /// Opens it.
    ///
    /// # Errors
    /// `ConfigInvalid` for a recipe that this build can't read; what opening the model gives.
    async fn open(&self, recipe: &ModelRecipe) -> Result<Arc<dyn Embedder>>;
}

/// The recipe of the configured model, and what opens those of others.
#[derive(Clone)]
pub struct ModelSource {
    /// How the configured embedder was made.
    pub recipe: ModelRecipe,
    /// Opens another one.
    pub opener: Arc<dyn OpenModel>,
}

/// What a model is to the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelRole {
    /// Searches use it.
    Serving,
    /// Its collection is being filled; searches will use it once it is complete.
    Filling,
    /// Its collection is kept for a way back.
    Kept,
}

impl ModelRole {
    /// Returns the name that answers and reports use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Filling => "filling",
            Self::Kept => "kept",
        }
    }
}

/// A model that the library has vectors of.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelStatus {
    /// The model.
    pub info: EmbedderInfo,
    /// What it is to the library.
    pub role: ModelRole,
    /// The collection of its vectors.
    pub collection: CollectionName,
    /// How many vectors there are in it.
    pub points: u64,
    /// How many there will be, while it is being filled.
    pub photos: Option<u64>,
    /// What keeps the model from being used or its filling from going on.
    pub problem: Option<String>,
    /// Whether it is the one that this process is configured with.
    pub configured: bool,
}

/// Whether a change of the model is in progress, and how far it is.
///
/// ```text
///              a process has a new model                 complete and verified:
///                                                        the alias moves
///   Settled ───────────────────────────────▶ Filling ───────────────────────────▶ CatchingUp
///    ▲  ▲ │                                     │                                     ▲  │
///    │  │ └────── activate, rollback, or the index lost its vectors ──────────────────┘  │
///    │  └───── drop, or activate the serving model ────┘                                 │
///    └────────────────────── a round finds no photo missing ─────────────────────────────┘
/// ```
///
/// It follows from two things that processes share: the index's alias, and the change in the record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ModelState {
    /// No change: searches use the model of the alias.
    Settled,
    /// The collection of a new model is being filled, while searches use the earlier one.
    Filling(ModelChange),
    /// Searches use the model already; ready photos that its collection lacks are being added.
    CatchingUp(ModelChange),
}

impl ModelState {
    /// Returns the state while the model with the fingerprint `serving` has the alias.
    fn of(record: &ModelRecord, serving: Option<&Fingerprint>) -> Self {
        match &record.change {
            None => Self::Settled,
            Some(change) if Some(&change.to) == serving => Self::CatchingUp(change.clone()),
            Some(change) => Self::Filling(change.clone()),
        }
    }

    /// Returns the change in progress.
    pub(crate) const fn change(&self) -> Option<&ModelChange> {
        match self {
            Self::Settled => None,
            Self::Filling(change) | Self::CatchingUp(change) => Some(change),
        }
    }
}

/// The models of the library: the configured one and those of the record, opened where they are needed.
#[derive(Clone)]
pub(crate) struct Models {
    metadata: Arc<dyn MetadataStore>,
    index: Arc<dyn VectorIndex>,
    embedder: Arc<dyn Embedder>,
    source: Option<ModelSource>,
    collection: CollectionName,
    registered: Arc<OnceCell<()>>,
    cache: Arc<ViewCache>,
}

impl Models {
    /// Creates the models of a library; `embedder` is the configured one.
    ///
    /// # Errors
    /// `InvalidInput` when the index's alias can't name a collection.
    pub(crate) fn new(
        metadata: Arc<dyn MetadataStore>,
        index: Arc<dyn VectorIndex>,
        embedder: Arc<dyn Embedder>,
        source: Option<ModelSource>,
    ) -> Result<Self> {
        let collection =
            CollectionName::for_fingerprint(index.alias_name(), &embedder.describe().fingerprint)?;
        Ok(Self {
            metadata,
            index,
            embedder,
            source,
            collection,
            registered: Arc::default(),
            cache: Arc::default(),
        })
    }

    /// Returns the configured model.
    pub(crate) fn configured(&self) -> &Arc<dyn Embedder> {
        &self.embedder
    }

    /// Returns the collection of the configured model.
    pub(crate) fn collection(&self) -> &CollectionName {
        &self.collection
    }

    /// Makes sure that the library knows the configured model, once; the next call retries after a failure.
    ///
    /// # Errors
    /// Those of the index and the metadata store; `Conflict` when the model's collection has other dimensions.
    pub(crate) async fn prepare(&self) -> Result<()> {
        self.registered.get_or_try_init(|| self.register()).await?;
        Ok(())
    }

    /// Lists the models that the library has vectors of, the serving one first.
    ///
    /// # Errors
    /// Those of the index and the metadata store.
    pub(crate) async fn statuses(&self) -> Result<Vec<ModelStatus>> {
        self.prepare().await?;
        let view = self.view().await?;
        let own = &self.embedder.describe().fingerprint;
        let mut statuses = self.control().list().await?;
        for status in &mut statuses {
            status.configured = status.info.fingerprint == *own;
            if status.role == ModelRole::Serving {
                status.problem = status.problem.take().or_else(|| view.problem.clone());
            }
        }
        Ok(statuses)
    }

    /// Returns the commands of an operator on these models.
    pub(crate) fn control(&self) -> ModelControl {
        ModelControl::new(Arc::clone(&self.metadata), Arc::clone(&self.index))
    }

    /// Records the collection that vectors of the configured model were adopted from.
    ///
    /// # Errors
    /// Those of the metadata store.
    pub(crate) async fn record_adoption(&self, from: &str) -> Result<()> {
        let own = &self.embedder.describe().fingerprint;
        ModelRecord::change(&*self.metadata, |record| {
            if let Some(known) = record.models.get_mut(own) {
                known.adopted_from = Some(from.to_owned());
            }
            Ok(())
        })
        .await?;
        Ok(())
    }
}

/// Returns whether a photo that is ready was given up by the model that is being filled in since `started_at`.
fn given_up(photo: &Photo, started_at: Timestamp) -> bool {
    photo.error.is_some() && photo.next_attempt_at.is_none() && photo.updated_at >= started_at
}
