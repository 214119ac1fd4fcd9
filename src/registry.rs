//! The one list of everything that this binary can be configured with.
//!
//! A type is a line here and nothing else: no registration at link time, no plugin folder. A custom binary starts from
//! [`Registry::default`] and adds a type, or a layer of configuration, with one call.

use std::sync::Arc;

use figment::{Figment, Provider};
use lucida_core::{Embedder, Factory, JobQueue, MetadataStore, Plugin, Storage, VectorIndex};

use crate::factories::Factories;

/// Lists the types behind features. A feature is `<role>-<type>`, so it names both.
macro_rules! built_in {
    ($($feature:literal => $with:ident($factory:expr),)*) => {
        /// The features that bring a type.
        const FEATURES: &[&str] = &[$($feature),*];

        /// Adds every type that this build's features bring.
        fn with_built_in(registry: Registry) -> Registry {
            $(
                #[cfg(feature = $feature)]
                let registry = registry.$with($factory);
            )*
            registry
        }
    };
}

built_in! {
    "storage-disk" => with_storage(lucida_opendal::disk_factory()),
    "storage-s3" => with_storage(lucida_opendal::s3_factory()),
    "metadata-sqlite" => with_metadata(lucida_sqlite::metadata_factory()),
    "metadata-mongodb" => with_metadata(lucida_mongodb::factory()),
    "index-embedded" => with_index(lucida_flat::factory()),
    "index-qdrant" => with_index(lucida_qdrant::factory()),
    "queue-sqlite" => with_queue(lucida_sqlite::queue_factory()),
    "queue-rabbitmq" => with_queue(lucida_rabbitmq::factory()),
    "embedder-onnx" => with_embedder(lucida_onnx::factory()),
    "embedder-candle" => with_embedder(lucida_candle::factory()),
    "embedder-remote" => with_embedder(lucida_remote::factory()),
    "plugin-api-immich" => with_plugin(lucida_plugin_api_immich::factory()),
    "plugin-api-ollama" => with_plugin(lucida_plugin_api_ollama::factory()),
    "plugin-api-openai" => with_plugin(lucida_plugin_api_openai::factory()),
    "plugin-api-tei" => with_plugin(lucida_plugin_api_tei::factory()),
    "plugin-api-weaviate" => with_plugin(lucida_plugin_api_weaviate::factory()),
    "plugin-exif" => with_plugin(lucida_plugin_exif::factory()),
    "plugin-mcp" => with_plugin(lucida_plugin_mcp::factory()),
    "plugin-remote" => with_plugin(lucida_plugin_remote::factory()),
    "plugin-thumbnail" => with_plugin(lucida_plugin_thumbnail::factory()),
    "plugin-url-ingest" => with_plugin(lucida_plugin_url_ingest::factory()),
    "plugin-webhook" => with_plugin(lucida_plugin_webhook::factory()),
}

/// The types that a config file can name, and the layers of configuration besides Lucida's own.
pub struct Registry {
    pub(crate) storage: Factories<dyn Storage>,
    pub(crate) metadata: Factories<dyn MetadataStore>,
    pub(crate) index: Factories<dyn VectorIndex>,
    pub(crate) queue: Factories<dyn JobQueue>,
    pub(crate) embedder: Factories<dyn Embedder>,
    pub(crate) plugins: Factories<dyn Plugin>,
    pub(crate) config_layers: Vec<ConfigLayer>,
}

/// Reads a layer of configuration, when a command needs it.
pub(crate) type ConfigLayer = Box<dyn Fn() -> Figment + Send + Sync>;

impl Default for Registry {
    /// Lists every type that this build's features bring.
    fn default() -> Self {
        with_built_in(
            Self::empty()
                .with_storage(lucida_memory::storage_factory())
                .with_metadata(lucida_memory::metadata_factory())
                .with_index(lucida_memory::index_factory())
                .with_queue(lucida_memory::queue_factory()),
        )
    }
}

impl Registry {
    /// Makes a registry without any type.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            storage: Factories::new(FEATURES),
            metadata: Factories::new(FEATURES),
            index: Factories::new(FEATURES),
            queue: Factories::new(FEATURES),
            embedder: Factories::new(FEATURES),
            plugins: Factories::new(FEATURES),
            config_layers: Vec::new(),
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

