//! The vector index that needs no server: it compares every vector, in one SQLite file and in memory.
//!
//! A search looks at a code of one bit per dimension for every point that meets the filter, at a code of one byte per
//! dimension for those that may be among the best, and at the whole vectors of the best few. There is no graph, so
//! there is nothing to build, and a filter makes a search faster instead of worse. The README beside this crate says
//! how and why.

mod catalog;
mod chunk;
mod code;
mod codes;
mod collection;
mod columns;
mod config;
mod database;
mod error;
mod filter;
mod index;
mod kernel;
mod load;
mod lock;
mod mask;
mod migrate;
mod pace;
mod readers;
#[cfg(test)]
mod recall;
mod rotation;
mod search;
mod sketch;
mod tags;
mod threads;
mod top;
mod write;
mod writer;

use lucida_core::VectorIndex;
use lucida_core::config::{Factory, factory_fn};

pub use config::FlatConfig;
pub use index::FlatIndex;

/// Returns the factory of the index type `embedded`.
#[must_use]
pub fn factory() -> impl Factory<dyn VectorIndex> {
    factory_fn("embedded", |settings: FlatConfig, _context| async move {
        FlatIndex::open(settings).await
    })
    .in_one_process()
}
