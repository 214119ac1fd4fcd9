//! The settings of the embedded index.

use std::path::PathBuf;

use lucida_core::CollectionName;
use lucida_core::config::Settings;
use lucida_core::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

const MOST_THREADS: usize = 256;

/// The settings of the embedded index.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlatConfig {
    /// The folder, on a local disk; it is created when missing. One process at a time may use it. Example: `data/index`
    pub path: PathBuf,
    /// The alias under which searches find the current collection. Example: `photo_embeddings`
    pub collection: String,
    /// How many threads one search of a large collection may use; 0 uses every core. Example: `0`
    pub search_threads: usize,
}

impl Settings for FlatConfig {
    fn validate(&self) -> Result<()> {
        if self.path.as_os_str().is_empty() {
            return Err(Error::config(
                "path",
                "is empty: set it to a folder such as `data/index`",
            ));
        }
        // A collection's name is the alias, a dash and a fingerprint of 32 digits.
        if self.collection.len() > 95 || CollectionName::new(self.collection.as_str()).is_err() {
            return Err(Error::config(
                "collection",
                format!(
                    "`{}` is not a collection name: use 1 to 95 of a-z A-Z 0-9 _ -",
                    self.collection
                ),
            ));
        }
        if self.search_threads > MOST_THREADS {
            return Err(Error::config(
                "search_threads",
                format!("{} is out of range: use 0 to {MOST_THREADS}", self.search_threads),
            ));
        }
        Ok(())
    }
}
