//! The settings of `queue.sqlite`.

use std::path::PathBuf;

use lucida_core::config::local;
use lucida_core::{BuildContext, Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

/// The jobs in one SQLite file on this machine.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SqliteQueueConfig {
    /// The database file, on a local disk and not that of the metadata store; created if missing. Two more files and a
    /// folder are next to it.
    #[schemars(example = "data/queue.db")]
    pub path: PathBuf,
    /// How long a worker may take for a job, in seconds, before the job is delivered again although the worker's process is
    /// alive. The jobs of a process that died are delivered again at once.
    #[schemars(example = 900, range(min = 1))]
    pub visibility_timeout_secs: u64,
}

impl Default for SqliteQueueConfig {
    fn default() -> Self {
        Self {
            path: "data/queue.db".into(),
            visibility_timeout_secs: 900,
        }
    }
}

impl Settings for SqliteQueueConfig {
    fn validate(&self) -> Result<()> {
        if self.path.file_name().is_none() {
            return Err(Error::config(
                "path",
                "queue.sqlite.path is not a file name; expected one like `data/queue.db`",
            ));
        }
        if self.visibility_timeout_secs == 0 {
            return Err(Error::config(
                "visibility_timeout_secs",
                "queue.sqlite.visibility_timeout_secs is 0: give a job at least 1 second",
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
