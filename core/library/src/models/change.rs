//! The task that carries a change of the model on: in one process at a time, from wherever it was left.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::super::Photos;
use super::view::FRESH;
use super::{KnownModel, ModelBook, ModelChange};
use lucida_core::{CollectionName, ErrorKind, Result, metrics};

/// How often the ledger is asked for something to do.
const LOOK_EVERY: Duration = FRESH;

/// The pause after something that waiting alone doesn't mend.
const AFTER_A_PROBLEM: Duration = Duration::from_secs(30);

/// How long the others wait for a process that died in the middle of a change.
pub(super) const LEASE_LASTS: Duration = Duration::from_secs(10);

pub(super) const LEASE: &str = "model_change";

impl Photos {
    /// Makes sure that the configured model is in the ledger's book, and begins a change to it where it is new there.
    ///
    /// A model that is known but doesn't serve begins nothing: after a way back, or beside servers that are configured
    /// with another one, its restart must not turn the library around.
    pub(in super::super) async fn register_model(&self) -> Result<()> {
        let (index, metadata) = (&self.parts().index, &self.parts().metadata);
        let info = self.parts().embedder.describe();
        let own = &info.fingerprint;
        let collection = self.collection();
        let book = ModelBook::read(&**metadata).await?;
        let mut alias = index.alias().await?;
        let fresh = !book.models.contains_key(own);
        if fresh || alias.is_none() || alias.as_ref() == Some(collection) {
            index.ensure(collection, info.dimensions).await?;
        }
        if alias.is_none() {
            index.set_alias(collection).await?;
            alias = Some(collection.clone());
        }
        let serves = alias.as_ref() == Some(collection);
        let lost = self.lost_vectors(alias.as_ref()).await?;
        let recipe = self.parts().model_source.as_ref().map(|source| &source.recipe);
        let book = ModelBook::change(&**metadata, |book| {
            let known = KnownModel {
                info: info.clone(),
                collection: collection.clone(),
                recipe: recipe.cloned(),
                since: jiff::Timestamp::now(),
                adopted_from: None,
            };
            let new = !book.models.contains_key(own);
            let entry = book.models.entry(own.clone()).or_insert(known);
            // The same model from another place; a process that can't tell leaves what is known.
            entry.recipe = recipe.cloned().or_else(|| entry.recipe.take());
            if new && !serves {
                let from = alias
                    .as_ref()
                    .and_then(|alias| book.fingerprint_of(alias, &**index));
                book.change = Some(ModelChange::new(own.clone(), from));
            }
            if lost && book.change.is_none() {
                let to = alias
                    .as_ref()
                    .and_then(|alias| book.fingerprint_of(alias, &**index));
                book.change = to.map(|to| ModelChange::new(to, None));
            }
            Ok(())
        })
        .await?;
        self.tell_role(&book, alias.as_ref());
        Ok(())
    }

    /// Returns whether the index has no vector of a library with photos: it was lost, or made anew for another engine.
    ///
    /// Filling it is then a change to the model that serves already. It needs no look at each photo, as reconciling does,
    /// and leaves the photos ready.
    async fn lost_vectors(&self, alias: Option<&CollectionName>) -> Result<bool> {
        let Some(alias) = alias else { return Ok(false) };
        match self.parts().index.count(alias).await {
            Ok(0) => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        let ready = self.parts().metadata.count_by_state(None).await?.ready;
        if ready > 0 {
            warn!(
                collection = %alias,
                photos = ready,
                "the index has no vectors: every photo is embedded again from its original"
            );
        }
        Ok(ready > 0)
    }

    fn tell_role(&self, book: &ModelBook, alias: Option<&CollectionName>) {
        let info = self.parts().embedder.describe();
        let model = &info.model;
        if alias == Some(self.collection()) {
            return;
        }
        if book
            .change
            .as_ref()
            .is_some_and(|change| change.to == info.fingerprint)
        {
            info!(
                model,
                "the library is being embedded by another model; searches use the one before until that is done"
            );
        } else {
            warn!(
                model,
                "searches use another model of this library than the configured one, as an operator chose: \
                 `lucida models activate` goes to the configured one"
            );
        }
    }

    pub(in super::super) async fn change_models_until(&self, shutdown: CancellationToken) {
        loop {
            let result = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                result = self.carry_on() => result,
            };
            let pause = match result {
                Ok(()) => LOOK_EVERY,
                Err(error) if error.is_transient() => {
                    debug!(%error, "looking after the models later");
                    LOOK_EVERY
                }
                Err(error) => {
                    warn!(%error, "the change of the model doesn't go on, trying again later");
                    self.note_problem(&error.to_string()).await;
                    AFTER_A_PROBLEM
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        if let Err(error) = self.release_lease(LEASE).await {
            debug!(%error, "leaving the lease of the model's change to expire");
        }
    }

    /// Does what is to be done now: a request, and a round of the change under way.
    async fn carry_on(&self) -> Result<()> {
        let view = self.look().await?;
        let book = &view.book;
        if let Some(request) = book.request.as_ref().filter(|request| request.error.is_none()) {
            self.model_control().run_request(request).await?;
            self.look().await?;
            return Ok(());
        }
        let Some(change) = &book.change else {
            show_progress(0, 0);
            return Ok(());
        };
        let own = &self.parts().embedder.describe().fingerprint;
        let live = view.live().find(|live| *live.fingerprint() == change.to);
        let Some(live) = live.filter(|live| change.to == *own || live.collection == view.alias) else {
            // Only somebody who is configured with a model leads a library to it: whoever takes the model out of all
            // configurations stops the change.
            return Ok(());
        };
        if !self.take_lease(LEASE, LEASE_LASTS).await? {
            return Ok(());
        }
        self.fill(change, live).await
    }

    async fn note_problem(&self, problem: &str) {
        let noted = ModelBook::change(&*self.parts().metadata, |book| {
            if let Some(change) = &mut book.change {
                change.problem = Some(problem.to_owned());
            }
            Ok(())
        })
        .await;
        match noted {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => debug!(%error, "leaving a problem out of the models' record"),
        }
    }
}

/// Shows how far a change has come; none is 0 of 0.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn show_progress(done: u64, total: u64) {
    metrics::MODEL_CHANGE_PHOTOS.set(done as f64, &["done"]);
    metrics::MODEL_CHANGE_PHOTOS.set(total as f64, &["total"]);
}
