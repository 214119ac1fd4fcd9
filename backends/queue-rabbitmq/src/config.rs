//! The settings of the job queue on rabbitmq.

use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

/// The settings of the job queue on rabbitmq.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RabbitmqConfig {
    /// Where it is. Example: `http://127.0.0.1:9000`
    pub url: String,
}

impl Settings for RabbitmqConfig {
    fn validate(&self) -> Result<()> {
        if self.url.is_empty() {
            return Err(Error::config("url", "is empty: say where the job queue is"));
        }
        Ok(())
    }
}
