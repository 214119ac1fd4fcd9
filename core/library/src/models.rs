//! Which model serves, which one is being filled in, and how a library moves from one to the other.
//!
//! The index's alias decides which model searches use. A record in the metadata store, the [`ModelRecord`], holds the rest:
//! every model that has a collection, with the recipe to open it again, and the change in progress. [`ModelState`] follows
//! from both. Each process reads them all the time ([`View`]) and so follows a change that another process makes.

mod command;
mod control;
mod fill;
mod opening;
mod recipe;
mod record;
mod register;
mod state;
mod status;
mod switch;
mod verify;
mod view;

use std::sync::Arc;

use tokio::sync::OnceCell;

pub use self::command::ModelCommand;
pub use self::control::{ModelControl, request_of_models};
pub use self::recipe::{ModelRecipe, ModelSource, OpenModel};
use self::record::ModelRecord;
pub use self::record::{KnownModel, ModelChange};
pub(crate) use self::state::ModelState;
pub use self::status::{ModelRole, ModelStatus};
pub(crate) use self::switch::ModelSwitch;
use self::view::ViewCache;
pub(crate) use self::view::{Live, View};
use lucida_core::{CollectionName, Embedder, MetadataStore, Result, VectorIndex};

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
