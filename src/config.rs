//! The configuration: layers, later ones winning, checked against the types that the registry knows.
//!
//! The layers are `config/default.toml` (compiled in), the file given with `--config`, variables such as
//! `LUCIDA_STORAGE__DISK__ROOT`, and flags. Each is checked by itself, so that an error names the line or the
//! variable it came from, then they are merged key by key. Nothing here opens a socket or a file besides the
//! config file.
//!
//! The tree that is merged keeps the place of every value, also inside lists, which is why it is a type of its own
//! and not figment's: that one remembers the provider, not the line, and its variables lose their spelling.

pub(crate) mod check;
mod finding;
mod layer;
mod node;
mod reading;
mod reference;
mod settings;
pub(crate) mod shape;
mod sharing;
mod show;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lucida_core::config::{Part, Settings};
use lucida_core::{Embedder, JobQueue, MetadataStore, Plugin, Storage, VectorIndex};
use schemars::schema_for;
use serde_json::Value;

pub use finding::{Finding, Findings};
pub use layer::Flag;
pub use node::Origin;
pub use reference::reference;
pub use settings::{
    AuthKey, AuthSettings, CallSettings, IngestSettings, Listen, LogFormat, LogSettings, ResilienceSettings,
    SearchSettings, ServerSettings, WorkerSettings,
};

use crate::http::HttpOptions;
use crate::registry::{Factories, Registry};
use node::{Kind, Node};
use reading::Reading;
use shape::{Field, Shape, Types, doc_of};

/// What a configuration is read from, besides the defaults.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file given with `--config`.
    pub file: Option<PathBuf>,
    /// Variables by name; those that can't be meant are left alone.
    pub variables: Vec<(String, String)>,
    /// Settings from the command line.
    pub flags: Vec<Flag>,
}

impl Sources {
    /// Takes the variables of this process.
    #[must_use]
    pub fn with_environment(mut self) -> Self {
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        self.variables
            .extend(std::env::vars_os().map(|(name, value)| (text(name), text(value))));
        self
    }
}

/// A whole, checked configuration. It may hold secrets, so it doesn't print.
#[derive(Clone)]
pub struct Config {
    /// Where the server listens, and how much it takes on.
    pub server: ServerSettings,
    /// Who may call.
    pub auth: AuthSettings,
    /// How photos get from their upload to the index.
    pub ingest: IngestSettings,
    /// Where `lucida worker` tells how it is.
    pub worker: WorkerSettings,
    /// How many hits a search gives.
    pub search: SearchSettings,
    /// Which log lines are written, and how.
    pub log: LogSettings,
    /// How long calls of the stores may take, how often they are tried, and when they are not.
    pub resilience: ResilienceSettings,
    /// The blob store.
    pub storage: Chosen,
    /// The ledger.
    pub metadata: Chosen,
    /// The vector index.
    pub index: Chosen,
    /// The job queue.
    pub queue: Chosen,
    /// The model.
    pub embedder: Chosen,
    /// The plugins, in the order of their hooks.
    pub plugins: Vec<Chosen>,
    tree: Node,
    shape: Shape,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Config")
    }
}

/// A part as the configuration chose it: its type and the settings for that type.
#[derive(Clone)]
pub struct Chosen {
    path: String,
    type_name: String,
    settings: Value,
}

impl Chosen {
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

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chosen")
            .field("path", &self.path)
            .field("type_name", &self.type_name)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Reads, checks and merges all layers.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn load(registry: &Registry, sources: &Sources) -> Result<Self, Findings> {
        let shape = root_shape(registry);
        let (tree, findings) = merged(&shape, sources)?;
        Reading::new(&tree, findings).config(registry, &shape)
    }

