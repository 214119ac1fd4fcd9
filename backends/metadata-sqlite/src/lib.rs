//! The photo metadata store in SQLite, the embedded default.
//!
//! One thread writes: it takes all the writes that are waiting, applies each under a savepoint of its own, and
//! commits them together, so that they share one sync of the disk. Reads run beside it on connections of their
//! own. Several processes may use one file.

mod config;
mod error;
mod factory;
mod list;
mod readers;
mod row;
mod schema;
mod store;
mod writer;

pub use config::SqliteConfig;
pub use factory::factory;
pub use store::SqliteMetadata;
