//! What one process knows of the models at a moment, and the embedders that it has open for that.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::super::Photos;
use super::{KnownModel, ModelBook};
use lucida_core::{CollectionName, Embedder, Error, Fingerprint, Result, ResultExt};

/// How often a running service looks at ledger and index.
pub(super) const FRESH: Duration = Duration::from_secs(1);

/// For how long a look is believed where the next one fails or nobody looks: searches wait for neither meanwhile.
const BELIEVED: Duration = Duration::from_secs(10);

/// After how long a model that could not be opened is tried again.
const OPEN_AGAIN: Duration = Duration::from_secs(30);

/// A model that this process has open, with its collection.
pub(in super::super) struct Live {
    pub(in super::super) embedder: Arc<dyn Embedder>,
    pub(in super::super) collection: CollectionName,
}

impl Live {
    pub(in super::super) fn fingerprint(&self) -> &Fingerprint {
        &self.embedder.describe().fingerprint
    }
}

/// The models at a moment.
pub(in super::super) struct View {
    /// The record of the models.
    pub(super) book: ModelBook,
    /// What searches use.
    pub(in super::super) serving: Arc<Live>,
    /// What new photos go into as well, where this process can open it.
    pub(in super::super) filling: Option<Arc<Live>>,
    /// The collection that the alias points to.
    pub(in super::super) alias: CollectionName,
    /// Whether the serving collection is still being completed.
    pub(in super::super) catching_up: bool,
    /// Why the model of the alias can't be used here; `serving` is the configured one then.
    pub(in super::super) problem: Option<String>,
}

impl View {
    /// Returns every model that a new photo is embedded by, the serving one first.
    pub(in super::super) fn live(&self) -> impl Iterator<Item = &Arc<Live>> {
        std::iter::once(&self.serving).chain(&self.filling)
    }
}

/// The last view, and the models opened for it besides the configured one.
#[derive(Default)]
pub(in super::super) struct ViewCache {
    last: std::sync::Mutex<Option<(Instant, Arc<View>)>>,
    opened: tokio::sync::Mutex<Opened>,
}

#[derive(Default)]
struct Opened {
    models: HashMap<Fingerprint, Arc<dyn Embedder>>,
    failed: HashMap<Fingerprint, (Instant, String)>,
}

impl ViewCache {
    fn last(&self) -> Option<(Instant, Arc<View>)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, view: &Arc<View>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((Instant::now(), Arc::clone(view)));
    }
}

impl Photos {
    /// Returns the models as they were a moment ago.
    ///
    /// # Errors
    /// Those of ledger and index, when there is no earlier look to go by.
    pub(in super::super) async fn view(&self) -> Result<Arc<View>> {
        let cache = &self.inner.view;
        let last = cache.last();
        if let Some((at, view)) = &last
            && at.elapsed() < BELIEVED
        {
            return Ok(Arc::clone(view));
        }
        match last {
            None => self.look().await,
            Some((_, view)) => {
                // One looks; the others go by what was known.
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

    /// Looks at ledger and index now.
    pub(in super::super) async fn look(&self) -> Result<Arc<View>> {
        let opened = self.inner.view.opened.lock().await;
        self.look_with(opened).await
    }

    async fn look_with(&self, mut opened: tokio::sync::MutexGuard<'_, Opened>) -> Result<Arc<View>> {
        self.prepare().await?;
        let (index, metadata) = (&self.parts().index, &self.parts().metadata);
        // The record first: a change that ends in between is then still seen as one that goes on.
        let book = ModelBook::read(&**metadata).await?;
        let alias = index.alias().await?.unwrap_or_else(|| self.collection().clone());
        let serving = book.fingerprint_of(&alias, &**index);
        let mut problem = None;
        let served = match &serving {
            Some(fingerprint) => self.open_model(&mut opened, &book, fingerprint).await,
            None => Err(Error::unavailable(format!(
                "the alias points to `{alias}`, a collection of no model"
            ))),
        };
        let embedder = served.unwrap_or_else(|error| {
            problem = Some(error.to_string());
            Arc::clone(&self.parts().embedder)
        });
        let collection = match problem {
            None => alias.clone(),
            Some(_) => self.collection().clone(),
        };
        let serving_now = Arc::new(Live { embedder, collection });
        let change = book.change.as_ref();
        let filling = match change.and_then(|change| book.models.get(&change.to)) {
            Some(known) if known.info.fingerprint != *serving_now.fingerprint() => self
                .open_model(&mut opened, &book, &known.info.fingerprint)
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
        let catching_up = change.is_some_and(|change| Some(&change.to) == serving.as_ref());
        let view = Arc::new(View {
            book,
            serving: serving_now,
            filling,
            alias,
            catching_up,
            problem,
        });
        opened
            .models
            .retain(|fingerprint, _| view.live().any(|live| live.fingerprint() == fingerprint));
        self.tell_of_changes(&view);
        self.inner.view.set(&view);
        Ok(view)
    }

    /// Logs what is another than at the last look.
    fn tell_of_changes(&self, view: &View) {
        let last = self.inner.view.last();
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
        book: &ModelBook,
        fingerprint: &Fingerprint,
    ) -> Result<Arc<dyn Embedder>> {
        let configured = &self.parts().embedder;
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
        match self.open_recipe(book.models.get(fingerprint)).await {
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
        let known = known.ok_or_else(|| Error::unavailable("the ledger doesn't say what model made it"))?;
        let name = &known.info.model;
        let (Some(recipe), Some(source)) = (&known.recipe, &self.parts().model_source) else {
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
                "the files of the model `{name}` are others than they were"
            )))
        }
    }
}