    /// Returns how the HTTP surface behaves.
    #[must_use]
    pub const fn http_options(&self) -> HttpOptions {
        let server = &self.server;
        HttpOptions {
            max_upload_bytes: server.max_upload_bytes,
            max_json_bytes: server.max_json_bytes,
            request_timeout: Duration::from_secs(server.request_timeout_secs),
            wait_timeout: Duration::from_secs(server.wait_timeout_secs),
            max_concurrent_requests: server.max_concurrent_requests,
            max_embed_items: server.max_embed_items,
            default_search_limit: self.search.default_limit,
            max_search_limit: self.search.max_limit,
            shutdown_timeout: server.shutdown_timeout(),
        }
    }

    /// Prints the merged configuration as TOML, with secrets redacted and the source of every value.
    #[must_use]
    pub fn show(&self) -> String {
        show::show(&self.tree, &self.shape)
    }
}

/// Reads, checks and merges the layers; a file that can't be read or is not TOML ends it.
fn merged(shape: &Shape, sources: &Sources) -> Result<(Node, Vec<Finding>), Findings> {
    let mut tree = layer::toml(layer::DEFAULT, Origin::Default)?;
    leave_out_missing_plugins(&mut tree, shape);
    let mut findings = check::layer(&mut tree, shape);
    if let Some(path) = &sources.file {
        let mut file = layer::file(path)?;
        findings.extend(check::layer(&mut file, shape));
        tree.merge(file);
    }
    let (mut variables, wrong) = layer::variables(&sources.variables, shape);
    findings.extend(wrong);
    findings.extend(check::layer(&mut variables, shape));
    tree.merge(variables);
    let mut flags = layer::flags(&sources.flags);
    findings.extend(check::layer(&mut flags, shape));
    tree.merge(flags);
    Ok((tree, findings))
}

/// A build without a plugin can't have it by default.
fn leave_out_missing_plugins(defaults: &mut Node, shape: &Shape) {
    let types = shape
        .fields()
        .find(|field| field.name == <dyn Plugin>::ROLE)
        .and_then(|field| {
            let Shape::List(item) = &field.shape else {
                return None;
            };
            let Shape::Plugin(types) = &**item else {
                return None;
            };
            Some(types)
        });
    let Kind::Table(entries) = &mut defaults.kind else {
        return;
    };
    let plugins = entries
        .iter_mut()
        .find(|(name, _)| name == <dyn Plugin>::ROLE)
        .map(|(_, node)| &mut node.kind);
    if let (Some(types), Some(Kind::List(plugins))) = (types, plugins) {
        let left_out = |plugin: &Node| {
            plugin
                .get("type")
                .and_then(Node::text)
                .is_some_and(|name| types.is_left_out(name))
        };
        plugins.retain(|plugin| !left_out(plugin));
    }
}

/// Returns what a whole configuration may hold.
fn root_shape(registry: &Registry) -> Shape {
    fn section<S: Settings>(name: &str) -> Field {
        let schema = schema_for!(S);
        field(name, doc_of(schema.as_value()), Shape::of(&schema))
    }
    fn field(name: &str, doc: String, shape: Shape) -> Field {
        Field {
            name: name.to_owned(),
            doc,
            shape,
            required: true,
            default: None,
            example: None,
        }
    }
    fn part<P: Part + ?Sized>(factories: &Factories<P>, doc: &str, shape: impl Fn(Types) -> Shape) -> Field {
        field(P::ROLE, doc.to_owned(), shape(factories.types()))
    }
    let plugins = |types| Shape::List(Box::new(Shape::Plugin(types)));
    Shape::Table(vec![
        section::<ServerSettings>("server"),
        section::<AuthSettings>("auth"),
        section::<IngestSettings>("ingest"),
        section::<WorkerSettings>("worker"),
        section::<SearchSettings>("search"),
        section::<LogSettings>("log"),
        section::<ResilienceSettings>("resilience"),
        part::<dyn Storage>(
            &registry.storage,
            "Where the bytes of photos are kept.",
            Shape::Part,
        ),
        part::<dyn MetadataStore>(
            &registry.metadata,
            "The ledger: the truth about each photo.",
            Shape::Part,
        ),
        part::<dyn VectorIndex>(&registry.index, "Where the vectors are.", Shape::Part),
        part::<dyn JobQueue>(&registry.queue, "What is still to be done.", Shape::Part),
        part::<dyn Embedder>(
            &registry.embedder,
            "What turns photos and words into vectors.",
            Shape::Part,
        ),
        part::<dyn Plugin>(
            &registry.plugins,
            "Steps in the life of a photo, in the order of the list; a list in a later layer replaces the whole list.",
            plugins,
        ),
    ])
}

