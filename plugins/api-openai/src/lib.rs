//! Answers as OpenAI's embeddings API does, for texts, token ids and pictures: `POST /v1/embeddings`.
//!
//! Pictures are read in the forms of infinity (`modality: "image"`) and vLLM (a list of content parts). `/v1/models` is the
//! server's own call.

mod answer;
mod config;
mod embeddings;
mod factory;
mod fetch;
mod inputs;
mod plugin;
mod request;

pub use config::{ApiOpenaiConfig, TokenIds};
pub use factory::factory;
pub use plugin::ApiOpenaiPlugin;
