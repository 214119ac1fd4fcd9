//! The settings of the embedded index.

use std::path::PathBuf;

use lucida_core::CollectionName;
use lucida_core::config::Settings;
use lucida_core::config::local;
use lucida_core::{BuildContext, Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// The settings of the embedded index.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddedConfig {
    /// The folder; created if missing. Only one process at a time can use it.
    pub path: PathBuf,
    /// The alias of the current collection.
    pub collection: String,
    /// Whether vectors and graph stay on disk and only what searches touch is in memory: less memory, and searches
    /// that wait for the disk.
    pub vectors_on_disk: bool,
    /// Links per vector in the search graph, 4 to 128; more finds more and costs memory.
    pub hnsw_m: usize,
    /// Candidates looked at per vector while the graph is built, 4 to 4096; more finds more and builds slower.
    pub hnsw_ef_construct: usize,
    /// Candidates looked at per search of the graph, 1 to 10000; more finds more and searches slower.
    pub search_ef: usize,
    /// How much of vectors is searched one by one, exactly, before a graph is built over them; at least 1048576.
    pub indexing_threshold_bytes: u64,
    /// Threads that build the graph in the background, 1 to 64.
    pub indexing_threads: usize,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            path: "data/index".into(),
            collection: "photo_embeddings".to_owned(),
            vectors_on_disk: false,
            hnsw_m: 16,
            hnsw_ef_construct: 100,
            search_ef: 256,
            indexing_threshold_bytes: 32 << 20,
            indexing_threads: 1,
        }
    }
}

impl Settings for EmbeddedConfig {
    fn validate(&self) -> Result<()> {
        if self.path.as_os_str().is_empty() {
            return Err(Error::config(
                "path",
                "is empty: name a folder, such as `data/index`",
            ));
        }
        // A collection's name is the alias, a dash and a fingerprint of 32 digits.
        if self.collection.len() > 95 || CollectionName::new(self.collection.as_str()).is_err() {
            return Err(Error::config(
                "collection",
                format!("`{}` is no name: use 1 to 95 of a-z A-Z 0-9 _ -", self.collection),
            ));
        }
        within("hnsw_m", self.hnsw_m, 4, 128)?;
        within("hnsw_ef_construct", self.hnsw_ef_construct, 4, 4096)?;
        within("search_ef", self.search_ef, 1, 10_000)?;
        within("indexing_threads", self.indexing_threads, 1, 64)?;
        if self.indexing_threshold_bytes < 1 << 20 {
            return Err(Error::config(
                "indexing_threshold_bytes",
                format!(
                    "{} is too small: use 1048576 or more",
                    self.indexing_threshold_bytes
                ),
            ));
        }
        Ok(())
    }

    fn check_local(&self, _: &BuildContext) -> Vec<Error> {
        local::writable_folder("path", &self.path)
            .err()
            .into_iter()
            .collect()
    }
}

fn within(field: &str, value: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(Error::config(
            field,
            format!("{value} is out of range: use {least} to {most}"),
        ))
    }
}
