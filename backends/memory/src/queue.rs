//! Jobs in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use lucida_core::{DeadLetter, Delivery, Job, JobQueue, PhotoId, QueueCounts, Result};

/// Stands for "never" where a delay is beyond what the clock can tell.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

#[derive(Debug)]
struct Entry {
    job: Job,
    deliveries: u32,
}

#[derive(Debug, Default)]
struct Jobs {
    /// By the time they are due, then by when they were added.
    waiting: BTreeMap<(Instant, u64), Entry>,
    in_flight: HashMap<String, Entry>,
    dead: VecDeque<DeadLetter>,
    last_number: u64,
}

impl Jobs {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn add(&mut self, entry: Entry, delay: Duration) {
        let number = self.next_number();
        self.waiting.insert((later(delay), number), entry);
    }

    /// Takes the first job that is due, or returns when the next one will be.
    fn take(&mut self) -> std::result::Result<Delivery, Option<Instant>> {
        let Some(first) = self.waiting.first_entry() else {
            return Err(None);
        };
        let (due, _) = *first.key();
        if due > Instant::now() {
            return Err(Some(due));
        }
        let mut entry = first.remove();
        let delivery = Delivery {
            job: entry.job.clone(),
            redeliveries: entry.deliveries,
            tag: self.next_number().to_string(),
        };
        entry.deliveries += 1;
        self.in_flight.insert(delivery.tag.clone(), entry);
        Ok(delivery)
    }
}

fn later(delay: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(delay.min(FAR)).unwrap_or(now)
}

/// A [`JobQueue`] that forgets when the process ends.
#[derive(Debug, Default)]
pub struct MemoryQueue {
    jobs: Mutex<Jobs>,
    added: Notify,
}

impl MemoryQueue {
    /// Makes an empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl JobQueue for MemoryQueue {
    async fn publish(&self, job: &Job, delay: Duration) -> Result<()> {
        let entry = Entry {
            job: job.clone(),
            deliveries: 0,
        };
        self.lock().add(entry, delay);
        // All of them: a delayed job changes how long every receiver may sleep.
        self.added.notify_waiters();
        Ok(())
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>> {
        let deadline = later(wait);
        loop {
            let mut added = pin!(self.added.notified());
            added.as_mut().enable();
            // Nothing is awaited between taking a job and handing it out, so no dropped call can lose one.
            let next_due = match self.lock().take() {
                Ok(delivery) => return Ok(Some(delivery)),
                Err(next_due) => next_due,
            };
            if Instant::now() >= deadline {
                return Ok(None);
            }
            let until = next_due.map_or(deadline, |due| due.min(deadline));
            // Whether the time is up or a job came, the next round finds out.
            drop(timeout_at(until, added).await);
        }
    }

    async fn ack(&self, delivery: &Delivery) -> Result<()> {
        self.lock().in_flight.remove(&delivery.tag);
        Ok(())
    }

    async fn retry(&self, delivery: &Delivery, delay: Duration) -> Result<()> {
        {
            let mut jobs = self.lock();
            let Some(entry) = jobs.in_flight.remove(&delivery.tag) else {
                return Ok(());
            };
            jobs.add(entry, delay);
        }
        self.added.notify_waiters();
        Ok(())
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<()> {
        let mut jobs = self.lock();
        if let Some(entry) = jobs.in_flight.remove(&delivery.tag) {
            jobs.dead.push_back(DeadLetter {
                job: entry.job,
                reason: reason.to_owned(),
            });
        }
        Ok(())
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        Ok(self.lock().dead.iter().take(limit).cloned().collect())
    }

    async fn remove_dead_letters(&self, photo_id: &PhotoId) -> Result<u64> {
        let mut jobs = self.lock();
        let before = jobs.dead.len();
        jobs.dead.retain(|letter| letter.job.photo_id != *photo_id);
        Ok((before - jobs.dead.len()) as u64)
    }

    async fn counts(&self) -> Result<QueueCounts> {
        let jobs = self.lock();
        let now = Instant::now();
        let ready = jobs.waiting.keys().take_while(|(due, _)| *due <= now).count();
        Ok(QueueCounts {
            ready: ready as u64,
            delayed: (jobs.waiting.len() - ready) as u64,
            in_flight: jobs.in_flight.len() as u64,
            dead: jobs.dead.len() as u64,
        })
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}
