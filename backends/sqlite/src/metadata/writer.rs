//! The one thread that writes: what is waiting is applied and committed together, and answered after that.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use lucida_core::{Error, Result};
use rusqlite::{Connection, ffi};
use tokio::sync::oneshot;

use super::DATABASE;

/// How many writes one transaction takes; what waits beyond that is the next one.
const BATCH: usize = 256;

/// A handle on the writing thread; dropping it finishes what was given to it and closes the database.
pub(crate) struct Writer {
    work: Option<Sender<Box<dyn Work>>>,
    thread: Option<JoinHandle<()>>,
}

/// One write: applied inside a transaction, answered when that is committed or has failed.
trait Work: Send {
    fn is_wanted(&self) -> bool;
    /// Applies it and reports whether it succeeded.
    fn apply(&mut self, connection: &Connection) -> bool;
    fn answer(self: Box<Self>, uncommitted: Option<&rusqlite::Error>);
}

struct Write<F, T> {
    write: Option<F>,
    outcome: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl Writer {
    /// Starts the thread on a connection.
    pub(crate) fn start(connection: Connection) -> Result<Self> {
        let (work, received) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("metadata-writer".to_owned())
            .spawn(move || run(&connection, &received))
            .map_err(|error| Error::from(error).context("starting the metadata store's writer thread"))?;
        Ok(Self {
            work: Some(work),
            thread: Some(thread),
        })
    }

    /// Runs `write` in a transaction, and returns its result when that is on the disk. A write that fails
    /// leaves nothing and disturbs no other.
    pub(crate) async fn run<T, F>(&self, write: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let stopped =
            || Error::unavailable("the metadata store's writer thread has stopped: restart the server");
        let (reply, answer) = oneshot::channel();
        let work = Box::new(Write {
            write: Some(write),
            outcome: None,
            reply,
        });
        self.work
            .as_ref()
            .ok_or_else(stopped)?
            .send(work)
            .map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.work.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

impl<T, F> Work for Write<F, T>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T> + Send,
{
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn apply(&mut self, connection: &Connection) -> bool {
        let outcome = self.write.take().map(|write| write(connection));
        let done = outcome.as_ref().is_some_and(Result::is_ok);
        self.outcome = outcome;
        done
    }

    fn answer(self: Box<Self>, error: Option<&rusqlite::Error>) {
        let answer = match (self.outcome, error) {
            (Some(outcome), None) => outcome,
            // Its own failure may be why the others were not committed, and says more.
            (Some(Err(own)), Some(_)) if own.is_transient() => Err(own),
            (_, Some(error)) => Err(DATABASE.failed_for_all("committing to the metadata store", error)),
            (None, None) => Err(Error::internal("a write to the metadata store was not tried")),
        };
        // Nobody waits any more: the write stands all the same.
        let _ = self.reply.send(answer);
    }
}

fn run(connection: &Connection, received: &Receiver<Box<dyn Work>>) {
    while let Ok(first) = received.recv() {
        let waiting = received.try_iter().take(BATCH - 1);
        let mut batch: Vec<_> = std::iter::once(first)
            .chain(waiting)
            .filter(|work| work.is_wanted())
            .collect();
        let committed = commit(connection, &mut batch);
        if committed.is_err() && !connection.is_autocommit() {
            // Where even this fails, the next BEGIN does too, and says so.
            let _ = connection.execute_batch("ROLLBACK");
        }
        for work in batch {
            work.answer(committed.as_ref().err());
        }
    }
}

fn commit(connection: &Connection, batch: &mut [Box<dyn Work>]) -> rusqlite::Result<()> {
    let execute = |sql| connection.prepare_cached(sql)?.execute([]).map(drop);
    execute("BEGIN IMMEDIATE")?;
    for work in batch {
        execute("SAVEPOINT one")?;
        if !work.apply(connection) {
            if connection.is_autocommit() {
                let lost = ffi::Error::new(ffi::SQLITE_ABORT);
                return Err(rusqlite::Error::SqliteFailure(lost, None));
            }
            execute("ROLLBACK TO one")?;
        }
        execute("RELEASE one")?;
    }
    execute("COMMIT")
}

/// Maps SQLite's error of a step inside a write.
pub(crate) trait Step<T> {
    /// Says what was being done.
    fn doing(self, doing: &str) -> Result<T>;
}

impl<T> Step<T> for rusqlite::Result<T> {
    fn doing(self, doing: &str) -> Result<T> {
        self.map_err(|error| DATABASE.failed(doing, error))
    }
}
