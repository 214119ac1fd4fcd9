//! The guard around a job queue.

use std::time::Duration;

use async_trait::async_trait;

use super::Guarded;
use lucida_core::{DeadLetter, Delivery, Job, JobQueue, PhotoId, QueueCounts, Result};

#[async_trait]
impl JobQueue for Guarded<dyn JobQueue> {
    async fn publish(&self, job: &Job, delay: Duration) -> Result<()> {
        self.guard
            .call("publish", || self.inner.publish(job, delay))
            .await
    }

    /// This call waits by design, so it is neither timed nor retried here: its caller loops. Nor is it ever refused, since it
    /// would block the breaker's one trial call for as long as it waits. An empty answer is no result for the breaker.
    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>> {
        let received = self.inner.receive(wait).await;
        if !matches!(received, Ok(None)) {
            self.guard.breaker.probe().ended(&received);
        }
        received
    }

    async fn ack(&self, delivery: &Delivery) -> Result<()> {
        self.guard.call("ack", || self.inner.ack(delivery)).await
    }

    async fn retry(&self, delivery: &Delivery, delay: Duration) -> Result<()> {
        self.guard
            .call("retry", || self.inner.retry(delivery, delay))
            .await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<()> {
        self.guard
            .call("dead_letter", || self.inner.dead_letter(delivery, reason))
            .await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        self.guard
            .call("dead_letters", || self.inner.dead_letters(limit))
            .await
    }

    async fn remove_dead_letters(&self, photo_id: &PhotoId) -> Result<u64> {
        self.guard
            .call("remove_dead_letters", || self.inner.remove_dead_letters(photo_id))
            .await
    }

    async fn counts(&self) -> Result<QueueCounts> {
        self.guard.call("counts", || self.inner.counts()).await
    }

    async fn ping(&self) -> Result<()> {
        self.guard.ping(self.inner.ping()).await
    }
}
