//! `[log]`: which lines are written, and how.

use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// Which lines are written, and how; they go to the standard error.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// `pretty` for people, `json` for machines.
    #[schemars(example = &"json")]
    pub format: LogFormat,
    /// Which lines: a level, or levels by target.
    #[schemars(example = &"info,lucida=debug")]
    pub filter: String,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// An object per line, for machines.
    Json,
}

impl LogSettings {
    /// Returns the filter, parsed.
    ///
    /// # Errors
    /// `ConfigInvalid` for a filter that is none.
    pub fn env_filter(&self) -> Result<EnvFilter> {
        EnvFilter::builder()
            .parse(&self.filter)
            .map_err(|error| Error::config("filter", format!("`{}` is no filter: {error}", self.filter)))
    }
}

impl Settings for LogSettings {
    fn validate(&self) -> Result<()> {
        self.env_filter().map(drop)
    }
}
