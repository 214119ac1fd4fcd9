//! From the layers to a checked, typed configuration.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use figment::Figment;
use figment::value::Value;
use lucida_core::config::{self as core_config, Part, Settings};
use lucida_core::{Error, Plugin};

use super::assignment::{self, Flag};
use super::check::{self, Strings};
use super::finding::{Finding, Findings};
use super::merged::{self, Merged};
use super::settings::{
    AuthSettings, IngestSettings, LogSettings, ModelSettings, ResilienceSettings, SearchSettings,
    ServerSettings, WorkerSettings,
};
use super::toml::Toml;
use super::{defaults, root, show};
use crate::http::HttpOptions;
use crate::registry::{Factories, Registry, Selection};
use crate::schema::{ValueKind, join};

/// What a configuration is read from, besides the defaults and the registry's layers.
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
    /// Where the server listens, and its limits.
    pub server: ServerSettings,
    /// Who may call.
    pub auth: AuthSettings,
    /// How photos get from their upload to the index.
    pub ingest: IngestSettings,
    /// Where `lucida worker` reports health and metrics.
    pub worker: WorkerSettings,
    /// How many hits a search returns.
    pub search: SearchSettings,
    /// Which log lines are written, and how.
    pub log: LogSettings,
    /// Timeouts, retries and circuit breakers of the stores.
    pub resilience: ResilienceSettings,
    /// The blob store.
    pub storage: Selection,
    /// The metadata store.
    pub metadata: Selection,
    /// The vector index.
    pub index: Selection,
    /// The job queue.
    pub queue: Selection,
    /// The model.
    pub embedder: Selection,
    /// Further models beside the library's own.
    pub models: Vec<ModelSelection>,
    /// The plugins, in the order of their hooks.
    pub plugins: Vec<Selection>,
    merged: Merged,
    schema: ValueKind,
}

/// A further model that the configuration selected.
#[derive(Debug, Clone)]
pub struct ModelSelection {
    /// Its name, and when it is in memory.
    pub model: ModelSettings,
    /// Its type, and the settings for that type.
    pub selection: Selection,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Config")
    }
}

impl Config {
    /// Reads, checks and merges all layers.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn load(registry: &Registry, sources: &Sources) -> Result<Self, Findings> {
        let schema = root::schema(registry);
        let mut layers = Layers {
            schema: &schema,
            figment: Figment::new(),
            findings: Vec::new(),
        };
        let text = defaults::toml(&schema);
        let defaults = Toml::parse(merged::DEFAULTS, defaults::NAME, &text)?;
        layers.merge(&Figment::from(defaults), merged::DEFAULTS, Strings::Typed);
        if let Some(path) = &sources.file {
            layers.merge(&Figment::from(Toml::file(path)?), "config file", Strings::Typed);
        }
        for layer in &registry.config_layers {
            layers.merge(&layer(), "custom layer", Strings::Texts);
        }
        let (variables, wrong) = assignment::variables(&sources.variables, &schema);
        layers.findings.extend(wrong);
        for variable in &variables {
            layers.merge(&Figment::from(variable), "environment", Strings::Texts);
        }
        for flag in &sources.flags {
            layers.merge(&Figment::from(flag.assignment()), "command line", Strings::Texts);
        }
        let (merged, findings) = (Merged::new(layers.figment), layers.findings);
        Reading {
            merged: &merged,
            in_layers: findings.len(),
            findings,
        }
        .config(registry, &schema)
    }

    /// Returns how the HTTP surface behaves.
    #[must_use]
    pub fn http_options(&self) -> HttpOptions {
        let server = &self.server;
        HttpOptions {
            base_path: server.base_path.clone(),
            max_upload_bytes: server.max_upload_bytes,
            max_json_bytes: server.max_json_bytes,
            request_timeout: Duration::from_secs(server.request_timeout_secs),
            wait_timeout: Duration::from_secs(server.wait_timeout_secs),
            max_concurrent_requests: server.max_concurrent_requests,
            max_embed_items: server.max_embed_items,
            cors_origins: server.cors_origins.clone(),
            default_search_limit: self.search.default_limit,
            max_search_limit: self.search.max_limit,
            shutdown_timeout: server.shutdown_timeout(),
        }
    }

    /// Prints the merged configuration as TOML, with secrets redacted and the source of every value.
    #[must_use]
    pub fn show(&self) -> String {
        show::show(&self.merged, &self.schema)
    }

    /// Makes a finding about a key of this configuration.
    pub(super) fn finding(&self, path: &str, message: impl Into<String>) -> Finding {
        Finding::new(path, self.merged.place_of(path), message)
    }
}

/// The layers, merged one after the other.
struct Layers<'a> {
    schema: &'a ValueKind,
    figment: Figment,
    findings: Vec<Finding>,
}

