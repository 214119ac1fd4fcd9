//! What operators are given (`config/production.toml`, `Dockerfile`, `examples/cluster`) fits the program: metrics and
//! labels, keys, ports, paths and commands.

#![cfg(all(
    feature = "storage-disk",
    feature = "metadata-sqlite",
    feature = "index-embedded",
    feature = "queue-sqlite",
    feature = "embedder-onnx",
    feature = "plugin-api-openai",
    feature = "plugin-exif",
    feature = "plugin-thumbnail"
))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts;
mod deployment;
mod files;
#[cfg(feature = "plugin-api-immich")]
mod immich;
mod lucida;
mod production;
mod promql;
mod watched;
#[path = "../server/with_settings.rs"]
mod with_settings;
