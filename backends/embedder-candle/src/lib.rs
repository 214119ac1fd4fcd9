//! Embeddings by [candle](https://github.com/huggingface/candle), in Rust alone: no library to find, nothing to export.
//!
//! [`factory`] is what a registry lists as `type = "candle"`. Core reads the model's folder and describes its towers tensor
//! by tensor; this crate runs that description, whatever family of models it comes from, and puts it behind
//! [`lucida_core::Batched`].

mod activation;
mod attention;
mod columns;
mod config;
mod encoder;
mod engine;
mod error;
mod factory;
mod image_tower;
mod linear;
mod norm;
mod numbers;
mod pooling;
mod text_tower;

pub use config::CandleConfig;
pub use engine::CandleEngine;
pub use factory::factory;
pub use image_tower::ImageTower;
pub use text_tower::TextTower;
