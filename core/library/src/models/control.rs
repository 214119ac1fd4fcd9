//! Runs the commands of an operator on models: list, activate, roll back, drop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use super::command::{ModelCommand, Request};
use super::record::{KnownModel, ModelChange, ModelRecord};
use super::state::ModelState;
use super::status::{ModelRole, ModelStatus};
use lucida_core::{CollectionName, Error, ErrorKind, Fingerprint, MetadataStore, Result, VectorIndex};

/// Lists and moves the models of a library, without opening any.
#[derive(Clone)]
pub struct ModelControl {
    metadata: Arc<dyn MetadataStore>,
    index: Arc<dyn VectorIndex>,
}

impl ModelControl {
    /// Works on a metadata store and an index.
    #[must_use]
    pub fn new(metadata: Arc<dyn MetadataStore>, index: Arc<dyn VectorIndex>) -> Self {
        Self { metadata, index }
    }

    /// Lists the models that the library has vectors of, the serving one first.
    ///
    /// # Errors
    /// Those of the index and the metadata store.
    pub async fn list(&self) -> Result<Vec<ModelStatus>> {
        let record = ModelRecord::read(&*self.metadata).await?;
        let alias = self.index.alias().await?;
        let state = self.state(&record, alias.as_ref());
        let mut statuses = Vec::new();
        for known in record.models.values() {
            let change = state
                .change()
                .filter(|change| change.to == known.info.fingerprint);
            let role = match change {
                _ if alias.as_ref() == Some(&known.collection) => ModelRole::Serving,
                Some(_) => ModelRole::Filling,
                None => ModelRole::Kept,
            };
            let points = match self.index.count(&known.collection).await {
                Ok(points) => points,
                // Dropped meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let photos = match change {
                Some(_) => Some(self.metadata.count_by_state(None).await?.ready),
                None => None,
            };
            statuses.push(ModelStatus {
                info: known.info.clone(),
                role,
                collection: known.collection.clone(),
                points,
                photos,
                problem: change.and_then(|change| change.problem.clone()),
                configured: false,
            });
        }
        statuses.sort_by_key(|status| status.role != ModelRole::Serving);
        Ok(statuses)
    }

    /// Runs a command, and returns a sentence about what it did.
    ///
    /// # Errors
    /// `NotFound` for a model that the library has no vectors of; `InvalidInput` for a name that is that of several;
    /// `Conflict` for a rollback without an earlier model, a model that is not complete yet, and dropping the one that
    /// serves; those of the index and the metadata store.
    pub async fn run(&self, command: &ModelCommand) -> Result<String> {
        let record = ModelRecord::read(&*self.metadata).await?;
        let done = match command {
            ModelCommand::Activate(model) => self.activate(&record, find(&record.models, model)?).await,
            ModelCommand::Rollback => {
                let previous = record.previous.as_ref().and_then(|to| record.models.get(to));
                let previous = previous.ok_or_else(|| {
                    Error::conflict("there is no model to go back to: this library has had only one")
                        .with_code("no_previous_model")
                })?;
                self.activate(&record, previous).await
            }
            ModelCommand::Drop(model) => self.drop_model(find(&record.models, model)?).await,
        }?;
        info!(%command, done, "changed the models");
        Ok(done)
    }

    async fn activate(&self, record: &ModelRecord, to: &KnownModel) -> Result<String> {
        let name = &to.info.model;
        let alias = self.index.alias().await?;
        if alias.as_ref() == Some(&to.collection) {
            let stopped = record
                .change
                .as_ref()
                .filter(|change| change.to != to.info.fingerprint);
            if stopped.is_none() {
                return Ok(format!("searches use `{name}` already"));
            }
            self.change(|record| {
                record.change = None;
                Ok(())
            })
            .await?;
            return Ok(format!(
                "searches use `{name}` still, and the change to another model is given up"
            ));
        }
        if let ModelState::Filling(change) = self.state(record, alias.as_ref())
            && change.to == to.info.fingerprint
        {
            return Err(Error::conflict(format!(
                "`{name}` is still being filled in: searches use it by themselves once it is complete"
            ))
            .with_code("model_incomplete"));
        }
        let from = alias.and_then(|alias| record.fingerprint_of(&alias, &*self.index));
        self.index.set_alias(&to.collection).await?;
        // Photos that came since it last served are added; after a crash right here a check does that.
        let fingerprint = &to.info.fingerprint;
        self.change(|record| {
            record.previous.clone_from(&from);
            record.change = Some(ModelChange::new(fingerprint.clone(), from.clone()));
            Ok(())
        })
        .await?;
        Ok(format!(
            "searches use `{name}` from now on; photos that it hasn't seen are being added"
        ))
    }

