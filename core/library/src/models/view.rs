//! The models as one process last read them, and the embedders that it has open for them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::record::ModelRecord;
use super::state::ModelState;
use lucida_core::{CollectionName, Embedder, Fingerprint};

/// How often a running service reads the models from metadata store and index.
pub(super) const FRESH: Duration = Duration::from_secs(1);

/// A model that this process has open, with its collection.
pub(crate) struct Live {
    pub(crate) embedder: Arc<dyn Embedder>,
    pub(crate) collection: CollectionName,
}

impl Live {
    pub(crate) fn fingerprint(&self) -> &Fingerprint {
        &self.embedder.describe().fingerprint
    }
}

/// The models at a moment.
pub(crate) struct View {
    /// The record of the models.
    pub(super) record: ModelRecord,
    /// What searches use.
    pub(crate) serving: Arc<Live>,
    /// What new photos go into as well, where this process can open it.
    pub(crate) filling: Option<Arc<Live>>,
    /// The collection that the alias points to.
    pub(crate) alias: CollectionName,
    /// Whether a change is in progress.
    pub(crate) state: ModelState,
    /// Why the model of the alias can't be used here; `serving` is the configured one then.
    pub(crate) problem: Option<String>,
}

impl View {
    /// Returns every model that a new photo is embedded by, the serving one first.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Arc<Live>> {
        std::iter::once(&self.serving).chain(&self.filling)
    }
}

/// The last view, and the models opened for it besides the configured one.
#[derive(Default)]
pub(crate) struct ViewCache {
    last: std::sync::Mutex<Option<(Instant, Arc<View>)>>,
    pub(super) opened: tokio::sync::Mutex<Opened>,
}

/// The models opened besides the configured one, and those that could not be.
#[derive(Default)]
pub(super) struct Opened {
    pub(super) models: HashMap<Fingerprint, Arc<dyn Embedder>>,
    pub(super) failed: HashMap<Fingerprint, (Instant, String)>,
}

impl ViewCache {
    /// Returns the last view, and when it was read.
    pub(super) fn last(&self) -> Option<(Instant, Arc<View>)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps a view that was just read.
    pub(super) fn set(&self, view: &Arc<View>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((Instant::now(), Arc::clone(view)));
    }
}
