//! SQLite, the embedded default: the photo metadata store and the job queue, each in a file of its own.

mod database;
mod metadata;
mod queue;

pub use metadata::{SqliteConfig, SqliteMetadata, factory as metadata_factory};
pub use queue::{SqliteQueue, SqliteQueueConfig, factory as queue_factory};
