//! Embeddings by [candle](https://github.com/huggingface/candle), in Rust alone: no library to find, nothing to export.
//!
//! [`factory`] is what a registry lists as `type = "candle"`. `lucida-models` reads the model's folder and describes its towers
//! tensor by tensor. On the processor this crate's own encoder runs CLIP and the BERT families, and candle-transformers other
//! families; on a graphics card candle-transformers runs all of them, behind [`lucida_models::Batched`].

mod activation;
mod attention;
mod bias;
mod class_vit;
mod columns;
mod config;
mod device;
mod encoder;
mod engine;
mod error;
mod factory;
mod families;
mod family_tower;
mod fast_vit;
mod image_tower;
mod linear;
mod module_tower;
mod modules;
mod named;
mod norm;
mod numbers;
mod plain;
mod pooling;
mod siglip;
mod text_tower;

pub use class_vit::{ClassVit, ClassVitTower};
pub use config::CandleConfig;
pub use device::ComputeDevice;
pub use engine::{AnyImageTower, AnyTextTower, CandleEngine};
pub use factory::factory;
pub use family_tower::FamilyTower;
pub use fast_vit::FastVit;
pub use image_tower::ImageTower;
pub use module_tower::ModuleTower;
pub use siglip::SiglipTower;
pub use text_tower::TextTower;
