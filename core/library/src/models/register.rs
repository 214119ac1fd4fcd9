//! The configured model: recorded once in each process, which may start a change to it.

use tracing::{info, warn};

use super::Models;
use super::record::{KnownModel, ModelChange, ModelRecord};
use lucida_core::{CollectionName, ErrorKind, Result};

impl Models {
    /// Records the configured model, and starts a change to it where it is new to the library.
    ///
    /// A model that is known but doesn't serve starts nothing: after a rollback, or beside servers that are configured with
    /// another one, its restart must not turn the library around.
    pub(super) async fn register(&self) -> Result<()> {
        let (index, metadata, collection) = (&self.index, &self.metadata, &self.collection);
        let info = self.embedder.describe();
        let own = &info.fingerprint;
        let record = ModelRecord::read(&**metadata).await?;
        let mut alias = index.alias().await?;
        let fresh = !record.models.contains_key(own);
        if fresh || alias.is_none() || alias.as_ref() == Some(collection) {
            index.ensure(collection, info.dimensions).await?;
        }
        if alias.is_none() {
            index.set_alias(collection).await?;
            alias = Some(collection.clone());
        }
        let serves = alias.as_ref() == Some(collection);
        let lost = self.lost_vectors(alias.as_ref()).await?;
        let recipe = self.source.as_ref().map(|source| &source.recipe);
        let record = ModelRecord::change(&**metadata, |record| {
            let known = KnownModel {
                info: info.clone(),
                collection: collection.clone(),
                recipe: recipe.cloned(),
                since: jiff::Timestamp::now(),
                adopted_from: None,
            };
            let new = !record.models.contains_key(own);
            let entry = record.models.entry(own.clone()).or_insert(known);
            // The same model may have other settings now; a process without a recipe keeps the known one.
            entry.recipe = recipe.cloned().or_else(|| entry.recipe.take());
            if new && !serves {
                let from = alias
                    .as_ref()
                    .and_then(|alias| record.fingerprint_of(alias, &**index));
                record.change = Some(ModelChange::new(own.clone(), from));
            }
            if lost && record.change.is_none() {
                let to = alias
                    .as_ref()
                    .and_then(|alias| record.fingerprint_of(alias, &**index));
                record.change = to.map(|to| ModelChange::new(to, None));
            }
            Ok(())
        })
        .await?;
        self.log_role(&record, alias.as_ref());
        Ok(())
    }

    /// Returns whether the index has no vector of a library with photos: it was lost, or replaced by another index.
    ///
    /// Filling it is then a change to the model that serves already. Unlike a repair by the reconciler it leaves the photos
    /// ready.
    async fn lost_vectors(&self, alias: Option<&CollectionName>) -> Result<bool> {
        let Some(alias) = alias else { return Ok(false) };
        match self.index.count(alias).await {
            Ok(0) => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        let ready = self.metadata.count_by_state(None).await?.ready;
        if ready > 0 {
            warn!(
                collection = %alias,
                photos = ready,
                "the index has no vectors: every photo is embedded again from its original"
            );
        }
        Ok(ready > 0)
    }

    fn log_role(&self, record: &ModelRecord, alias: Option<&CollectionName>) {
        let info = self.embedder.describe();
        let model = &info.model;
        if alias == Some(&self.collection) {
            return;
        }
        if record
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
}
