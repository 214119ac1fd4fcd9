//! A durable job queue in SQLite, in process, the embedded default.
//!
//! One thread, the dispatcher, owns the connection: it takes what callers want changed and who waits for a job,
//! and does all of it in one transaction. Publishing is answered when it is on the disk; handing out and settling
//! are not synced, since a job that comes once more after a power cut does no harm. Other processes may use the
//! same file: each holds a lock that tells the others that it lives.

mod config;
mod dispatcher;
mod error;
mod factory;
mod jobs;
mod owner;
mod queue;
mod schema;

pub use config::SqliteQueueConfig;
pub use factory::factory;
pub use queue::SqliteQueue;
