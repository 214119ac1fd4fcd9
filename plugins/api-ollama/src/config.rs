//! The settings of the plugin.

use std::collections::BTreeMap;

use lucida_api::Auth;
use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

/// Answers as Ollama does, for embeddings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiOllamaConfig {
    /// Further names of this server's models, for tools that offer only models that they know. Example:
    /// `{ "nomic-embed-text" = "starter" }`
    #[serde(default)]
    pub models: BTreeMap<String, String>,
    /// Who may ask: `key` wants a key with the scope `embed`, which clients send as `Authorization: Bearer`; `none` lets
    /// everybody who reaches the server embed texts.
    #[serde(default)]
    pub auth: Auth,
}

impl Settings for ApiOllamaConfig {
    fn validate(&self) -> Result<()> {
        for (name, model) in &self.models {
            let field = format!("models.{name}");
            if model.trim().is_empty() {
                return Err(Error::config(field, "is empty; name a model of this server"));
            }
            if let Some(bare) = name.strip_suffix(":latest") {
                let message =
                    format!("is never looked for: write `{bare}`, which stands for `{name}` as well");
                return Err(Error::config(field, message));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_never_looked_for_is_refused() {
        let of = |name: &str, model: &str| ApiOllamaConfig {
            models: BTreeMap::from([(name.to_owned(), model.to_owned())]),
            auth: Auth::Key,
        };
        assert!(of("nomic-embed-text", "starter").validate().is_ok());
        assert!(of("nomic-embed-text:v1.5", "starter").validate().is_ok());
        for (name, model) in [("nomic-embed-text:latest", "starter"), ("nomic-embed-text", " ")] {
            let error = of(name, model).validate().unwrap_err();
            assert_eq!(error.field(), Some(format!("models.{name}").as_str()));
        }
    }
}