impl Layers<'_> {
    /// Checks a layer by itself, so that a mistake is found even where a later layer hides it, and merges it.
    fn merge(&mut self, layer: &Figment, name: &str, strings: Strings) {
        let (checked, findings) = check::layer(name, layer, strings, self.schema);
        self.figment = std::mem::take(&mut self.figment).merge(checked);
        self.findings.extend(findings);
    }
}

/// Merged layers that are being turned into a [`Config`].
struct Reading<'a> {
    merged: &'a Merged,
    findings: Vec<Finding>,
    /// How many of the findings, the first ones, are about a layer by itself.
    in_layers: usize,
}

impl Reading<'_> {
    fn config(mut self, registry: &Registry, schema: &ValueKind) -> Result<Config, Findings> {
        for finding in missing(self.merged, schema) {
            self.add(finding);
        }
        let server = self.section::<ServerSettings>("server");
        let auth = self.section::<AuthSettings>("auth");
        let ingest = self.section("ingest");
        let worker = self.section("worker");
        let search = self.section("search");
        let log = self.section("log");
        let resilience = self.section("resilience");
        let storage = self.part(&registry.storage);
        let metadata = self.part(&registry.metadata);
        let index = self.part(&registry.index);
        let queue = self.part(&registry.queue);
        let embedder = self.part(&registry.embedder);
        let models = self.models(registry);
        let plugins = self.entries::<dyn Plugin>(&registry.plugins);
        self.check_exposure(server.as_ref(), auth.as_ref());
        let config = || {
            Some(Config {
                server: server?,
                auth: auth?,
                ingest: ingest?,
                worker: worker?,
                search: search?,
                log: log?,
                resilience: resilience?,
                storage: storage?,
                metadata: metadata?,
                index: index?,
                queue: queue?,
                embedder: embedder?,
                models: models?,
                plugins: plugins?,
                merged: self.merged.clone(),
                schema: schema.clone(),
            })
        };
        match config() {
            Some(config) if self.findings.is_empty() => Ok(config),
            _ => Err(Findings::new(self.findings)),
        }
    }

    /// Adds a finding about the whole, unless it is a mere consequence of an earlier one: of one about the same key, or,
    /// where nobody wrote what it is about, of a mistake that somebody wrote into the same section.
    fn add(&mut self, finding: Finding) {
        let unwritten = self.merged.written(finding.path()).is_none();
        let section = section_of(finding.path());
        let is_consequence = self.findings.iter().enumerate().any(|(index, earlier)| {
            let is_mistake = index < self.in_layers && earlier.concerns(section);
            earlier.overlaps(finding.path()) || (unwritten && is_mistake)
        });
        if !is_consequence {
            self.findings.push(finding);
        }
    }

    fn fail(&mut self, table: &str, error: &Error) {
        let path = join_field(table, error.field().unwrap_or_default());
        let message = error.to_string();
        // Some name their key themselves.
        let message = message
            .strip_prefix(&path)
            .map_or(message.as_str(), str::trim_start);
        let place = self.merged.place_of(&path).or_else(|| self.cause(table, message));
        self.add(Finding::new(path, place, message));
    }

    /// Returns who made a default wrong: another key of the table that the message names, else the choice of the type.
    fn cause(&self, table: &str, message: &str) -> Option<String> {
        let words = message.split(|char: char| !(char.is_ascii_alphanumeric() || "_.".contains(char)));
        let mut named = words.filter_map(|word| self.merged.written(&join(table, word)));
        let of_type = || {
            let part = section_of(table);
            self.merged.written(&join(part, "type"))
        };
        named.next().or_else(of_type)
    }

    fn section<S: Settings>(&mut self, name: &str) -> Option<S> {
        let settings: serde_json::Value = self.merged.extract(name)?;
        core_config::parse(&settings)
            .inspect_err(|error| self.fail(name, error))
            .ok()
    }

    /// Reads the section of a part: its `type`, and the table of that name.
    fn part<P: Part + ?Sized>(&mut self, factories: &Factories<P>) -> Option<Selection> {
        let path_of_type = join(P::ROLE, "type");
        let type_name: String = self.merged.extract(&path_of_type)?;
        let Some(factory) = factories.get(&type_name) else {
            let message = check::unknown_type(&factories.types(&[]), &type_name);
            let place = self.merged.place_of(&path_of_type);
            // Not through `add`: a wrong key beside it hasn't caused this.
            self.findings.push(Finding::new(path_of_type, place, message));
            return None;
        };
        let path = join(P::ROLE, &type_name);
        let settings = self
            .merged
            .extract(&path)
            .unwrap_or_else(|| serde_json::json!({}));
        if let Err(error) = factory.check(&settings) {
            self.fail(&path, &error);
        }
        Some(Selection {
            path,
            type_name,
            settings,
        })
    }

    /// Reads a list of entries, each with its `type` and the keys of that type.
    fn entries<P: Part + ?Sized>(&mut self, factories: &Factories<P>) -> Option<Vec<Selection>> {
        // Without any type that is a default, there is no list.
        let entries: Vec<serde_json::Map<String, serde_json::Value>> =
            self.merged.extract(P::ROLE).unwrap_or_default();
        let mut selections = Vec::new();
        for (index, mut settings) in entries.into_iter().enumerate() {
            let path = format!("{}[{index}]", P::ROLE);
            // What is wrong with the type was found with its layer.
            let type_name = settings.remove("type")?.as_str()?.to_owned();
            let settings = serde_json::Value::Object(settings);
            if let Err(error) = factories.get(&type_name)?.check(&settings) {
                self.fail(&path, &error);
            }
            selections.push(Selection {
                path,
                type_name,
                settings,
            });
        }
        Some(selections)
    }

    /// Reads the further models. Their types have keys of the same names as the pool's own, and get those values.
    fn models(&mut self, registry: &Registry) -> Option<Vec<ModelSelection>> {
        let entries: Vec<serde_json::Map<String, serde_json::Value>> =
            self.merged.extract(root::MODELS).unwrap_or_default();
        let mut models: Vec<ModelSelection> = Vec::new();
        for (index, mut settings) in entries.into_iter().enumerate() {
            let path = format!("{}[{index}]", root::MODELS);
            // What is wrong with the type was found with its layer.
            let type_name = settings.remove("type")?.as_str()?.to_owned();
            let factory = registry.embedder.get(&type_name)?;
            let common = ModelSettings::KEYS.map(|key| Some((key.to_owned(), settings.remove(key)?)));
            let common = common.into_iter().flatten().collect();
            let model = core_config::parse::<ModelSettings>(&serde_json::Value::Object(common));
            let model = model.inspect_err(|error| self.fail(&path, error)).ok()?;
            let kind = ValueKind::of(&factory.schema());
            for (key, value) in [
                ("preload", model.preload.into()),
                ("idle_unload_secs", model.idle_unload_secs.into()),
            ] {
                if kind.field(key).is_some() {
                    settings.insert(key.to_owned(), value);
                }
            }
            let settings = serde_json::Value::Object(settings);
            if let Err(error) = factory.check(&settings) {
                self.fail(&path, &error);
            }
            if models.iter().any(|earlier| earlier.model.name == model.name) {
                let message = format!("another model is already named `{}`", model.name);
                self.fail(&path, &Error::config("name", message));
            }
            models.push(ModelSelection {
                model,
                selection: Selection {
                    path,
                    type_name,
                    settings,
                },
            });
        }
        Some(models)
    }

    /// A server without keys gives everything to whoever reaches it, so only this machine may.
    fn check_exposure(&mut self, server: Option<&ServerSettings>, auth: Option<&AuthSettings>) {
        let (Some(server), Some(auth)) = (server, auth) else {
            return;
        };
        let keys_are_wrong = self.findings.iter().any(|earlier| earlier.concerns("auth"));
        if auth.keys.is_empty() && !server.listen.is_loopback() && !keys_are_wrong {
            let path = "server.listen";
            let message = format!(
                "`{}` is reachable from other machines, and no key is configured: add one in [[auth.keys]], or listen \
                 on 127.0.0.1",
                server.listen
            );
            self.add(Finding::new(path, self.merged.place_of(path), message));
        }
    }
}

