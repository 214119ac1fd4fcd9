//! The job queue in RabbitMQ, for several processes on several machines.
//!
//! Jobs are persistent messages in quorum queues, published with confirms and acked by hand. Delays are a ladder of
//! queues whose messages expire into the queue of jobs, so the broker needs no plugin. When the broker goes away, calls
//! fail at once, and succeed again when it is back.

mod broker;
mod channels;
mod config;
mod dead;
mod error;
mod factory;
mod link;
mod message;
mod queue;
mod receive;
mod session;
mod topology;
mod upkeep;
mod uri;

pub use config::RabbitmqConfig;
pub use factory::factory;
pub use queue::RabbitmqQueue;
