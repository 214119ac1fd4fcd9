//! Answers as Ollama does, for embeddings: `/api/embed`, `/api/embeddings`, `/api/tags`, `/api/show` and `/api/version`.
//!
//! The shapes are those of Ollama 0.12 (`docs/api.md`).

mod config;
mod embed;
mod factory;
mod models;
mod plugin;

pub use config::ApiOllamaConfig;
pub use factory::factory;
pub use plugin::ApiOllamaPlugin;