#[cfg(all(
    test,
    feature = "storage-disk",
    feature = "metadata-sqlite",
    feature = "index-embedded",
    feature = "queue-sqlite",
    feature = "embedder-onnx",
    feature = "embedder-candle",
    feature = "plugin-exif",
    feature = "plugin-thumbnail"
))]
mod tests {
    use super::node::join;
    use super::*;

    /// The defaults, with the keys that need not be set put in.
    fn defaults_with_all_keys() -> String {
        let is_key = |line: &str| {
            line.split_once('=').is_some_and(|(key, _)| {
                let key = key.trim_end();
                !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            })
        };
        let uncomment = |line: &str| match line.strip_prefix('#') {
            Some(rest) if is_key(rest) => rest.to_owned(),
            Some(_) | None => line.to_owned(),
        };
        layer::DEFAULT
            .lines()
            .map(|line| uncomment(line) + "\n")
            .collect()
    }

    fn missing_keys(node: Option<&Node>, shape: &Shape, path: &str, missing: &mut Vec<String>) {
        for field in shape.fields() {
            let path = join(path, &field.name);
            match node.and_then(|node| node.get(&field.name)) {
                Some(node) => missing_keys(Some(node), &field.shape, &path, missing),
                None => missing.push(path),
            }
        }
        if let Shape::Part(types) = shape {
            for built in &types.built {
                let node = node.and_then(|node| node.get(built.name));
                missing_keys(node, &built.shape, &join(path, built.name), missing);
            }
        }
        if let (Shape::List(item), Some(list)) = (shape, node)
            && let Shape::Plugin(types) = &**item
        {
            for built in &types.built {
                let of_type = |plugin: &&Node| plugin.get("type").and_then(Node::text) == Some(built.name);
                let path = format!("{path}[{}]", built.name);
                missing_keys(list.items().iter().find(of_type), &built.shape, &path, missing);
            }
        }
    }

    #[test]
    fn default_toml_has_every_key_of_the_types_and_no_other() {
        let shape = root_shape(&Registry::default());
        let mut tree = layer::toml(&defaults_with_all_keys(), Origin::Default).unwrap();
        assert_eq!(check::layer(&mut tree, &shape), []);
        let mut missing = Vec::new();
        missing_keys(Some(&tree), &shape, "", &mut missing);
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn the_defaults_of_plugins_in_default_toml_are_those_of_their_types() {
        let shape = root_shape(&Registry::default());
        let tree = layer::toml(&defaults_with_all_keys(), Origin::Default).unwrap();
        let plugins = shape.fields().find(|field| field.name == "plugins").unwrap();
        let Shape::List(item) = &plugins.shape else {
            panic!("plugins are a list")
        };
        let Shape::Plugin(types) = &**item else {
            panic!("of plugins")
        };
        for plugin in tree.get("plugins").unwrap().items() {
            let Some(built) = types.get(plugin.get("type").and_then(Node::text).unwrap()) else {
                continue;
            };
            for field in built.shape.fields().filter(|field| field.default.is_some()) {
                let written = plugin.get(&field.name).unwrap().to_json();
                assert_eq!(Some(written), field.default, "{}.{}", built.name, field.name);
            }
        }
    }

    #[test]
    fn the_reference_beside_the_defaults_is_current() {
        let current = reference(&Registry::default());
        let written = include_str!("../config/README.md");
        assert!(
            written == current,
            "config/README.md is not what `lucida config reference` prints: run `cargo xtask generate`"
        );
    }
}
