//! `[[models]]`: what an entry says besides the settings of its type.

use std::time::Duration;

use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

/// A name is shown in lists and metrics, and is a part of a path.
const MAX_NAME_BYTES: usize = 100;

/// What every entry of `[[models]]` says of its model, whatever its type.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// The name by which requests choose the model: letters, digits and `. _ - / :`.
    #[schemars(example = &"e5")]
    pub name: String,
    /// Whether the model is loaded at start (`true`) or when it is first asked (`false`).
    #[serde(default)]
    pub preload: bool,
    /// After how many idle seconds the model is unloaded from memory; 0 is never.
    #[serde(default = "five_minutes")]
    pub idle_unload_secs: u64,
}

const fn five_minutes() -> u64 {
    300
}

impl ModelSettings {
    /// The keys.
    pub(crate) const KEYS: [&str; 3] = ["name", "preload", "idle_unload_secs"];

    /// Returns after how long without work the model is unloaded; never, if `None`.
    #[must_use]
    pub fn idle_unload(&self) -> Option<Duration> {
        (self.idle_unload_secs > 0).then(|| Duration::from_secs(self.idle_unload_secs))
    }
}

impl Settings for ModelSettings {
    fn validate(&self) -> Result<()> {
        let name = &self.name;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte);
        let edges = [name.bytes().next(), name.bytes().last()];
        let ends_well = edges
            .iter()
            .all(|edge| edge.is_some_and(|byte| byte.is_ascii_alphanumeric()));
        if ends_well && name.bytes().all(allowed) && name.len() <= MAX_NAME_BYTES {
            return Ok(());
        }
        let message = format!(
            "must have 1 to {MAX_NAME_BYTES} letters, digits and . _ - / :, and begin and end with a letter or a digit, such as \
             \"e5\""
        );
        Err(Error::config("name", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Result<()> {
        let settings = ModelSettings {
            name: name.to_owned(),
            preload: false,
            idle_unload_secs: 0,
        };
        settings.validate()
    }

    #[test]
    fn a_name_fits_into_a_path_and_a_label() {
        for name in ["e5", "intfloat/multilingual-e5-small", "a.b_c-d:1"] {
            named(name).unwrap();
        }
        for name in ["", "/e5", "e5/", "e 5", "é5", "e5?", &"a".repeat(101)] {
            let error = named(name).unwrap_err();
            assert_eq!(error.field(), Some("name"), "{name}");
        }
    }
}
