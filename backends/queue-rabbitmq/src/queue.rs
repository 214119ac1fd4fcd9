//! Jobs in rabbitmq.

use std::time::Duration;

use async_trait::async_trait;
use lucida_core::{DeadLetter, Delivery, Job, JobQueue, PhotoId, QueueCounts, Result};

use crate::config::RabbitmqConfig;
use crate::error::unwritten;

/// Keeps jobs in rabbitmq.
#[derive(Debug)]
pub struct RabbitmqQueue {
    config: RabbitmqConfig,
}

impl RabbitmqQueue {
    /// Opens the queue.
    ///
    /// # Errors
    /// `Unavailable`, naming the queue, where it can't be reached.
    pub async fn open(config: RabbitmqConfig) -> Result<Self> {
        Ok(Self { config })
    }
}

#[async_trait]
impl JobQueue for RabbitmqQueue {
    async fn publish(&self, _job: &Job, _delay: Duration) -> Result<()> {
        Err(unwritten(&self.config, "publish"))
    }

    async fn receive(&self, _wait: Duration) -> Result<Option<Delivery>> {
        Err(unwritten(&self.config, "receive"))
    }

    async fn ack(&self, _delivery: &Delivery) -> Result<()> {
        Err(unwritten(&self.config, "ack"))
    }

    async fn retry(&self, _delivery: &Delivery, _delay: Duration) -> Result<()> {
        Err(unwritten(&self.config, "retry"))
    }

    async fn dead_letter(&self, _delivery: &Delivery, _reason: &str) -> Result<()> {
        Err(unwritten(&self.config, "dead_letter"))
    }

    async fn dead_letters(&self, _limit: usize) -> Result<Vec<DeadLetter>> {
        Err(unwritten(&self.config, "dead_letters"))
    }

    async fn remove_dead_letters(&self, _photo_id: &PhotoId) -> Result<u64> {
        Err(unwritten(&self.config, "remove_dead_letters"))
    }

    async fn counts(&self) -> Result<QueueCounts> {
        Err(unwritten(&self.config, "counts"))
    }

    async fn ping(&self) -> Result<()> {
        Err(unwritten(&self.config, "ping"))
    }
}
