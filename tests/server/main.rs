//! User stories on the real binary with its defaults: a child process, a folder, HTTP.
//!
//! One program for all of them, since each is linked with every backend.

#![cfg(all(
    feature = "storage-disk",
    feature = "metadata-sqlite",
    feature = "index-embedded",
    feature = "queue-sqlite",
    feature = "embedder-onnx",
    feature = "embedder-candle",
    feature = "plugin-api-openai",
    feature = "plugin-exif",
    feature = "plugin-thumbnail"
))]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says why it is skipped"
)]

#[cfg(all(
    feature = "plugin-api-ollama",
    feature = "plugin-api-tei",
    feature = "plugin-mcp"
))]
mod agents;
mod camera;
mod changes_model;
#[cfg(all(feature = "plugin-api-ollama", feature = "plugin-api-tei"))]
mod clients;
mod drawn;
mod finds_by_words;
mod gallery;
mod health;
mod imports;
mod interrupts;
mod keeps_originals;
mod local_days;
mod metrics;
mod old_folder;
mod process;
mod readme;
mod several_models;
mod store_away;
mod survives_kill;
#[cfg(feature = "plugin-api-weaviate")]
mod weaviate;
#[cfg(all(
    feature = "plugin-api-ollama",
    feature = "plugin-api-tei",
    feature = "plugin-webhook"
))]
mod webhooks;
mod with_settings;
mod worker;
