//! The one list of everything that this binary can be configured with.
//!
//! A type is a line here and nothing else: no registration at link time, no plugin folder. A custom binary starts from
//! [`Registry::default`] and adds a type, or a layer of configuration, with one call.

use std::fmt;
use std::sync::Arc;

use figment::{Figment, Provider};
use lucida_core::{
    BuildContext, Embedder, Error, Factory, JobQueue, MetadataStore, Plugin, Result, ResultExt as _, Storage,
    VectorIndex, config::Part,
};
use lucida_library::ModelRecipe;
use schemars::Schema;
use serde_json::Value;

use crate::schema::{TypeKind, Types, ValueKind, doc_of};

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
    "plugin-remote" => with_plugin(lucida_plugin_remote::factory()),
    "plugin-thumbnail" => with_plugin(lucida_plugin_thumbnail::factory()),
    "plugin-url-ingest" => with_plugin(lucida_plugin_url_ingest::factory()),
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
            storage: Factories::new(),
            metadata: Factories::new(),
            index: Factories::new(),
            queue: Factories::new(),
            embedder: Factories::new(),
            plugins: Factories::new(),
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

/// What the configuration selected: a type, and the settings for that type.
#[derive(Clone)]
pub struct Selection {
    pub(crate) path: String,
    pub(crate) type_name: String,
    pub(crate) settings: Value,
}

impl Selection {
    /// Returns the path of the settings' table, such as `storage.disk` or `plugins[1]`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the word that names the type.
    #[must_use]
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// Returns the settings, which may hold secrets.
    #[must_use]
    pub const fn settings(&self) -> &Value {
        &self.settings
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selection")
            .field("path", &self.path)
            .field("type_name", &self.type_name)
            .finish_non_exhaustive()
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

    /// Builds what the config selected.
    pub(crate) async fn build(&self, selection: &Selection, context: &BuildContext) -> Result<Built<P>> {
        let path = selection.path();
        let factory = self
            .get(selection.type_name())
            .ok_or_else(|| unknown(path, selection.type_name()))?;
        let part = factory
            .build(selection.settings(), context)
            .await
            .map_err(|error| with_whole_keys(error, path, &factory.schema()))
            .context(format!("{path} can't be opened"))?;
        Ok(Built {
            part,
            type_name: factory.type_name(),
        })
    }

    /// Checks what the config selected on this machine, without building it; returns every problem, whose field is the path
    /// inside the settings.
    pub(crate) fn check_local(&self, selection: &Selection, context: &BuildContext) -> Vec<Error> {
        let path = selection.path();
        let Some(factory) = self.get(selection.type_name()) else {
            return vec![unknown(path, selection.type_name())];
        };
        let schema = factory.schema();
        let errors = factory.check_local(selection.settings(), context);
        errors
            .into_iter()
            .map(|error| with_whole_keys(error, path, &schema))
            .collect()
    }

    /// Says how to build what the config selected once more, without its secrets: those stay in the config.
    pub(crate) fn recipe(&self, selection: &Selection) -> Result<ModelRecipe> {
        let factory = self
            .get(selection.type_name())
            .ok_or_else(|| unknown(selection.path(), selection.type_name()))?;
        let mut settings = selection.settings().clone();
        ValueKind::of(&factory.schema()).remove_secrets(&mut settings);
        Ok(ModelRecipe {
            type_name: selection.type_name().to_owned(),
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

    /// Returns the types with their keys, by name; `default` are those used without any configuration.
    pub(crate) fn types(&self, default: &'static [&'static str]) -> Types {
        let mut built: Vec<TypeKind> = self
            .0
            .iter()
            .map(|factory| {
                let schema = factory.schema();
                TypeKind {
                    name: factory.type_name(),
                    doc: doc_of(schema.as_value()),
                    kind: ValueKind::of(&schema),
                }
            })
            .collect();
        built.sort_by_key(|built| built.name);
        let noun = noun(P::ROLE);
        let left_out = FEATURES
            .iter()
            .filter_map(|feature| {
                let (role, name) = feature.split_once('-')?;
                (role == noun && self.get(name).is_none()).then_some((name, *feature))
            })
            .collect();
        Types {
            noun,
            built,
            left_out,
            default,
            common: Vec::new(),
        }
    }
}

/// Returns the word for one type of a role, with which the names of its features begin.
const fn noun(role: &'static str) -> &'static str {
    // The only role with any number of entries.
    if matches!(role.as_bytes(), b"plugins") {
        "plugin"
    } else {
        role
    }
}

/// Completes the keys in an error's message: settings that several types share, such as `hub`, don't know where they are, so
/// they name `hub.endpoint`, which a config file has as `embedder.onnx.hub.endpoint`.
fn with_whole_keys(error: Error, path: &str, schema: &Schema) -> Error {
    let keys = ValueKind::of(schema).paths();
    let is_nested = |word: &str| word.contains('.') && keys.contains(word);
    error.map_message(|message| {
        let in_key = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '.';
        let mut whole = String::with_capacity(message.len());
        let mut rest = message;
        while let Some(start) = rest.find(in_key) {
            let end = rest[start..]
                .find(|char| !in_key(char))
                .map_or(rest.len(), |end| start + end);
            whole.push_str(&rest[..start]);
            if is_nested(rest[start..end].trim_end_matches('.')) {
                whole.push_str(path);
                whole.push('.');
            }
            whole.push_str(&rest[start..end]);
            rest = &rest[end..];
        }
        whole.push_str(rest);
        whole
    })
}

fn unknown(path: &str, type_name: &str) -> Error {
    Error::config(path, format!("type `{type_name}` is unknown"))
}

#[cfg(test)]
mod tests {
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
        feature = "plugin-thumbnail"
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

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Outer {
        #[expect(dead_code, reason = "only its schema is used")]
        hub: Hub,
    }

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Hub {
        #[expect(dead_code, reason = "only its schema is used")]
        endpoint: String,
    }

    #[test]
    fn an_error_names_nested_keys_with_their_whole_path() {
        let message = "hub.example.com failed: set hub.endpoint to a mirror, or `hub.endpoint`.";
        let error = Error::unavailable(message).with_field("hub.endpoint");
        let error = with_whole_keys(error, "embedder.onnx", &schemars::schema_for!(Outer));
        assert_eq!(
            error.message(),
            "hub.example.com failed: set embedder.onnx.hub.endpoint to a mirror, or `embedder.onnx.hub.endpoint`."
        );
        assert_eq!(error.field(), Some("hub.endpoint"));
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
                ("remote", "plugin-remote"),
                ("thumbnail", "plugin-thumbnail"),
                ("url-ingest", "plugin-url-ingest")
            ]
        );
    }
}
