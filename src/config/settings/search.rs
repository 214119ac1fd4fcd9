//! `[search]`: how many hits a search returns.

use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

use super::at_least_one;

/// How many hits a search returns.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SearchSettings {
    /// How many hits a search returns when it sets no limit.
    #[schemars(example = 20)]
    pub default_limit: usize,
    /// The most hits that a search may ask for.
    #[schemars(example = 200)]
    pub max_limit: usize,
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self {
            default_limit: 20,
            max_limit: 200,
        }
    }
}

impl Settings for SearchSettings {
    fn validate(&self) -> Result<()> {
        at_least_one("default_limit", self.default_limit as u64)?;
        if self.max_limit < self.default_limit {
            return Err(Error::config(
                "max_limit",
                format!("must be at least default_limit, which is {}", self.default_limit),
            ));
        }
        Ok(())
    }
}