/// Finds the keys that must be set and are not.
fn missing(merged: &Merged, schema: &ValueKind) -> Vec<Finding> {
    let mut search = Missing {
        merged,
        findings: Vec::new(),
    };
    search.within(merged.root(), schema, "", "");
    search.findings
}

struct Missing<'a> {
    merged: &'a Merged,
    findings: Vec<Finding>,
}

impl Missing<'_> {
    /// Looks into a value; `cause` is the path of the key that made it be used.
    fn within(&mut self, value: &Value, kind: &ValueKind, path: &str, cause: &str) {
        match kind {
            ValueKind::Table(fields) => {
                for field in fields {
                    let path_of_field = join(path, &field.name);
                    match value.as_dict().and_then(|values| values.get(&field.name)) {
                        Some(value) => self.within(value, &field.kind, &path_of_field, cause),
                        None if field.required => {
                            let example = field.example.as_ref().and_then(super::literal::inline);
                            let example = example.map(|example| format!(", such as {example}"));
                            let message = format!("must be set{}", example.unwrap_or_default());
                            let place = self.merged.place_of(if cause.is_empty() { path } else { cause });
                            self.findings.push(Finding::new(path_of_field, place, message));
                        }
                        None => {}
                    }
                }
            }
            ValueKind::List(item) => {
                for (index, value) in value.as_array().unwrap_or_default().iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.within(value, item, &path, &path);
                }
            }
            ValueKind::Map(item) => {
                for (name, value) in value.as_dict().into_iter().flatten() {
                    self.within(value, item, &join(path, name), cause);
                }
            }
            ValueKind::Part(types) => {
                let values = value.as_dict();
                let selected = values.and_then(|values| values.get("type")?.as_str());
                if let Some(built) = selected.and_then(|name| types.get(name)) {
                    let empty = Value::from(figment::value::Dict::new());
                    let settings = values.and_then(|values| values.get(built.name)).unwrap_or(&empty);
                    let cause = join(path, "type");
                    self.within(settings, &built.kind, &join(path, built.name), &cause);
                }
            }
            ValueKind::Entry(types) => {
                let selected = value.as_dict().and_then(|values| values.get("type")?.as_str());
                if let Some(built) = selected.and_then(|name| types.get(name)) {
                    self.within(value, &built.kind, path, path);
                }
            }
            ValueKind::Text { .. }
            | ValueKind::Choice(_)
            | ValueKind::Integer { .. }
            | ValueKind::Number
            | ValueKind::Boolean
            | ValueKind::Any => {}
        }
    }
}

