//! The types of each part, and what the configuration selected among them.

use std::fmt;
use std::sync::Arc;

use lucida_core::{BuildContext, Error, ErrorKind, Factory, Result, ResultExt as _, config::Part};
use lucida_library::ModelRecipe;
use schemars::Schema;
use serde_json::Value;

use crate::schema::{TypeKind, Types, ValueKind, doc_of};

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
pub(crate) struct Factories<P: Part + ?Sized> {
    factories: Vec<Arc<dyn Factory<P>>>,
    /// The features that bring a type of any part, `<role>-<type>`.
    features: &'static [&'static str],
}

impl<P: Part + ?Sized> Clone for Factories<P> {
    fn clone(&self) -> Self {
        Self {
            factories: self.factories.clone(),
            features: self.features,
        }
    }
}

/// A part that was built, and the word that the config file used for it.
pub(crate) struct Built<P: ?Sized> {
    pub(crate) part: Arc<P>,
    pub(crate) type_name: &'static str,
}

impl<P: Part + ?Sized> Factories<P> {
    /// Creates an empty list; a type that one of `features` brings is known by name.
    pub(crate) const fn new(features: &'static [&'static str]) -> Self {
        Self {
            factories: Vec::new(),
            features,
        }
    }

    /// Adds a type; one of the same name is replaced.
    pub(crate) fn add(&mut self, factory: Arc<dyn Factory<P>>) {
        self.factories
            .retain(|existing| existing.type_name() != factory.type_name());
        self.factories.push(factory);
    }

    pub(crate) fn get(&self, type_name: &str) -> Option<&Arc<dyn Factory<P>>> {
        self.factories
            .iter()
            .find(|factory| factory.type_name() == type_name)
    }

    /// Returns the names of the types that several processes can use at once, in order.
    pub(crate) fn shared_names(&self) -> Vec<&'static str> {
        let shared = self
            .factories
            .iter()
            .filter(|factory| factory.shared_by_processes());
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
            .map_err(|error| with_whole_field(error, path))
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
            .factories
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
        let left_out = self
            .features
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

/// Completes the key of a wrong setting, which a component names without its table.
fn with_whole_field(error: Error, path: &str) -> Error {
    match error.field().map(|field| format!("{path}.{field}")) {
        Some(field) if error.kind() == ErrorKind::ConfigInvalid => error.with_field(field),
        Some(_) | None => error,
    }
}

fn unknown(path: &str, type_name: &str) -> Error {
    Error::config(path, format!("type `{type_name}` is unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_setting_that_is_wrong_at_start_is_named_by_its_whole_key() {
        let error = Error::config("access_key_id", "no credentials were found");
        let error = with_whole_field(error, "storage.s3");
        assert_eq!(error.field(), Some("storage.s3.access_key_id"));
        let error = with_whole_field(Error::unavailable("gone").with_field("url"), "index.qdrant");
        assert_eq!(error.field(), Some("url"), "only settings have a table");
    }
}
