//! What a configuration may hold, which mistakes are found in one, and what is reported about it.

#![cfg(all(
    feature = "storage-disk",
    feature = "storage-s3",
    feature = "metadata-sqlite",
    feature = "index-embedded",
    feature = "queue-sqlite",
    feature = "queue-rabbitmq",
    feature = "embedder-onnx",
    feature = "plugin-api-immich",
    feature = "plugin-api-ollama",
    feature = "plugin-api-openai",
    feature = "plugin-api-tei",
    feature = "plugin-api-weaviate",
    feature = "plugin-exif",
    feature = "plugin-mcp",
    feature = "plugin-thumbnail"
))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod given;
mod layers;
mod names;
mod shown;
mod values;
mod variables;
