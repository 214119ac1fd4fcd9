//! Answers as text-embeddings-inference does: `/embed`, `/tokenize`, `/decode`, `/info` and `/health`, below a path of their
//! own, since the server has a `/tokenize` already.
//!
//! The shapes are those of the router of text-embeddings-inference 1.8 (`router/src/http/types.rs`).

mod config;
mod embed;
mod factory;
mod info;
mod inputs;
mod plugin;
mod tokenize;

pub use config::ApiTeiConfig;
pub use factory::factory;
pub use plugin::ApiTeiPlugin;
