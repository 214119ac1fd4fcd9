//! Makes the queue type `sqlite` known to the registry.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, JobQueue};

use crate::config::SqliteQueueConfig;
use crate::queue::SqliteQueue;

/// Returns the factory of the queue type `sqlite`.
#[must_use]
pub fn factory() -> impl Factory<dyn JobQueue> {
    factory_fn("sqlite", |settings: SqliteQueueConfig, _context| {
        SqliteQueue::open(settings)
    })
}
