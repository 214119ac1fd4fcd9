//! From merged layers to a typed configuration, with every mistake that only the whole shows.

use lucida_core::config::{self as core_config, Part, Settings};
use lucida_core::{Error, Plugin};

use super::finding::{Finding, Findings};
use super::loaded::{Config, ModelSelection};
use super::merged::Merged;
use super::settings::{AuthSettings, ModelSettings, ServerSettings};
use super::{check, missing, root};
use crate::factories::{Factories, Selection};
use crate::registry::Registry;
use crate::schema::{ValueKind, join};

/// Merged layers that are being turned into a [`Config`].
pub(super) struct Reading<'a> {
    pub(super) merged: &'a Merged,
    pub(super) findings: Vec<Finding>,
    /// How many of the findings, the first ones, are about a layer by itself.
    pub(super) in_layers: usize,
}

impl Reading<'_> {
    /// Reads every section and part.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(super) fn config(mut self, registry: &Registry, schema: &ValueKind) -> Result<Config, Findings> {
        for finding in missing::find(self.merged, schema) {
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
