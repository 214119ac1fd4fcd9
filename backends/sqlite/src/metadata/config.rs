//! The settings of `metadata.sqlite`.

use std::path::PathBuf;

use lucida_core::config::local;
use lucida_core::{BuildContext, Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

/// The metadata store in one SQLite file on this machine.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SqliteConfig {
    /// The database file, on a local disk; created if missing. Two more files are next to it while it is open.
    #[schemars(example = "data/metadata.db")]
    pub path: PathBuf,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            path: "data/metadata.db".into(),
        }
    }
}

impl Settings for SqliteConfig {
    fn validate(&self) -> Result<()> {
        if self.path.file_name().is_none() {
            return Err(Error::config(
                "path",
                "metadata.sqlite.path is not a file name; expected one like `data/metadata.db`",
            ));
        }
        Ok(())
    }

    fn check_local(&self, _: &BuildContext) -> Vec<Error> {
        local::writable_file("path", &self.path)
            .err()
            .into_iter()
            .collect()
    }
}
