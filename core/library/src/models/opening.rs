//! Reads the models from metadata store and index, and opens those that are needed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::Models;
use super::record::{KnownModel, ModelRecord};
use super::state::ModelState;
use super::view::{Live, Opened, View};
use lucida_core::{Embedder, Error, Fingerprint, Result, ResultExt};

/// For how long a view is used where the next read fails or is late: searches wait for neither meanwhile.
const USABLE: Duration = Duration::from_secs(10);

/// After how long a model that could not be opened is tried again.
const OPEN_AGAIN: Duration = Duration::from_secs(30);

impl Models {
    /// Returns the models as they were a moment ago.
    ///
    /// # Errors
    /// Those of the metadata store and the index, when there is no earlier view.
    pub(crate) async fn view(&self) -> Result<Arc<View>> {
        let cache = &self.cache;
        let last = cache.last();
        if let Some((at, view)) = &last
            && at.elapsed() < USABLE
        {
            return Ok(Arc::clone(view));
        }
        match last {
            None => self.look().await,
            Some((_, view)) => {
                // One call reads; the others use the earlier view.
                let Ok(opened) = cache.opened.try_lock() else {
                    return Ok(view);
                };
                match self.look_with(opened).await {
                    Ok(newer) => Ok(newer),
                    Err(error) if error.is_transient() => Ok(view),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Reads the models from metadata store and index now.
    pub(crate) async fn look(&self) -> Result<Arc<View>> {
        let opened = self.cache.opened.lock().await;
        self.look_with(opened).await
    }

    async fn look_with(&self, mut opened: tokio::sync::MutexGuard<'_, Opened>) -> Result<Arc<View>> {
        self.prepare().await?;
        let (index, metadata) = (&self.index, &self.metadata);
        // The record first: a change that ends in between then still counts as one in progress.
        let record = ModelRecord::read(&**metadata).await?;
        let alias = index.alias().await?.unwrap_or_else(|| self.collection.clone());
        let serving = record.fingerprint_of(&alias, &**index);
        let mut problem = None;
        let served = match &serving {
            Some(fingerprint) => self.open_model(&mut opened, &record, fingerprint).await,
            None => Err(Error::unavailable(format!(
                "the alias points to `{alias}`, a collection of no model"
            ))),
        };
        let embedder = served.unwrap_or_else(|error| {
            problem = Some(error.to_string());
            Arc::clone(&self.embedder)
        });
        let collection = match problem {
            None => alias.clone(),
            Some(_) => self.collection.clone(),
        };
        let serving_now = Arc::new(Live { embedder, collection });
        let filling = match record
            .change
            .as_ref()
            .and_then(|change| record.models.get(&change.to))
        {
            Some(known) if known.info.fingerprint != *serving_now.fingerprint() => self
                .open_model(&mut opened, &record, &known.info.fingerprint)
                .await
                .ok()
                .map(|embedder| {
                    Arc::new(Live {
                        embedder,
                        collection: known.collection.clone(),
                    })
                }),
            Some(_) | None => None,
        };
        let state = ModelState::of(&record, serving.as_ref());
        let view = Arc::new(View {
            record,
            serving: serving_now,
            filling,
            alias,
            state,
            problem,
        });
        opened
            .models
            .retain(|fingerprint, _| view.live().any(|live| live.fingerprint() == fingerprint));
        self.log_changes(&view);
        self.cache.set(&view);
        Ok(view)
    }

    /// Logs what differs from the last view.
    fn log_changes(&self, view: &View) {
        let last = self.cache.last();
        let last = last.as_ref().map(|(_, view)| view);
        if last.is_some_and(|last| last.alias != view.alias) {
            let model = &view.serving.embedder.describe().model;
            info!(model, collection = %view.alias, "searches use another model from now on");
        }
        if let Some(problem) = &view.problem
            && last.is_none_or(|last| last.problem.as_ref() != Some(problem))
        {
            warn!(
                problem,
                "the model that the library was embedded by can't be used: \
                 searches find only what the configured one has embedded"
            );
        }
    }

    async fn open_model(
        &self,
        opened: &mut Opened,
        record: &ModelRecord,
        fingerprint: &Fingerprint,
    ) -> Result<Arc<dyn Embedder>> {
        let configured = &self.embedder;
        if configured.describe().fingerprint == *fingerprint {
            return Ok(Arc::clone(configured));
        }
        if let Some(embedder) = opened.models.get(fingerprint) {
            return Ok(Arc::clone(embedder));
        }
        if let Some((at, problem)) = opened.failed.get(fingerprint)
            && at.elapsed() < OPEN_AGAIN
        {
            return Err(Error::unavailable(problem.clone()));
        }
        match self.open_recipe(record.models.get(fingerprint)).await {
            Ok(embedder) => {
                info!(
                    model = embedder.describe().model,
                    "opened another model of the library"
                );
                opened.failed.remove(fingerprint);
                opened.models.insert(fingerprint.clone(), Arc::clone(&embedder));
                Ok(embedder)
            }
            Err(error) => {
                let problem = error.to_string();
                warn!(%fingerprint, problem, "a model of the library can't be opened");
                opened
                    .failed
                    .insert(fingerprint.clone(), (Instant::now(), problem));
                Err(error)
            }
        }
    }

    async fn open_recipe(&self, known: Option<&KnownModel>) -> Result<Arc<dyn Embedder>> {
        let known =
            known.ok_or_else(|| Error::unavailable("the metadata store has no record of its model"))?;
        let name = &known.info.model;
        let (Some(recipe), Some(source)) = (&known.recipe, &self.source) else {
            return Err(Error::unavailable(format!(
                "it isn't recorded how to open the model `{name}`"
            )));
        };
        let embedder = source
            .opener
            .open(recipe)
            .await
            .context(format!("opening the model `{name}`"))?;
        if embedder.describe().fingerprint == known.info.fingerprint {
            Ok(embedder)
        } else {
            Err(Error::unavailable(format!(
                "the files of the model `{name}` have changed"
            )))
        }
    }
}
