//! The HTTP surface as its clients see it: a server that really listens, on memory parts and a small real model.
//!
//! One binary, since each would be linked with every backend; one module per user story.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod auth;
mod base_path;
mod blocking;
mod bounds;
mod clients;
mod content;
mod cors;
mod dates;
mod deadline;
#[cfg(all(
    feature = "plugin-api-immich",
    feature = "plugin-api-ollama",
    feature = "plugin-api-openai",
    feature = "plugin-api-tei",
    feature = "plugin-api-weaviate"
))]
mod doors;
mod embed;
mod endpoints;
#[cfg(feature = "plugin-api-immich")]
mod immich;
mod library;
mod limits;
#[cfg(all(feature = "plugin-mcp", feature = "plugin-thumbnail"))]
mod mcp;
mod models;
#[cfg(feature = "plugin-api-ollama")]
mod ollama;
#[cfg(feature = "plugin-api-openai")]
mod openai;
mod operate;
mod plugins;
#[cfg(feature = "embedder-remote")]
mod remote;
mod search;
mod server;
mod shutdown;
#[cfg(feature = "plugin-api-tei")]
mod tei;
mod texts;
mod tls;
mod upload;
mod urls;
#[cfg(feature = "plugin-api-weaviate")]
mod weaviate;
