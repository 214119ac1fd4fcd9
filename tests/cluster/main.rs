//! User stories on a cluster: several processes of the real binary over an object store, a document database, a vector
//! database and a broker, all of which die in turn.
//!
//! `cargo xtask test` brings the servers; without them the tests print why they are skipped, and fail in CI.

#![cfg(all(
    feature = "storage-s3",
    feature = "metadata-mongodb",
    feature = "index-qdrant",
    feature = "queue-rabbitmq",
    feature = "embedder-candle",
    feature = "plugin-api-openai",
    feature = "plugin-exif",
    feature = "plugin-thumbnail"
))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adopts;
mod changes_model;
mod cluster;
#[path = "../server/drawn.rs"]
mod drawn;
mod keeps_secrets;
mod photos;
mod process;
mod survives_kills;
