//! Makes the queue type `rabbitmq` known to the registry.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, JobQueue};

use crate::config::RabbitmqConfig;
use crate::queue::RabbitmqQueue;

/// Returns the factory of the queue type `rabbitmq`.
#[must_use]
pub fn factory() -> impl Factory<dyn JobQueue> {
    factory_fn("rabbitmq", |settings: RabbitmqConfig, _context| {
        RabbitmqQueue::open(settings)
    })
}
