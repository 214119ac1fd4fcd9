//! `[log]`: which log lines are written, and how.

use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::names::{did_you_mean, nearest};

/// Which log lines are written, and how. They go to the standard error.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// `pretty` for people, `json` for machines.
    #[schemars(example = &"json")]
    pub format: LogFormat,
    /// Which lines: a level (`off`, `error`, `warn`, `info`, `debug`, `trace`), or levels by target, such as
    /// `info,lucida=debug`. The lines of the AMQP and MCP libraries repeat Lucida's own.
    #[schemars(example = &"info,lucida=debug")]
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Pretty,
            filter: "info,lapin=off,rmcp=error".to_owned(),
        }
    }
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// `ConfigInvalid` for a filter that names no level, or can't be parsed.
    pub fn env_filter(&self) -> Result<EnvFilter> {
        let directives: Vec<&str> = directives(&self.filter).collect();
        for directive in &directives {
            check_level(directive)?;
        }
        // The library takes a space after a comma for a part of the level or the target.
        EnvFilter::builder()
            .parse(directives.join(","))
            .map_err(|error| Error::config("filter", format!("`{}` is not a filter: {error}", self.filter)))
    }
}

impl Settings for LogSettings {
    fn validate(&self) -> Result<()> {
        self.env_filter().map(drop)
    }
}

/// The levels, and words that other programs have for them.
const LEVELS: &[(&str, &str)] = &[
    ("off", "off"),
    ("error", "error"),
    ("warn", "warn"),
    ("info", "info"),
    ("debug", "debug"),
    ("trace", "trace"),
    ("none", "off"),
    ("quiet", "off"),
    ("fatal", "error"),
    ("critical", "error"),
    ("warning", "warn"),
    ("information", "info"),
    ("notice", "info"),
    ("verbose", "debug"),
    ("all", "trace"),
];

/// How many of [`LEVELS`] are levels.
const LEVEL_COUNT: usize = 6;

/// Splits a filter as the library does, without the spaces around each directive.
fn directives(filter: &str) -> impl Iterator<Item = &str> {
    filter
        .split(',')
        .map(str::trim)
        .filter(|directive| !directive.is_empty())
}

/// Refuses a level that doesn't exist: the library takes a word of its own for a target, and then writes no other line.
fn check_level(directive: &str) -> Result<()> {
    let end = directive.rfind([']', '}']).map_or(0, |end| end + 1);
    let level = match directive[end..].rsplit_once('=') {
        Some((_, level)) => level.trim(),
        // A span or a path of modules without a level.
        None if end > 0 || directive.contains("::") => return Ok(()),
        None => directive,
    };
    let lower = level.to_ascii_lowercase();
    let levels = &LEVELS[..LEVEL_COUNT];
    if levels.iter().any(|(known, _)| *known == lower)
        || matches!(lower.as_str(), "0" | "1" | "2" | "3" | "4" | "5")
    {
        return Ok(());
    }
    let names: Vec<_> = levels.iter().map(|(level, _)| *level).collect();
    let near = nearest(level, LEVELS.iter().map(|(word, _)| *word));
    let meant = near.and_then(|near| {
        LEVELS
            .iter()
            .find(|(word, _)| *word == near)
            .map(|(_, level)| *level)
    });
    let message = format!(
        "`{level}` is not a level; expected one of {}, or a target with its level, such as `lucida=debug`{}",
        names.join(", "),
        did_you_mean(meant)
    );
    Err(Error::config("filter", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(filter: &str) -> Result<()> {
        let settings = LogSettings {
            filter: filter.to_owned(),
            ..LogSettings::default()
        };
        settings.validate()
    }

    #[test]
    fn levels_alone_and_by_target_are_filters() {
        for filter in [
            "info",
            "INFO",
            "off",
            "3",
            "info,lapin=off",
            "warn, lucida=debug",
            "lucida::http",
            "lucida[request{method=GET}]=trace,info",
            "lucida[request]",
            "",
        ] {
            check(filter).unwrap();
        }
    }

    #[test]
    fn a_level_that_does_not_exist_is_refused_with_the_nearest() {
        for (filter, meant) in [
            ("verbos", "`debug`"),
            ("lucida=verbose", "`debug`"),
            ("inf", "`info`"),
            ("warning", "`warn`"),
            ("info,lapin=of", "`off`"),
        ] {
            let error = check(filter).unwrap_err();
            assert_eq!(error.field(), Some("filter"));
            assert!(
                error.message().ends_with(&format!("did you mean {meant}?")),
                "{error}"
            );
        }
    }
}
