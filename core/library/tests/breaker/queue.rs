//! The breaker of a queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lucida_core::{DeadLetter, Delivery, Error, Job, JobQueue, PhotoId, QueueCounts, Result};
use lucida_library::decorate::guard_queue;
use lucida_memory::MemoryQueue;

use crate::{FAILURES, OPEN, options};

/// A queue that may be unavailable, and counts its calls.
struct Broker {
    inner: MemoryQueue,
    away: AtomicUsize,
    calls: AtomicUsize,
}

impl Broker {
    fn call(&self) -> Result<&MemoryQueue> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match self.away.load(Ordering::SeqCst) {
            0 => Ok(&self.inner),
            _ => Err(Error::unavailable("the connection is gone")),
        }
    }
}

#[async_trait]
impl JobQueue for Broker {
    async fn publish(&self, job: &Job, delay: Duration) -> Result<()> {
        self.call()?.publish(job, delay).await
    }
    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>> {
        self.call()?.receive(wait).await
    }
    async fn ack(&self, delivery: &Delivery) -> Result<()> {
        self.call()?.ack(delivery).await
    }
    async fn retry(&self, delivery: &Delivery, delay: Duration) -> Result<()> {
        self.call()?.retry(delivery, delay).await
    }
    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<()> {
        self.call()?.dead_letter(delivery, reason).await
    }
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        self.call()?.dead_letters(limit).await
    }
    async fn remove_dead_letters(&self, photo_id: &PhotoId) -> Result<u64> {
        self.call()?.remove_dead_letters(photo_id).await
    }
    async fn counts(&self) -> Result<QueueCounts> {
        self.call()?.counts().await
    }
    async fn ping(&self) -> Result<()> {
        self.call()?.ping().await
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_job_is_never_refused_and_a_job_closes_the_breaker() {
    let broker = Arc::new(Broker {
        inner: MemoryQueue::new(),
        away: AtomicUsize::new(1),
        calls: AtomicUsize::new(0),
    });
    let guarded = guard_queue(Arc::clone(&broker) as Arc<dyn JobQueue>, "broker", options());
    let wait = Duration::from_millis(100);
    for _ in 0..FAILURES {
        guarded.receive(wait).await.unwrap_err();
    }
    let calls = broker.calls.load(Ordering::SeqCst);
    let refusal = guarded.counts().await.unwrap_err();
    assert_eq!(refusal.retry_after(), Some(OPEN));
    assert_eq!(broker.calls.load(Ordering::SeqCst), calls, "it was not asked");

    broker.away.store(0, Ordering::SeqCst);
    assert!(guarded.receive(wait).await.unwrap().is_none());
    guarded.counts().await.unwrap_err();
    let job = Job {
        photo_id: PhotoId::generate(),
    };
    broker.inner.publish(&job, Duration::ZERO).await.unwrap();
    let delivery = guarded.receive(wait).await.unwrap().unwrap();
    guarded.ack(&delivery).await.unwrap();
    assert_eq!(guarded.counts().await.unwrap().in_flight, 0);
}
