//! How a model is opened again after a restart.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use lucida_core::{Embedder, Result};

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
