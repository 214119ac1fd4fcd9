//! Builds the library from the configuration: each component behind its decorators.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use lucida_core::{BuildContext, Embedder, EmbedderInfo, Error, ErrorKind, MetadataStore, Plugin, Result};
use lucida_library::{
    ModelControl, ModelRecipe, ModelSource, OpenModel, Parts, Photos,
    decorate::{guard_index, guard_metadata, guard_queue, guard_storage},
};
use lucida_models::{ModelPool, ModelSpec};

use crate::config::{Config, ModelSelection};
use crate::factories::{Factories, Selection};
use crate::registry::Registry;

/// Opens the library; starts no worker.
///
/// # Errors
/// Those of [`open_parts`] and of [`Photos::new`].
pub async fn open(registry: &Registry, config: &Config) -> Result<Photos> {
    let parts = open_parts(registry, config).await?;
    Photos::new(parts, config.ingest.options())
}

/// Opens every component as configured, each behind its decorators.
///
/// # Errors
/// The component's own, naming it; `ConfigInvalid` for two plugins of one name.
pub async fn open_parts(registry: &Registry, config: &Config) -> Result<Parts> {
    let context = BuildContext::from_env();
    let guards = &config.resilience;
    let storage = registry.storage.build(&config.storage, &context).await?;
    let metadata = registry.metadata.build(&config.metadata, &context).await?;
    let index = registry.index.build(&config.index, &context).await?;
    let queue = registry.queue.build(&config.queue, &context).await?;
    let embedder = registry.embedder.build(&config.embedder, &context).await?;
    let plugins = plugins(&registry.plugins, &config.plugins, &context).await?;
    make_spool(&config.ingest.spool_dir)?;
    Ok(Parts {
        storage: guard_storage(storage.part, storage.type_name, guards.storage()),
        metadata: guard_metadata(metadata.part, metadata.type_name, guards.metadata()),
        index: guard_index(index.part, index.type_name, guards.index()),
        queue: guard_queue(queue.part, queue.type_name, guards.queue()),
        embedder: embedder.part,
        model_source: Some(ModelSource {
            recipe: registry.embedder.recipe(&config.embedder)?,
            opener: Arc::new(Embedders {
                factories: registry.embedder.clone(),
                context,
            }),
        }),
        plugins,
    })
}

/// Opens the models of `[[models]]`; `library` is the model of the library, whose name no other may have.
///
/// # Errors
/// Those of a model that can't be opened, naming it; `ConfigInvalid` for one that is larger than
/// `server.models_memory_bytes`, and for a name that is taken.
pub async fn open_named_models(
    registry: &Registry,
    config: &Config,
    library: &EmbedderInfo,
) -> Result<ModelPool> {
    let context = BuildContext::from_env();
    let mut specs = Vec::with_capacity(config.models.len());
    for ModelSelection { model, selection } in &config.models {
        if model.name == library.model {
            let message = format!(
                "`{}` is the name of the library's own model: choose another",
                model.name
            );
            return Err(in_entry(Error::config("name", message), selection));
        }
        let factories = registry.embedder.clone();
        let (selected, context) = (selection.clone(), context.serving_as(&model.name));
        specs.push(ModelSpec {
            name: model.name.clone(),
            preload: model.preload,
            idle_unload: model.idle_unload(),
            open: Box::new(move || {
                let (factories, selected, context) = (factories.clone(), selected.clone(), context.clone());
                async move { Ok(factories.build(&selected, &context).await?.part) }.boxed()
            }),
        });
    }
    ModelPool::open(specs, config.server.models_memory())
        .await
        .map_err(|(place, error)| {
            // The pool knows neither the entry nor the name of its bound.
            if !matches!(error.field(), Some("name" | "preload")) {
                return error;
            }
            let error = error.map_message(|message| format!("{message} (server.models_memory_bytes)"));
            in_entry(error, &config.models[place].selection)
        })
}

/// Completes the field of an error about an entry of a list.
fn in_entry(error: Error, selection: &Selection) -> Error {
    let field = error.field().unwrap_or_default();
    let path = format!("{}.{field}", selection.path());
    error.context(path.clone()).with_field(path)
}

/// Opens only the metadata store.
///
/// # Errors
/// Those of the metadata store.
pub(crate) async fn open_metadata(registry: &Registry, config: &Config) -> Result<Arc<dyn MetadataStore>> {
    let metadata = registry
        .metadata
        .build(&config.metadata, &BuildContext::from_env())
        .await?;
    let options = config.resilience.metadata();
    Ok(guard_metadata(metadata.part, metadata.type_name, options))
}

/// Opens the index next to an open metadata store, for work on the library's models.
///
/// # Errors
/// The index's own; `Conflict` or `Unavailable` while another process holds an index that only one can open.
pub(crate) async fn open_models(
    registry: &Registry,
    config: &Config,
    metadata: Arc<dyn MetadataStore>,
) -> Result<ModelControl> {
    let index = registry
        .index
        .build(&config.index, &BuildContext::from_env())
        .await?;
    let index = guard_index(index.part, index.type_name, config.resilience.index());
    Ok(ModelControl::new(metadata, index))
}

/// Opens the models that a library was embedded by before, from what it remembers of them.
struct Embedders {
    factories: Factories<dyn Embedder>,
    context: BuildContext,
}

#[async_trait]
impl OpenModel for Embedders {
    async fn open(&self, recipe: &ModelRecipe) -> Result<Arc<dyn Embedder>> {
        self.factories.build_recipe(recipe, &self.context).await
    }
}

/// Builds the plugins in their order. A plugin's name keys what it knows of a photo, so each has another.
async fn plugins(
    factories: &Factories<dyn Plugin>,
    selected: &[Selection],
    context: &BuildContext,
) -> Result<Vec<Arc<dyn Plugin>>> {
    let mut plugins: Vec<Arc<dyn Plugin>> = Vec::with_capacity(selected.len());
    for selection in selected {
        let plugin = factories.build(selection, context).await?.part;
        let name = plugin.name();
        if plugins.iter().any(|earlier| earlier.name() == name) {
            let message = format!("another plugin is already named `{name}`");
            return Err(Error::config(selection.path(), message));
        }
        plugins.push(plugin);
    }
    Ok(plugins)
}

/// Creates the folder for uploads in progress, so that a wrong one is reported at start.
fn make_spool(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| {
        Error::new(
            ErrorKind::Unavailable,
            format!("ingest.spool_dir {} can't be created", folder.display()),
        )
        .with_source(error)
    })
}
