//! The models of the server under the names that an API's clients know.

use std::collections::BTreeMap;
use std::sync::Arc;

use lucida_core::{EmbedderInfo, Embeddings, Error, Result};

/// The models of the server, some of them under further names; cheap to clone.
#[derive(Clone)]
pub struct Models {
    embeddings: Arc<dyn Embeddings>,
    names: Arc<BTreeMap<String, String>>,
}

impl Models {
    /// Adds further names to the server's models: the clients' name, and the name of the model that answers for it.
    #[must_use]
    pub fn new(embeddings: Arc<dyn Embeddings>, names: &BTreeMap<String, String>) -> Self {
        Self {
            embeddings,
            names: Arc::new(names.clone()),
        }
    }

    /// Returns the models themselves.
    #[must_use]
    pub fn embeddings(&self) -> &dyn Embeddings {
        &*self.embeddings
    }

    /// Returns every name that can be asked for, with its model: the models by their own names, the configured one first,
    /// then the further names.
    #[must_use]
    pub fn named(&self) -> Vec<(String, EmbedderInfo)> {
        let models = self.embeddings.models();
        let own = models.iter().map(|info| (info.model.clone(), info.clone()));
        let further = self.names.iter().filter_map(|(name, model)| {
            let info = models.iter().find(|info| info.model == *model)?;
            Some((name.clone(), info.clone()))
        });
        own.chain(further).collect()
    }

    /// Returns the model of a name, and without a name the configured one.
    ///
    /// # Errors
    /// `NotFound` (`model_not_found`), listing the names there are.
    pub fn choose(&self, name: Option<&str>) -> Result<EmbedderInfo> {
        let mut models = self.embeddings.models();
        let Some(name) = name else {
            let first = models.into_iter().next();
            return first.ok_or_else(|| Error::internal("the server has no model"));
        };
        let wanted = self.names.get(name).map_or(name, String::as_str);
        if let Some(place) = models.iter().position(|info| info.model == wanted) {
            return Ok(models.swap_remove(place));
        }
        let names: Vec<_> = self.named().iter().map(|(name, _)| format!("`{name}`")).collect();
        let message = format!("model `{name}` is not served here; there is {}", names.join(", "));
        Err(Error::not_found(message)
            .with_code("model_not_found")
            .with_field("model"))
    }
}