    async fn drop_model(&self, model: &KnownModel) -> Result<String> {
        let name = &model.info.model;
        if self.index.alias().await?.as_ref() == Some(&model.collection) {
            return Err(Error::conflict(format!(
                "`{name}` serves searches and can't be dropped: activate another model first"
            ))
            .with_code("model_serves"));
        }
        // Out of the record first, so that no worker writes to it any more.
        let fingerprint = &model.info.fingerprint;
        self.change(|record| {
            record.models.remove(fingerprint);
            record.change = record.change.take().filter(|change| change.to != *fingerprint);
            if let Some(change) = &mut record.change {
                change.from = change.from.take().filter(|from| from != fingerprint);
            }
            record.previous = record.previous.take().filter(|previous| previous != fingerprint);
            Ok(())
        })
        .await?;
        self.index.drop_collection(&model.collection).await?;
        Ok(format!(
            "dropped `{name}` and its collection {}",
            model.collection
        ))
    }

    fn state(&self, record: &ModelRecord, alias: Option<&CollectionName>) -> ModelState {
        let serving = alias.and_then(|alias| record.fingerprint_of(alias, &*self.index));
        ModelState::of(record, serving.as_ref())
    }

    async fn change(&self, change: impl Fn(&mut ModelRecord) -> Result<()> + Send + Sync) -> Result<()> {
        ModelRecord::change(&*self.metadata, change).await.map(drop)
    }

    /// Runs a command of [`request_of_models`].
    pub(super) async fn run_request(&self, request: &Request) -> Result<()> {
        let outcome = self.run(&request.command).await;
        let error = match outcome {
            Ok(_) => None,
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => Some(error.to_string()),
        };
        self.change(|record| {
            match (&mut record.request, &error) {
                (Some(now), Some(error)) if now.id == request.id => now.error = Some(error.clone()),
                (Some(now), None) if now.id == request.id => record.request = None,
                (Some(_) | None, _) => {}
            }
            Ok(())
        })
        .await
    }
}

/// Finds a model by its name, its collection, or the beginning of its fingerprint.
fn find<'a>(models: &'a BTreeMap<Fingerprint, KnownModel>, name: &str) -> Result<&'a KnownModel> {
    let exact = |known: &&KnownModel| known.info.model == name || known.collection.as_str() == name;
    let begins = |known: &&KnownModel| !name.is_empty() && known.info.fingerprint.as_str().starts_with(name);
    let mut found: Vec<_> = models.values().filter(exact).collect();
    if found.is_empty() {
        found = models.values().filter(begins).collect();
    }
    let names = |models: &mut dyn Iterator<Item = &KnownModel>| {
        let names: Vec<_> = models
            .map(|known| format!("{} ({})", known.info.model, known.info.fingerprint))
            .collect();
        names.join(", ")
    };
    match found.as_slice() {
        [one] => Ok(one),
        [] if models.is_empty() => {
            let message = format!("the library has no vectors yet, so none of a model `{name}`");
            Err(Error::not_found(message).with_code("model_not_found"))
        }
        [] => Err(Error::not_found(format!(
            "the library has no vectors of a model `{name}`, only of: {}",
            names(&mut models.values())
        ))
        .with_code("model_not_found")),
        several => Err(Error::invalid(format!(
            "`{name}` is the name of several models: use the fingerprint, one of {}",
            names(&mut several.iter().copied())
        ))),
    }
}

/// Asks a running server to run a command, for a process that can't open the index beside it, and waits.
///
/// # Errors
/// `Conflict` while another request waits; `Timeout` when no server ran it, which withdraws the request; the error of the
/// server.
pub async fn request_of_models(
    metadata: &dyn MetadataStore,
    command: ModelCommand,
    at_most: Duration,
) -> Result<()> {
    const POLL_EVERY: Duration = Duration::from_millis(300);
    let id = uuid::Uuid::now_v7();
    let asked = Request {
        id,
        command,
        error: None,
    };
    ModelRecord::change(metadata, |record| {
        if record.request.as_ref().is_some_and(|other| other.error.is_none()) {
            return Err(Error::conflict(
                "another request for the models is waiting: try again",
            ));
        }
        record.request = Some(asked.clone());
        Ok(())
    })
    .await?;
    let deadline = tokio::time::Instant::now() + at_most;
    loop {
        tokio::time::sleep(POLL_EVERY).await;
        let record = ModelRecord::read(metadata).await?;
        let Some(now) = record.request.filter(|request| request.id == id) else {
            return Ok(());
        };
        let late = tokio::time::Instant::now() >= deadline;
        if now.error.is_none() && !late {
            continue;
        }
        ModelRecord::change(metadata, |record| {
            record.request = record.request.take().filter(|request| request.id != id);
            Ok(())
        })
        .await?;
        return Err(match now.error {
            Some(error) => Error::conflict(error),
            None => Error::new(
                ErrorKind::Timeout,
                "no running server took the request: the index is locked by another process",
            ),
        });
    }
}
