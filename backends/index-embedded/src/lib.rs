//! The vector index that needs no server: `qdrant-edge`, the Qdrant engine, in this process.
//!
//! What the engine doesn't do by itself is here: a journal that makes each write durable before its call returns
//! (`journal.rs`), upkeep in the background (`upkeep.rs`), the alias, and several collections in one folder
//! (`catalog.rs`). The README beside this crate has the figures and the reasons.

mod catalog;
mod collection;
mod commit;
mod config;
mod durable;
mod engine;
mod error;
mod factory;
mod filter;
mod index;
mod journal;
mod lock;
mod point;
mod recovery;
mod space;
mod upkeep;

pub use config::EmbeddedConfig;
pub use factory::factory;
pub use index::EmbeddedIndex;
