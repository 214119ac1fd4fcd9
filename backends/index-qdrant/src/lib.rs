//! The vector index on a Qdrant server or cluster, over gRPC.
//!
//! The protocol is qdrant-client's; the connection is tonic's own, because qdrant-client's wrapper tries calls again by
//! itself, prints, and takes no certificate authority. The README beside this crate says how things lie on the server.

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

pub use config::{QdrantConfig, Quantization, ReadConsistency, WriteOrdering};
pub use factory::factory;
pub use index::QdrantIndex;