/// Returns the first key of a path.
fn section_of(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or_default()
}

/// Appends the path of a field inside a table's settings.
pub(super) fn join_field(table: &str, field: &str) -> String {
    if field.starts_with('[') {
        format!("{table}{field}")
    } else {
        join(table, field)
    }
}

#[cfg(test)]
#[cfg(all(
    feature = "storage-disk",
    feature = "metadata-sqlite",
    feature = "index-embedded",
    feature = "queue-sqlite",
    feature = "embedder-onnx",
    feature = "plugin-exif",
    feature = "plugin-thumbnail"
))]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;

    /// Loads a file; its name is cut off from the findings.
    fn load(text: &str) -> Result<Config, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let sources = Sources {
            file: Some(file.path().to_path_buf()),
            ..Sources::default()
        };
        let place = format!("{}:", file.path().display());
        Config::load(&Registry::default(), &sources)
            .map_err(|findings| findings.to_string().replace(&place, ""))
    }

    #[test]
    fn a_further_model_has_its_name_its_times_and_the_keys_of_its_type() {
        let text = "[[models]]\nname = \"e5\"\ntype = \"onnx\"\nmodel = \"intfloat/multilingual-e5-small\"\n\
                    idle_unload_secs = \"2m\"\n[models.hub]\noffline = true\n";
        let config = load(text).unwrap();
        let [ModelSelection { model, selection }] = &config.models[..] else {
            panic!("{} models", config.models.len());
        };
        assert_eq!((model.name.as_str(), model.preload), ("e5", false));
        assert_eq!(model.idle_unload(), Some(Duration::from_secs(120)));
        assert_eq!((selection.path(), selection.type_name()), ("models[0]", "onnx"));
        let expected = json!({
            "model": "intfloat/multilingual-e5-small", "preload": false, "idle_unload_secs": 120, "hub": {"offline": true},
        });
        assert_eq!(selection.settings(), &expected);
        let shown = config.show();
        for line in [
            "[[models]]",
            "name = \"e5\"",
            "idle_unload_secs = 120",
            "preload = false",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
    }

    #[test]
    fn a_mistake_in_a_further_model_is_found_with_its_key_and_line() {
        for (text, finding) in [
            (
                "[[models]]\nname = \"e5\"\ntype = \"onix\"\n",
                "3: models[0].type: embedder type `onix` is unknown; this build has: candle, onnx, remote; did you mean `onnx`?",
            ),
            (
                "[[models]]\ntype = \"onnx\"\n",
                "1: models[0].name: must be set, such as \"e5\"",
            ),
            (
                "[[models]]\nname = \"e5\"\ntype = \"onnx\"\nprecison = \"int8\"\n",
                "4: models[0].precison: unknown key; did you mean `models[0].precision`?",
            ),
            (
                "[[models]]\nname = \"e5\"\ntype = \"onnx\"\nqueue_items = 0\n",
                "4: models[0].queue_items: is 0: let at least 1 input wait",
            ),
            (
                "[[models]]\nname = \"e5\"\ntype = \"onnx\"\n[[models]]\nname = \"e5\"\ntype = \"onnx\"\n",
                "5: models[1].name: another model is already named `e5`",
            ),
        ] {
            assert_eq!(load(text).err().as_deref(), Some(finding), "{text}");
        }
        let unnamed = load("[[models]]\nname = \"e 5\"\ntype = \"onnx\"\n")
            .err()
            .unwrap();
        assert!(
            unnamed.starts_with("2: models[0].name: must have 1 to 100"),
            "{unnamed}"
        );
    }
}
