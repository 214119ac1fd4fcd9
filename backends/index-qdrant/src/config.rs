//! The settings of the vector index on qdrant.

use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

/// The settings of the vector index on qdrant.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QdrantConfig {
    /// Where it is. Example: `http://127.0.0.1:9000`
    pub url: String,
}

impl Settings for QdrantConfig {
    fn validate(&self) -> Result<()> {
        if self.url.is_empty() {
            return Err(Error::config("url", "is empty: say where the vector index is"));
        }
        Ok(())
    }
}
