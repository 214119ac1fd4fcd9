//! Puts the service together: each part as configured, behind its guard.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use lucida_core::{BuildContext, Embedder, Error, ErrorKind, MetadataStore, Plugin, Result};
use lucida_library::{
    ModelControl, ModelRecipe, ModelSource, OpenModel, Parts, Photos,
    decorate::{guard_index, guard_metadata, guard_queue, guard_storage},
};

use crate::config::Config;
use crate::registry::{Factories, Registry, Selection};

/// Opens every part and puts the service together; starts no worker.
///
/// # Errors
/// The part's own, naming it; `ConfigInvalid` for two plugins of one name.
pub async fn open(registry: &Registry, config: &Config) -> Result<Photos> {
    let context = BuildContext::from_env();
    let guards = &config.resilience;
    let storage = registry.storage.build(&config.storage, &context).await?;
    let metadata = registry.metadata.build(&config.metadata, &context).await?;
    let index = registry.index.build(&config.index, &context).await?;
    let queue = registry.queue.build(&config.queue, &context).await?;
    let embedder = registry.embedder.build(&config.embedder, &context).await?;
    let plugins = plugins(&registry.plugins, &config.plugins, &context).await?;
    make_spool(&config.ingest.spool_dir)?;
    let parts = Parts {
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
    };
    Photos::new(parts, config.ingest.options())
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
