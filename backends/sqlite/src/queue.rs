//! The durable job queue, in process.
//!
//! One thread, the dispatcher, owns the connection: it takes what callers want changed and who waits for a job,
//! and does all of it in one transaction. Publishing is answered when it is on the disk; handing out and settling
//! are not synced, since a job that comes once more after a power cut does no harm. Other processes may use the
//! same file: each holds a lock by which the others know that it runs.

mod config;
mod dispatcher;
mod job_queue;
mod jobs;
mod owner;

pub use config::SqliteQueueConfig;
pub use job_queue::SqliteQueue;
use lucida_core::config::factory_fn;
use lucida_core::{Factory, JobQueue};

use crate::database::Database;

/// The file of the queue, marked "LucQ".
const DATABASE: Database = Database {
    name: "queue",
    setting: "queue.sqlite.path",
    application_id: 0x4c75_6351,
    migrations: &[include_str!("queue/migrations/0001_jobs.sql")],
    cache_kib: (4096, 4096),
    journal_bytes: 16 << 20,
    when_damaged: "move it away, and the jobs are created again from the metadata store",
    when_newer: "run the Lucida that wrote it, or move the file away, and the jobs are created again from the metadata store",
};

/// Returns the factory of the queue type `sqlite`.
#[must_use]
pub fn factory() -> impl Factory<dyn JobQueue> {
    factory_fn("sqlite", |settings: SqliteQueueConfig, _context| {
        SqliteQueue::open(settings)
    })
}
