//! The settings of `storage.disk`.

use std::path::PathBuf;

use lucida_core::config::local;
use lucida_core::{BuildContext, Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

/// Photos as files in one folder of this machine.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiskConfig {
    /// The folder; created if missing. Everything in it must be on one file system.
    #[schemars(example = "data/photos")]
    pub root: PathBuf,
}

impl Default for DiskConfig {
    fn default() -> Self {
        Self {
            root: "data/photos".into(),
        }
    }
}

impl Settings for DiskConfig {
    fn validate(&self) -> Result<()> {
        if self.root.as_os_str().is_empty() {
            return Err(Error::config(
                "root",
                "storage.disk.root is empty: name a folder such as `data/photos`",
            ));
        }
        Ok(())
    }

    fn check_local(&self, _: &BuildContext) -> Vec<Error> {
        local::writable_folder("root", &self.root)
            .err()
            .into_iter()
            .collect()
    }
}
