//! The settings of the plugin.

use std::collections::BTreeMap;

use lucida_api::Auth;
use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::request::normalised;

/// The plugin's name in a configuration.
pub(crate) const PLUGIN_NAME: &str = "api-immich";

/// Which models answer for Immich's, and who may ask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiImmichConfig {
    /// Immich's model names, and the models of this server that answer for them; other names stand for the model of that
    /// name. Example: `{ "ViT-B-32__openai" = "clip" }`
    #[serde(default)]
    pub models: BTreeMap<String, String>,
    /// Who may ask: `key` wants a key with the scope `embed`, which Immich can't send itself; `none` lets everybody who
    /// reaches the server embed pictures and texts. Example: `"none"`
    #[serde(default)]
    pub auth: Auth,
}

impl Settings for ApiImmichConfig {
    fn validate(&self) -> Result<()> {
        for (immich, model) in &self.models {
            let field = format!("models.{immich}");
            if model.trim().is_empty() {
                return Err(Error::config(field, "is empty; name a model of this server"));
            }
            let name = normalised(immich);
            if name != *immich {
                let message = format!("is never asked for; Immich's name for it is `{name}`");
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
    fn a_name_that_immich_never_asks_for_is_refused() {
        let config = |name: &str, model: &str| ApiImmichConfig {
            models: BTreeMap::from([(name.to_owned(), model.to_owned())]),
            auth: Auth::Key,
        };
        assert!(config("ViT-B-32__openai", "clip").validate().is_ok());
        let error = config("immich-app/ViT-B-32__openai", "clip")
            .validate()
            .unwrap_err();
        assert!(error.message().contains("`ViT-B-32__openai`"), "{error}");
        assert_eq!(
            config("ViT", " ").validate().unwrap_err().field(),
            Some("models.ViT")
        );
    }
}
