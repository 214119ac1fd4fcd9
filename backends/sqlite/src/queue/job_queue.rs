//! The [`JobQueue`] on SQLite.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lucida_core::{DeadLetter, Delivery, Error, Job, JobQueue, PhotoId, QueueCounts, Result};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::DATABASE;
use super::config::SqliteQueueConfig;
use super::dispatcher::{Command, Dispatcher, Waiter};
use super::jobs::{self, Change, Tag};
use super::owner::Owner;

/// The longest that anybody waits in one call, where a caller asks for more than a clock can count.
const FOREVER: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Keeps jobs in one SQLite file; dropping it gives back what it has in flight.
pub struct SqliteQueue {
    commands: Option<Sender<Command>>,
    thread: Option<JoinHandle<()>>,
    reader: Arc<Mutex<Connection>>,
}

impl SqliteQueue {
    /// Opens the file, makes it if need be, and puts back the jobs that dead processes had in flight.
    ///
    /// # Errors
    /// `ConfigInvalid` for a file that is not a queue, `Unsupported` for one that a newer Lucida wrote,
    /// `PermissionDenied` for one that can't be written, `Unavailable` when the disk fails.
    pub async fn open(config: SqliteQueueConfig) -> Result<Self> {
        tokio::task::spawn_blocking(move || {
            let connection = DATABASE.open_writer(&config.path)?;
            let reader = DATABASE.open_reader(&config.path)?;
            let owner = Owner::register(&config.path)?;
            let timeout = Duration::from_secs(config.visibility_timeout_secs);
            let dispatcher = Dispatcher::new(connection, owner, timeout)?;
            let (commands, received) = mpsc::channel();
            let thread = thread::Builder::new()
                .name("queue-dispatcher".to_owned())
                .spawn(move || dispatcher.run(&received))
                .map_err(|error| Error::from(error).context("starting the queue's thread"))?;
            Ok(Self {
                commands: Some(commands),
                thread: Some(thread),
                reader: Arc::new(Mutex::new(reader)),
            })
        })
        .await
        .map_err(|error| Error::internal("opening the queue stopped").with_source(error))?
    }

    fn send(&self, command: Command) -> Result<()> {
        self.commands
            .as_ref()
            .and_then(|commands| commands.send(command).ok())
            .ok_or_else(stopped)
    }

    async fn change(&self, change: Change) -> Result<usize> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Change(change, reply))?;
        answer.await.map_err(|_| stopped())?
    }

    /// Settles a delivery; one with another queue's tag is none of ours, and so is settled already.
    async fn settle(&self, delivery: &Delivery, change: impl FnOnce(Tag) -> Change) -> Result<()> {
        match Tag::of(delivery) {
            Some(tag) => self.change(change(tag)).await.map(drop),
            None => Ok(()),
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let reader = Arc::clone(&self.reader);
        tokio::task::spawn_blocking(move || {
            let connection = reader.lock().unwrap_or_else(PoisonError::into_inner);
            read(&connection).map_err(|error| DATABASE.failed("reading the queue", error))
        })
        .await
        .map_err(|error| Error::internal("a read of the queue stopped").with_source(error))?
    }
}

fn stopped() -> Error {
    Error::unavailable("the queue's thread has stopped: restart the server")
}

impl Drop for SqliteQueue {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// A call of `receive`: when it is dropped, a job that was on its way to it is put back.
struct Receiving<'a> {
    queue: &'a SqliteQueue,
    answer: oneshot::Receiver<Result<Option<Delivery>>>,
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.answer.close();
        if let Ok(Ok(Some(delivery))) = self.answer.try_recv()
            && let Some(tag) = Tag::of(&delivery)
        {
            // Where the thread has stopped, the job comes back with the next start.
            let _ = self.queue.send(Command::PutBack(tag));
        }
    }
}

#[async_trait]
impl JobQueue for SqliteQueue {
    async fn publish(&self, job: &Job, delay: Duration) -> Result<()> {
        let change = Change::Publish {
            job: job.clone(),
            due_at: jobs::after(delay),
        };
        self.change(change).await.map(drop)
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>> {
        let (reply, answer) = oneshot::channel();
        let mut receiving = Receiving { queue: self, answer };
        let until = Instant::now() + wait.min(FOREVER);
        self.send(Command::Receive(Waiter { until, reply }))?;
        (&mut receiving.answer).await.map_err(|_| stopped())?
    }

    async fn ack(&self, delivery: &Delivery) -> Result<()> {
        self.settle(delivery, Change::Ack).await
    }

    async fn retry(&self, delivery: &Delivery, delay: Duration) -> Result<()> {
        let due_at = jobs::after(delay);
        self.settle(delivery, |tag| Change::Retry { tag, due_at }).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<()> {
        let reason = reason.to_owned();
        self.settle(delivery, |tag| Change::DeadLetter { tag, reason })
            .await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        self.read(move |connection| jobs::dead_letters(connection, limit))
            .await
    }

    async fn remove_dead_letters(&self, photo_id: &PhotoId) -> Result<u64> {
        let removed = self.change(Change::RemoveDeadLetters(*photo_id)).await?;
        Ok(removed as u64)
    }

    async fn counts(&self) -> Result<QueueCounts> {
        self.read(jobs::counts).await
    }

    async fn ping(&self) -> Result<()> {
        self.change(Change::Nothing).await.map(drop)
    }
}
