//! Which model serves, which one is being filled in, and how a library moves from one to the other.
//!
//! The index's alias is the truth about what searches use. A record in the ledger, the [`ModelBook`], holds what is
//! needed besides: every model that has a collection, with the recipe to open it again, and the change under way.
//! Each process looks at both every moment ([`View`]) and so follows a change that another process makes.

mod book;
mod change;
mod command;
mod fill;
mod verify;
mod view;

use std::sync::Arc;

use async_trait::async_trait;
pub(super) use book::ModelBook;
pub use book::{KnownModel, ModelChange};
pub use command::{ModelCommand, ModelControl, request_of_models};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
pub(super) use view::{Live, View, ViewCache};

use super::Photos;
use lucida_core::{CollectionName, Embedder, EmbedderInfo, Photo, Result};

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

impl Photos {
    /// Tells what models the library has vectors of, the serving one first.
    ///
    /// # Errors
    /// Those of the index and the ledger.
    pub async fn models(&self) -> Result<Vec<ModelStatus>> {
        self.prepare().await?;
        let view = self.view().await?;
        let own = &self.parts().embedder.describe().fingerprint;
        let mut statuses = self.model_control().list().await?;
        for status in &mut statuses {
            status.configured = status.info.fingerprint == *own;
            if status.role == ModelRole::Serving {
                status.problem = status.problem.take().or_else(|| view.problem.clone());
            }
        }
        Ok(statuses)
    }

    /// Returns what lists and moves models, on this service's ledger and index.
    #[must_use]
    pub fn model_control(&self) -> ModelControl {
        ModelControl::new(
            Arc::clone(&self.parts().metadata),
            Arc::clone(&self.parts().index),
        )
    }
}

/// Tells whether a photo that is ready was given up by the model that is being filled in since `started_at`.
fn given_up(photo: &Photo, started_at: Timestamp) -> bool {
    photo.error.is_some() && photo.next_attempt_at.is_none() && photo.updated_at >= started_at
}