    /// Adds a layer of configuration: any figment [`Provider`], such as `("ingest.workers", 2)`, a file in another format,
    /// or a store of settings. Its values win over those of the config file and of the layers added before it, and lose
    /// against variables and flags.
    ///
    /// Its values are checked like all others. A string is read as the type of its key, as in a variable. In messages and
    /// in `config show` a value's place is what the provider's `Metadata` says: its interpolater, else its source, else
    /// its name.
    #[must_use]
    pub fn with_config_layer(mut self, provider: impl Provider + Send + Sync + 'static) -> Self {
        self.config_layers
            .push(Box::new(move || Figment::from(&provider)));
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn adding_a_type_of_the_same_name_replaces_it() {
        let registry = Registry::empty()
            .with_queue(lucida_memory::queue_factory())
            .with_queue(lucida_memory::queue_factory());
        assert_eq!(registry.queue.types(&[]).built.len(), 1);
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
        feature = "embedder-remote",
        feature = "plugin-api-immich",
        feature = "plugin-api-ollama",
        feature = "plugin-api-openai",
        feature = "plugin-api-tei",
        feature = "plugin-api-weaviate",
        feature = "plugin-exif",
        feature = "plugin-mcp",
        feature = "plugin-thumbnail",
        feature = "plugin-url-ingest",
        feature = "plugin-webhook"
    ))]
    #[test]
    fn a_build_with_every_feature_leaves_nothing_out() {
        let registry = Registry::default();
        assert_eq!(registry.storage.types(&[]).left_out, []);
        assert_eq!(registry.metadata.types(&[]).left_out, []);
        assert_eq!(registry.index.types(&[]).left_out, []);
        assert_eq!(registry.queue.types(&[]).left_out, []);
        assert_eq!(registry.embedder.types(&[]).left_out, []);
        assert_eq!(registry.plugins.types(&[]).left_out, []);
    }

    #[test]
    fn a_standalone_build_has_what_the_default_configuration_names() {
        let defaults: toml::Table = toml::from_str(include_str!("../config/default.toml")).expect("TOML");
        let manifest: toml::Table = toml::from_str(include_str!("../Cargo.toml")).expect("TOML");
        let type_of = |table: &toml::Value| table["type"].as_str().expect("a type").to_owned();
        let roles = ["storage", "metadata", "index", "queue", "embedder"];
        let named = roles.map(|role| format!("{role}-{}", type_of(&defaults[role])));
        let plugins = defaults["plugins"].as_array().expect("a list").iter();
        let named: BTreeSet<_> = named
            .into_iter()
            .chain(plugins.map(|plugin| format!("plugin-{}", type_of(plugin))))
            .chain(["heic".to_owned()])
            .collect();
        let features = manifest["features"]["standalone"].as_array().expect("a list");
        let built: BTreeSet<_> = features
            .iter()
            .filter_map(|feature| feature.as_str().map(str::to_owned))
            .collect();
        assert_eq!(built, named);
    }

    #[test]
    fn a_type_left_out_by_its_feature_is_known_by_name() {
        let registry = Registry::empty().with_storage(lucida_memory::storage_factory());
        let left_out = registry.storage.types(&[]).left_out;
        assert_eq!(left_out, [("disk", "storage-disk"), ("s3", "storage-s3")]);
        let left_out = registry.plugins.types(&[]).left_out;
        assert_eq!(
            left_out,
            [
                ("api-immich", "plugin-api-immich"),
                ("api-ollama", "plugin-api-ollama"),
                ("api-openai", "plugin-api-openai"),
                ("api-tei", "plugin-api-tei"),
                ("api-weaviate", "plugin-api-weaviate"),
                ("exif", "plugin-exif"),
                ("mcp", "plugin-mcp"),
                ("remote", "plugin-remote"),
                ("thumbnail", "plugin-thumbnail"),
                ("url-ingest", "plugin-url-ingest"),
                ("webhook", "plugin-webhook")
            ]
        );
    }
}
