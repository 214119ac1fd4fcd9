//! What backends and plugins need to be configured: typed settings with a schema, secrets, and factories.
//!
//! A backend's settings are one struct that implements [`Settings`]. Its JSON schema, derived from the same
//! struct, tells the server which keys exist, of what type, and what to print in the reference.

pub mod local;
mod range;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::embedder::Embedder;
use crate::error::{Error, ErrorKind, Result};
use crate::index::VectorIndex;
use crate::metadata::MetadataStore;
use crate::plugin::Plugin;
use crate::queue::JobQueue;
use crate::storage::Storage;

pub use self::range::check_range;

/// A secret string that never prints; its memory is not wiped.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The schema format by which `config show` knows what to redact.
    pub const FORMAT: &'static str = "secret";

    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// Returns the secret itself, for the code that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": Self::FORMAT })
    }
}

/// The settings of one backend or plugin: a plain struct with `#[serde(deny_unknown_fields, default)]`, a doc line and
/// an example per field, and units in the names (`_bytes`, `_secs`, `_ms`, `_pixels`).
///
/// `impl Default` is the only place where a default is written: the server's `config/default.toml` and reference are
/// generated from the schema, which has it for each field that implements `Serialize`. Without `default`, a field that is
/// not an `Option` must be set.
pub trait Settings: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// Checks what types can't say, without any I/O.
    ///
    /// # Errors
    /// [`Error::config`] with the field's path inside this struct, such as `sizes_pixels[1]`.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// Checks what these settings name on this machine: that folders, files and models exist and can be used. Opens no
    /// socket, loads no model, and makes and changes nothing. [`local`] has the common checks. With
    /// [`BuildContext::inspection`] the folders of models are opened: every tensor is located, no weight is read.
    ///
    /// Returns every problem, as [`validate`](Self::validate) reports one.
    fn check_local(&self, _context: &BuildContext) -> Vec<Error> {
        Vec::new()
    }
}

/// What a factory may use besides its settings.
#[derive(Debug, Clone)]
pub struct BuildContext {
    /// The per-user cache folder, where `lucida setup` puts models and libraries.
    pub cache_dir: PathBuf,
    /// The name of an entry of `[[models]]`, which its embedder takes as its own in messages and metrics; such a model need
    /// not take pictures. `None` for every other part.
    pub served_as: Option<String>,
    /// Whether a check opens the folders of models, and does not only look whether they exist.
    pub inspection: Option<Inspection>,
}

/// What a check of a model's folder looks for besides damage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inspection {
    /// How many bytes of weights the model may have; any number, if `None`.
    pub max_bytes: Option<u64>,
}

impl Inspection {
    /// Checks the size of a model's weights.
    ///
    /// # Errors
    /// `ConfigInvalid` for the key `model`, with both figures.
    pub fn check_size(&self, bytes: u64) -> Result<()> {
        match self.max_bytes {
            Some(max_bytes) if bytes > max_bytes => {
                let message = format!(
                    "has {bytes} bytes of weights, and all models together may take {max_bytes} (server.models_memory_bytes)"
                );
                Err(Error::config("model", message))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl BuildContext {
    /// Returns the context of an entry of `[[models]]`.
    #[must_use]
    pub fn serving_as(&self, name: &str) -> Self {
        Self {
            served_as: Some(name.to_owned()),
            ..self.clone()
        }
    }

    /// Returns the context of a check that opens the folders of models.
    #[must_use]
    pub fn inspecting(&self, inspection: Inspection) -> Self {
        Self {
            inspection: Some(inspection),
            ..self.clone()
        }
    }

    /// Finds the per-user cache: `$LUCIDA_CACHE_DIR`, else `$XDG_CACHE_HOME/lucida`, else `~/.cache/lucida`, else
    /// `data/cache`.
    #[must_use]
    pub fn from_env() -> Self {
        let set = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let cache_dir = set("LUCIDA_CACHE_DIR")
            .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("lucida")))
            .or_else(|| set("HOME").map(|dir| dir.join(".cache/lucida")))
            .unwrap_or_else(|| Path::new("data").join("cache"));
        Self {
            cache_dir,
            served_as: None,
            inspection: None,
        }
    }
}

/// A part that a config file can name by its `type`.
pub trait Part: Send + Sync + 'static {
    /// The config table that names it: `storage`, `metadata`, `index`, `queue`, `embedder` or `plugins`.
    const ROLE: &'static str;
}

impl Part for dyn Storage {
    const ROLE: &'static str = "storage";
}
impl Part for dyn MetadataStore {
    const ROLE: &'static str = "metadata";
}
impl Part for dyn VectorIndex {
    const ROLE: &'static str = "index";
}
impl Part for dyn JobQueue {
    const ROLE: &'static str = "queue";
}
impl Part for dyn Embedder {
    const ROLE: &'static str = "embedder";
}
impl Part for dyn Plugin {
    const ROLE: &'static str = "plugins";
}

/// Builds one type of a part from its settings.
#[async_trait]
pub trait Factory<P: Part + ?Sized>: Send + Sync {
    /// Returns the word that a config file uses, such as `disk`.
    fn type_name(&self) -> &'static str;

