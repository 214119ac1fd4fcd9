//! The vector index on qdrant.

mod config;
mod error;
mod factory;
mod index;

pub use config::QdrantConfig;
pub use factory::factory;
pub use index::QdrantIndex;
