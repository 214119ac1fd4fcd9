//! Several models in one process: each is opened when it is first asked, and closed when it is idle or its memory is needed.
//!
//! [`ModelPool`] holds models by name, each as an [`Embedder`] that can be used whether or not its model is open. The weights
//! of all open models stay below a bound: the least recently used is closed first, and what is still being computed by a model
//! that is to be closed is finished before its memory counts as free. Callers that wait for a model are served in order.

mod memory;
mod pooled;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use lucida_core::{Embedder, Error, Result};
use tokio::task::JoinHandle;
use tracing::info;

use memory::Memory;
pub use pooled::PooledModel;

/// Opens a model, as often as it is called.
pub type OpenEmbedder = Box<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Embedder>>> + Send + Sync>;

/// A model of the pool, before it is opened.
pub struct ModelSpec {
    /// The name that requests use; no other model of the pool may have it.
    pub name: String,
    /// Whether it stays open from the start, as far as the memory allows, and not only once it is asked.
    pub preload: bool,
    /// After how long without work it is closed; never, if `None`.
    pub idle_unload: Option<Duration>,
    /// Opens it. Its towers should be loaded when they are first needed, unless it is to be preloaded.
    pub open: OpenEmbedder,
}

/// Models by name, within a bound of memory.
pub struct ModelPool {
    models: Vec<Arc<PooledModel>>,
    /// Closes idle models.
    closing: Option<JoinHandle<()>>,
}

impl ModelPool {
    /// Opens each model once, to learn what it is, and keeps those open that are to be preloaded. `max_bytes` bounds the sum of
    /// the weights of open models.
    ///
    /// # Errors
    /// Those of opening a model; `ConfigInvalid` for a model that is larger than the bound, or that is to be preloaded and no
    /// longer fits, with the figures. The error comes with the place of the model in `specs`.
    pub async fn open(specs: Vec<ModelSpec>, max_bytes: Option<u64>) -> Result<Self, (usize, Error)> {
        let closes_when_idle = specs.iter().any(|spec| spec.idle_unload.is_some());
        let memory = Memory::new(specs.iter().map(|spec| spec.idle_unload), max_bytes);
        let mut models: Vec<Arc<PooledModel>> = Vec::with_capacity(specs.len());
        for (place, spec) in specs.into_iter().enumerate() {
            if models.iter().any(|model| model.name() == spec.name) {
                let message = format!("another model is already named `{}`", spec.name);
                return Err((place, Error::config("name", message)));
            }
            let model = PooledModel::open(place, spec, &memory)
                .await
                .map_err(|error| (place, error))?;
            let info = model.describe();
            info!(
                model = info.model,
                dimensions = info.dimensions,
                bytes = model.weight_bytes(),
                "model is available"
            );
            models.push(Arc::new(model));
        }
        let closing = closes_when_idle.then(|| tokio::spawn(memory::close_idle(Arc::clone(&memory))));
        Ok(Self { models, closing })
    }

    /// Returns the model of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<PooledModel>> {
        self.models.iter().find(|model| model.name() == name)
    }

    /// Returns the models in their order.
    #[must_use]
    pub fn models(&self) -> &[Arc<PooledModel>] {
        &self.models
    }
}

impl Drop for ModelPool {
    fn drop(&mut self) {
        if let Some(closing) = &self.closing {
            closing.abort();
        }
    }
}
