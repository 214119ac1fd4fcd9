//! The job queue: what is still to be done, at least once.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::PhotoId;

/// A piece of work: bring this photo to `ready`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Job {
    /// The photo.
    pub photo_id: PhotoId,
}

/// A job that was handed out and must be acked, retried or dead-lettered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The job.
    pub job: Job,
    /// How often it was handed out before.
    pub redeliveries: u32,
    /// The queue's own name for this delivery.
    pub tag: String,
}

/// A job that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The job.
    pub job: Job,
    /// Why it was given up.
    pub reason: String,
}

/// How many jobs there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueCounts {
    /// Jobs that can be handed out now.
    pub ready: u64,
    /// Jobs waiting for their time.
    pub delayed: u64,
    /// Jobs handed out and not yet settled.
    pub in_flight: u64,
    /// Jobs given up.
    pub dead: u64,
}

/// Hands out jobs at least once, roughly in the order of publishing.
///
/// A delivery that is not settled because its receiver died is handed out again, after a restart at the latest.
/// Settling the same delivery twice is fine. Implementations must not retry, time or log: the decorators do.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Adds a job that can be handed out after `delay`. Durable when it returns.
    ///
    /// # Errors
    /// `Unavailable` by the queue.
    async fn publish(&self, job: &Job, delay: Duration) -> Result<()>;

    /// Waits up to `wait` for a job and takes it; `None` when there was none. Two receivers never get one
    /// delivery. Cancel safe: a dropped call loses no job.
    ///
    /// # Errors
    /// `Unavailable` by the queue.
    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>>;

    /// Settles a delivery: its job is done.
    ///
    /// # Errors
    /// `Unavailable` by the queue.
    async fn ack(&self, delivery: &Delivery) -> Result<()>;

    /// Puts a delivery's job back, to be handed out again after `delay`.
    ///
    /// # Errors
    /// `Unavailable` by the queue.
    async fn retry(&self, delivery: &Delivery, delay: Duration) -> Result<()>;

    /// Puts a delivery's job among the dead letters.
    ///
    /// # Errors
    /// `Unavailable` by the queue.
    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<()>;

    /// Returns dead letters, the oldest first, `limit` at most, and leaves them there.
    ///
    /// # Errors
    /// `Unavailable` by the queue.
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>>;

    /// Removes a photo's dead letters, and returns how many there were.
    ///
    /// # Errors
    /// `Unavailable` by the queue.
    async fn remove_dead_letters(&self, photo_id: &PhotoId) -> Result<u64>;

    /// Counts the jobs; a remote queue may answer with what it knew a moment ago.
    ///
    /// # Errors
    /// `Unavailable` by the queue.
    async fn counts(&self) -> Result<QueueCounts>;

    /// Checks that the queue can be reached.
    ///
    /// # Errors
    /// `Unavailable` or `PermissionDenied`, naming the queue.
    async fn ping(&self) -> Result<()>;
}
