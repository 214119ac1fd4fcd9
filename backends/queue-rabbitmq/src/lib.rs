//! The job queue on rabbitmq.

mod config;
mod error;
mod factory;
mod queue;

pub use config::RabbitmqConfig;
pub use factory::factory;
pub use queue::RabbitmqQueue;
