//! A checked, typed configuration.

use std::fmt;
use std::time::Duration;

use super::finding::Finding;
use super::merged::Merged;
use super::settings::{
    AuthSettings, IngestSettings, LogSettings, ModelSettings, ResilienceSettings, SearchSettings,
    ServerSettings, WorkerSettings,
};
use super::show;
use crate::factories::Selection;
use crate::http::HttpOptions;
use crate::schema::ValueKind;

/// A whole, checked configuration. It may hold secrets, so it doesn't print.
#[derive(Clone)]
pub struct Config {
    /// Where the server listens, and its limits.
    pub server: ServerSettings,
    /// Who may call.
    pub auth: AuthSettings,
    /// How photos get from their upload to the index.
    pub ingest: IngestSettings,
    /// Where `lucida worker` reports health and metrics.
    pub worker: WorkerSettings,
    /// How many hits a search returns.
    pub search: SearchSettings,
    /// Which log lines are written, and how.
    pub log: LogSettings,
    /// Timeouts, retries and circuit breakers of the stores.
    pub resilience: ResilienceSettings,
    /// The blob store.
    pub storage: Selection,
    /// The metadata store.
    pub metadata: Selection,
    /// The vector index.
    pub index: Selection,
    /// The job queue.
    pub queue: Selection,
    /// The model.
    pub embedder: Selection,
    /// Further models beside the library's own.
    pub models: Vec<ModelSelection>,
    /// The plugins, in the order of their hooks.
    pub plugins: Vec<Selection>,
    pub(super) merged: Merged,
    pub(super) schema: ValueKind,
}

/// A further model that the configuration selected.
#[derive(Debug, Clone)]
pub struct ModelSelection {
    /// Its name, and when it is in memory.
    pub model: ModelSettings,
    /// Its type, and the settings for that type.
    pub selection: Selection,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Config")
    }
}

impl Config {
    /// Returns how the HTTP surface behaves.
    #[must_use]
    pub fn http_options(&self) -> HttpOptions {
        let server = &self.server;
        HttpOptions {
            base_path: server.base_path.clone(),
            max_upload_bytes: server.max_upload_bytes,
            max_json_bytes: server.max_json_bytes,
            request_timeout: Duration::from_secs(server.request_timeout_secs),
            wait_timeout: Duration::from_secs(server.wait_timeout_secs),
            max_concurrent_requests: server.max_concurrent_requests,
            max_embed_items: server.max_embed_items,
            cors_origins: server.cors_origins.clone(),
            default_search_limit: self.search.default_limit,
            max_search_limit: self.search.max_limit,
            shutdown_timeout: server.shutdown_timeout(),
        }
    }

    /// Prints the merged configuration as TOML, with secrets redacted and the source of every value.
    #[must_use]
    pub fn show(&self) -> String {
        show::show(&self.merged, &self.schema)
    }

    /// Makes a finding about a key of this configuration.
    pub(super) fn finding(&self, path: &str, message: impl Into<String>) -> Finding {
        Finding::new(path, self.merged.place_of(path), message)
    }
}