    /// Returns whether several processes can use the same part at once, as servers and workers do; one that is in a
    /// process's memory, or locks what it has open, says no.
    fn shared_by_processes(&self) -> bool {
        true
    }

    /// Returns the schema of the settings.
    fn schema(&self) -> Schema;

    /// Checks settings without any I/O.
    ///
    /// # Errors
    /// `ConfigInvalid`, whose field is the path inside the settings.
    fn check(&self, settings: &Value) -> Result<()>;

    /// Checks what the settings name on this machine, as [`Settings::check_local`] does, and returns every problem; their
    /// fields are paths inside the settings.
    fn check_local(&self, settings: &Value, context: &BuildContext) -> Vec<Error>;

    /// Builds the part.
    ///
    /// # Errors
    /// Those of `check`, and what opening the backend gives.
    async fn build(&self, settings: &Value, context: &BuildContext) -> Result<Arc<P>>;
}

type Open<P, S> = Box<dyn Fn(S, BuildContext) -> BoxFuture<'static, Result<Arc<P>>> + Send + Sync>;

/// A [`Factory`] made of a settings type and an async function.
pub struct TypedFactory<P: ?Sized, S> {
    type_name: &'static str,
    shared_by_processes: bool,
    open: Open<P, S>,
}

/// Makes a factory of `type_name` from an async function that takes the checked settings.
///
/// ```ignore
/// pub fn factory() -> impl Factory<dyn Storage> {
///     factory_fn("disk", |settings: DiskConfig, _context| async move { DiskStorage::open(settings).await })
/// }
/// ```
pub fn factory_fn<P, S, T, F, R>(type_name: &'static str, open: F) -> TypedFactory<P, S>
where
    P: Part + ?Sized,
    S: Settings,
    F: Fn(S, BuildContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<T>> + Send + 'static,
    T: IntoPart<P>,
{
    let open = move |settings, context| {
        let opening = open(settings, context);
        async move { Ok(opening.await?.into_part()) }.boxed()
    };
    TypedFactory {
        type_name,
        shared_by_processes: true,
        open: Box::new(open),
    }
}

impl<P: ?Sized, S> TypedFactory<P, S> {
    /// Says that only one process at a time can use the part, so that a configuration which needs several is refused.
    #[must_use]
    pub fn in_one_process(mut self) -> Self {
        self.shared_by_processes = false;
        self
    }
}

/// Turns a concrete backend into the trait object of its part.
pub trait IntoPart<P: ?Sized> {
    /// Wraps it.
    fn into_part(self) -> Arc<P>;
}

impl<T: Storage + 'static> IntoPart<dyn Storage> for T {
    fn into_part(self) -> Arc<dyn Storage> {
        Arc::new(self)
    }
}
impl<T: MetadataStore + 'static> IntoPart<dyn MetadataStore> for T {
    fn into_part(self) -> Arc<dyn MetadataStore> {
        Arc::new(self)
    }
}
impl<T: VectorIndex + 'static> IntoPart<dyn VectorIndex> for T {
    fn into_part(self) -> Arc<dyn VectorIndex> {
        Arc::new(self)
    }
}
impl<T: JobQueue + 'static> IntoPart<dyn JobQueue> for T {
    fn into_part(self) -> Arc<dyn JobQueue> {
        Arc::new(self)
    }
}
impl<T: Embedder + 'static> IntoPart<dyn Embedder> for T {
    fn into_part(self) -> Arc<dyn Embedder> {
        Arc::new(self)
    }
}
/// For a type that opens one embedder or another.
impl IntoPart<dyn Embedder> for Arc<dyn Embedder> {
    fn into_part(self) -> Arc<dyn Embedder> {
        self
    }
}
impl<T: Plugin + 'static> IntoPart<dyn Plugin> for T {
    fn into_part(self) -> Arc<dyn Plugin> {
        Arc::new(self)
    }
}

#[async_trait]
impl<P: Part + ?Sized, S: Settings> Factory<P> for TypedFactory<P, S> {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn shared_by_processes(&self) -> bool {
        self.shared_by_processes
    }

    fn schema(&self) -> Schema {
        schemars::schema_for!(S)
    }

    fn check(&self, settings: &Value) -> Result<()> {
        parse::<S>(settings).map(drop)
    }

    fn check_local(&self, settings: &Value, context: &BuildContext) -> Vec<Error> {
        match parse::<S>(settings) {
            Ok(settings) => settings.check_local(context),
            Err(error) => vec![error],
        }
    }

    async fn build(&self, settings: &Value, context: &BuildContext) -> Result<Arc<P>> {
        (self.open)(parse::<S>(settings)?, context.clone()).await
    }
}

/// Reads and validates settings.
///
/// # Errors
/// `ConfigInvalid`, whose field is the path inside the settings.
pub fn parse<S: Settings>(settings: &Value) -> Result<S> {
    let parsed: S = serde_path_to_error::deserialize(settings).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        Error::config(if path == "." { String::new() } else { path }, message)
    })?;
    parsed
        .validate()
        .map_err(|error| error.with_kind(ErrorKind::ConfigInvalid))?;
    Ok(parsed)
}

/// The settings of a type that has none.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

impl Settings for NoSettings {}
