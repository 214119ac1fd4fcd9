//! The one list of everything that this binary can be configured with.
//!
//! A type is a line here and nothing else: no registration at link time, no plugin folder. A binary of one's own
//! starts from [`Registry::default`] and adds a type with one call.

use std::sync::Arc;

use lucida_core::config::Part;
use lucida_core::pipeline::ModelRecipe;
use lucida_core::{
    BuildContext, Embedder, Error, Factory, JobQueue, MetadataStore, Plugin, Result, ResultExt as _, Storage,
    VectorIndex, memory,
};

use crate::config::Chosen;
use crate::config::shape::{Shape, TypeShape, Types, doc_of};

/// Every type behind a feature: its table, its name, and the feature.
const FEATURES: &[(&str, &str, &str)] = &[
    ("storage", "disk", "storage-disk"),
    ("storage", "s3", "storage-s3"),
    ("metadata", "sqlite", "metadata-sqlite"),
    ("metadata", "mongodb", "metadata-mongodb"),
    ("index", "embedded", "index-embedded"),
    ("index", "qdrant", "index-qdrant"),
    ("queue", "sqlite", "queue-sqlite"),
    ("queue", "rabbitmq", "queue-rabbitmq"),
    ("embedder", "onnx", "embedder-onnx"),
    ("embedder", "candle", "embedder-candle"),
    ("plugins", "exif", "plugin-exif"),
    ("plugins", "thumbnail", "plugin-thumbnail"),
];

/// The types that a config file can name.
pub struct Registry {
    pub(crate) storage: Factories<dyn Storage>,
    pub(crate) metadata: Factories<dyn MetadataStore>,
    pub(crate) index: Factories<dyn VectorIndex>,
    pub(crate) queue: Factories<dyn JobQueue>,
    pub(crate) embedder: Factories<dyn Embedder>,
    pub(crate) plugins: Factories<dyn Plugin>,
}

impl Default for Registry {
    /// Lists every type that this build's features bring.
    fn default() -> Self {
        let registry = Self::empty()
            .with_storage(memory::storage_factory())
            .with_metadata(memory::metadata_factory())
            .with_index(memory::index_factory())
            .with_queue(memory::queue_factory());
        #[cfg(feature = "storage-disk")]
        let registry = registry.with_storage(lucida_storage_opendal::disk_factory());
        #[cfg(feature = "storage-s3")]
        let registry = registry.with_storage(lucida_storage_opendal::s3_factory());
        #[cfg(feature = "metadata-sqlite")]
        let registry = registry.with_metadata(lucida_metadata_sqlite::factory());
        #[cfg(feature = "metadata-mongodb")]
        let registry = registry.with_metadata(lucida_metadata_mongodb::factory());
        #[cfg(feature = "index-embedded")]
        let registry = registry.with_index(lucida_index_embedded::factory());
        #[cfg(feature = "index-qdrant")]
        let registry = registry.with_index(lucida_index_qdrant::factory());
        #[cfg(feature = "queue-sqlite")]
        let registry = registry.with_queue(lucida_queue_sqlite::factory());
        #[cfg(feature = "queue-rabbitmq")]
        let registry = registry.with_queue(lucida_queue_rabbitmq::factory());
        #[cfg(feature = "embedder-onnx")]
        let registry = registry.with_embedder(lucida_embedder_onnx::factory());
        #[cfg(feature = "embedder-candle")]
        let registry = registry.with_embedder(lucida_embedder_candle::factory());
        #[cfg(feature = "plugin-exif")]
        let registry = registry.with_plugin(lucida_plugin_exif::factory());
        #[cfg(feature = "plugin-thumbnail")]
        let registry = registry.with_plugin(lucida_plugin_thumbnail::factory());
        registry
    }
}

impl Registry {
    /// Makes a registry without any type.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            storage: Factories::new(),
            metadata: Factories::new(),
            index: Factories::new(),
            queue: Factories::new(),
            embedder: Factories::new(),
            plugins: Factories::new(),
        }
    }

    /// Adds a blob store; one of the same type name is replaced.
    #[must_use]
    pub fn with_storage(mut self, factory: impl Factory<dyn Storage> + 'static) -> Self {
        self.storage.add(Arc::new(factory));
        self
    }

    /// Adds a metadata store; one of the same type name is replaced.
    #[must_use]
    pub fn with_metadata(mut self, factory: impl Factory<dyn MetadataStore> + 'static) -> Self {
        self.metadata.add(Arc::new(factory));
        self
    }

    /// Adds a vector index; one of the same type name is replaced.
    #[must_use]
    pub fn with_index(mut self, factory: impl Factory<dyn VectorIndex> + 'static) -> Self {
        self.index.add(Arc::new(factory));
        self
    }

    /// Adds a job queue; one of the same type name is replaced.
    #[must_use]
    pub fn with_queue(mut self, factory: impl Factory<dyn JobQueue> + 'static) -> Self {
        self.queue.add(Arc::new(factory));
        self
    }

    /// Adds an embedder; one of the same type name is replaced.
    #[must_use]
    pub fn with_embedder(mut self, factory: impl Factory<dyn Embedder> + 'static) -> Self {
        self.embedder.add(Arc::new(factory));
        self
    }

    /// Adds a plugin; one of the same type name is replaced.
    #[must_use]
    pub fn with_plugin(mut self, factory: impl Factory<dyn Plugin> + 'static) -> Self {
        self.plugins.add(Arc::new(factory));
        self
    }
}

