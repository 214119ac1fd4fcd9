//! Answers as the inference container of Weaviate's module multi2vec-clip does: `/vectorize`, `/meta`, and
//! `/.well-known/live` and `ready`.
//!
//! The shapes are those of `app.py` in weaviate/multi2vec-clip-inference, and of the client in Weaviate's
//! `modules/multi2vec-clip/clients`, which sends no content type.

mod config;
mod factory;
mod plugin;
mod vectorize;

pub use config::ApiWeaviateConfig;
pub use factory::factory;
pub use plugin::ApiWeaviatePlugin;
