//! The settings of the plugin.

use lucida_api::Auth;
use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

/// Answers as the inference container of Weaviate's module multi2vec-clip does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiWeaviateConfig {
    /// The model that answers, by its name; without it the library's own. Example: `"clip"`
    #[schemars(example = &"clip")]
    pub model: Option<String>,
    /// Who may ask: `key` wants a key with the scope `embed`, which Weaviate can't send itself; `none` lets everybody who
    /// reaches the server embed pictures and texts. Example: `"none"`
    pub auth: Auth,
    /// The largest request, in bytes: the pictures of one object, in base64.
    pub max_body_bytes: u64,
}

impl Default for ApiWeaviateConfig {
    fn default() -> Self {
        Self {
            model: None,
            auth: Auth::Key,
            max_body_bytes: 32 << 20,
        }
    }
}

impl Settings for ApiWeaviateConfig {
    fn validate(&self) -> Result<()> {
        if self.max_body_bytes == 0 {
            return Err(Error::config("max_body_bytes", "is 0: allow at least 1 byte"));
        }
        Ok(())
    }
}