/// The types of one part.
pub(crate) struct Factories<P: Part + ?Sized>(Vec<Arc<dyn Factory<P>>>);

impl<P: Part + ?Sized> Clone for Factories<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A part that was built, and the word that the config file used for it.
pub(crate) struct Built<P: ?Sized> {
    pub(crate) part: Arc<P>,
    pub(crate) type_name: &'static str,
}

impl<P: Part + ?Sized> Factories<P> {
    const fn new() -> Self {
        Self(Vec::new())
    }

    fn add(&mut self, factory: Arc<dyn Factory<P>>) {
        self.0
            .retain(|existing| existing.type_name() != factory.type_name());
        self.0.push(factory);
    }

    pub(crate) fn get(&self, type_name: &str) -> Option<&Arc<dyn Factory<P>>> {
        self.0.iter().find(|factory| factory.type_name() == type_name)
    }

    /// Returns the names of the types that several processes can use at once, in order.
    pub(crate) fn shared_names(&self) -> Vec<&'static str> {
        let shared = self.0.iter().filter(|factory| factory.shared_by_processes());
        let mut names: Vec<_> = shared.map(|factory| factory.type_name()).collect();
        names.sort_unstable();
        names
    }

    /// Builds what the config chose.
    pub(crate) async fn build(&self, chosen: &Chosen, context: &BuildContext) -> Result<Built<P>> {
        let path = chosen.path();
        let factory = self
            .get(chosen.type_name())
            .ok_or_else(|| unknown(path, chosen.type_name()))?;
        let part = factory
            .build(chosen.settings(), context)
            .await
            .context(format!("{path} can't be opened"))?;
        Ok(Built {
            part,
            type_name: factory.type_name(),
        })
    }

    /// Says how to build what the config chose once more, without its secrets: those stay in the config.
    pub(crate) fn recipe(&self, chosen: &Chosen) -> Result<ModelRecipe> {
        let factory = self
            .get(chosen.type_name())
            .ok_or_else(|| unknown(chosen.path(), chosen.type_name()))?;
        let mut settings = chosen.settings().clone();
        Shape::of(&factory.schema()).remove_secrets(&mut settings);
        Ok(ModelRecipe {
            type_name: chosen.type_name().to_owned(),
            settings,
        })
    }

    /// Builds what a recipe says.
    pub(crate) async fn build_recipe(&self, recipe: &ModelRecipe, context: &BuildContext) -> Result<Arc<P>> {
        let factory = self
            .get(&recipe.type_name)
            .ok_or_else(|| unknown(P::ROLE, &recipe.type_name))?;
        factory.build(&recipe.settings, context).await
    }

    /// Returns the types with their keys, by name.
    pub(crate) fn types(&self) -> Types {
        let mut built: Vec<TypeShape> = self
            .0
            .iter()
            .map(|factory| {
                let schema = factory.schema();
                TypeShape {
                    name: factory.type_name(),
                    doc: doc_of(schema.as_value()),
                    shape: Shape::of(&schema),
                }
            })
            .collect();
        built.sort_by_key(|built| built.name);
        let left_out = FEATURES
            .iter()
            .filter(|(role, name, _)| *role == P::ROLE && self.get(name).is_none())
            .map(|(_, name, feature)| (*name, *feature))
            .collect();
        Types {
            noun: if P::ROLE == "plugins" { "plugin" } else { P::ROLE },
            built,
            left_out,
        }
    }
}

fn unknown(path: &str, type_name: &str) -> Error {
    Error::config(path, format!("type `{type_name}` is unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::unknown_type;

    #[test]
    fn a_type_left_out_by_its_feature_is_known_by_name() {
        let mut types = Registry::empty()
            .with_storage(memory::storage_factory())
            .storage
            .types();
        assert_eq!(
            unknown_type(&types, "disk"),
            "storage type `disk` needs the feature `storage-disk`; this build has: memory"
        );
        types.left_out = vec![("s3", "storage-s3")];
        let disk = TypeShape {
            name: "disk",
            doc: String::new(),
            shape: Shape::Any,
        };
        types.built.insert(0, disk);
        assert_eq!(
            unknown_type(&types, "s3"),
            "storage type `s3` needs the feature `storage-s3`; this build has: disk, memory"
        );
    }

    #[test]
    fn adding_a_type_of_the_same_name_replaces_it() {
        let registry = Registry::empty()
            .with_queue(memory::queue_factory())
            .with_queue(memory::queue_factory());
        assert_eq!(registry.queue.types().built.len(), 1);
    }

    #[cfg(all(
        feature = "storage-disk",
        feature = "storage-s3",
        feature = "metadata-sqlite",
        feature = "metadata-mongodb",
        feature = "index-embedded",
        feature = "index-qdrant",
        feature = "queue-sqlite",
        feature = "queue-rabbitmq",
        feature = "embedder-onnx",
        feature = "embedder-candle",
        feature = "plugin-exif",
        feature = "plugin-thumbnail"
    ))]
    #[test]
    fn a_build_with_every_feature_leaves_nothing_out() {
        let registry = Registry::default();
        assert_eq!(registry.storage.types().left_out, []);
        assert_eq!(registry.metadata.types().left_out, []);
        assert_eq!(registry.index.types().left_out, []);
        assert_eq!(registry.queue.types().left_out, []);
        assert_eq!(registry.embedder.types().left_out, []);
        assert_eq!(registry.plugins.types().left_out, []);
    }
}
