//! The vector index on a Qdrant server or cluster, over gRPC.
//!
//! The connection is qdrant-client's. The README beside this crate says what is stored on the server.

mod batch;
mod collection;
mod config;
mod directory;
mod error;
mod factory;
mod filter;
mod foreign;
mod index;
mod options;
mod point;
mod server;
mod version;

pub use config::{QdrantConfig, Quantization, ReadConsistency, WriteOrdering};
pub use factory::factory;
pub use index::QdrantIndex;
