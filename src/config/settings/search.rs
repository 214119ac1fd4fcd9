//! `[search]`: how many hits a search gives.

use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

use super::at_least_one;

/// How many hits a search gives.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchSettings {
    /// How many hits a search gives when it doesn't say.
    #[schemars(example = 20)]
    pub default_limit: usize,
    /// How many hits a search may ask for.
    #[schemars(example = 200)]
    pub max_limit: usize,
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
