//! The settings of the embedded index.

use std::path::PathBuf;

use lucida_core::config::{Settings, check_range, local};
use lucida_core::{BuildContext, CollectionName, Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

const MOST_THREADS: usize = 256;

/// The settings of the embedded index.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlatConfig {
    /// The folder, on a local disk; created if missing. Only one process at a time can use it.
    pub path: PathBuf,
    /// The alias of the current collection.
    pub collection: String,
    /// How many threads one search of a large collection may use; 0 uses every core.
    pub search_threads: usize,
}

impl Default for FlatConfig {
    fn default() -> Self {
        Self {
            path: "data/index".into(),
            collection: "photo_embeddings".to_owned(),
            search_threads: 0,
        }
    }
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
        check_range("search_threads", self.search_threads, &(0..=MOST_THREADS))
    }

    fn check_local(&self, _: &BuildContext) -> Vec<Error> {
        local::writable_folder("path", &self.path)
            .err()
            .into_iter()
            .collect()
    }
}
