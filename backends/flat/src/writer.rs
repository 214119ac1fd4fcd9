//! The one thread that writes: what is waiting is committed together, shown to searches, and answered after that.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::{self, JoinHandle};

use lucida_core::{Error, Result};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::collection::Collection;
use crate::columns::NO_TIME;
use crate::error::uncommitted;
use crate::readers::encode;
use crate::write::{Change, NewPoint, Write};

/// How many points one transaction takes; what waits beyond that is the next one.
const BATCH: usize = 2_048;

/// How many free pages are given back to the disk at a time, between two writes.
const VACUUM_STEP: u32 = 256;

/// A handle on the writing thread; dropping it finishes what was given to it and closes the file.
pub(crate) struct Writer {
    work: Option<Sender<Work>>,
    thread: Option<JoinHandle<()>>,
}

enum Work {
    Write(Job),
    Run(Box<dyn FnOnce(&mut Connection) -> Space + Send>),
}

/// Whether something has left many pages of the file free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// No more than before.
    Same,
    /// They can go back to the disk.
    Freed,
}

/// A caller's write, and where the answer goes.
struct Job {
    collection: Arc<Collection>,
    write: Write,
    answer: oneshot::Sender<Result<()>>,
}

impl Writer {
    /// Starts the thread on a connection.
    pub(crate) fn start(connection: Connection) -> Result<Self> {
        let (work, received) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("index-writer".to_owned())
            .spawn(move || run(connection, &received))
            .map_err(|error| Error::from(error).context("starting the index's writer thread"))?;
        Ok(Self {
            work: Some(work),
            thread: Some(thread),
        })
    }

    /// Hands over a write; the answer comes when it is on the disk and searches find it, or when it has failed and
    /// left nothing.
    pub(crate) fn write(
        &self,
        collection: Arc<Collection>,
        write: Write,
    ) -> Result<oneshot::Receiver<Result<()>>> {
        let (answer, answered) = oneshot::channel();
        self.send(Work::Write(Job {
            collection,
            write,
            answer,
        }))?;
        Ok(answered)
    }

    /// Does something else with the connection, after all that was handed over before, and waits for it.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Connection) -> Result<(T, Space)> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = mpsc::channel();
        self.send(Work::Run(Box::new(move |connection| {
            let outcome = call(connection);
            let space = outcome.as_ref().map_or(Space::Same, |(_, space)| *space);
            // Nobody waits any more: it is done all the same.
            let _ = answer.send(outcome.map(|(value, _)| value));
            space
        })))?;
        answered.recv().map_err(|_| stopped())?
    }

    fn send(&self, work: Work) -> Result<()> {
        let sender = self.work.as_ref().ok_or_else(stopped)?;
        sender.send(work).map_err(|_| stopped())
    }
}

/// Makes the error of a write whose thread is gone.
pub(crate) fn stopped() -> Error {
    Error::unavailable("the index's writer thread has stopped: restart the server")
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

fn run(mut connection: Connection, received: &Receiver<Work>) {
    let mut space = Space::Same;
    // What was received behind a batch and doesn't belong to it.
    let mut waiting = VecDeque::new();
    loop {
        let work = match waiting.pop_front() {
            Some(work) => work,
            None if space == Space::Freed => match received.try_recv() {
                Ok(work) => work,
                Err(TryRecvError::Empty) => {
                    space = vacuum(&connection);
                    continue;
                }
                Err(TryRecvError::Disconnected) => return,
            },
            None => match received.recv() {
                Ok(work) => work,
                Err(_) => return,
            },
        };
        let first = match work {
            Work::Run(call) => {
                if call(&mut connection) == Space::Freed {
                    space = Space::Freed;
                }
                continue;
            }
            Work::Write(job) => job,
        };
        let mut points = first.write.len();
        let mut batch = vec![first];
        while points < BATCH && waiting.is_empty() {
            match received.try_recv() {
                Ok(Work::Write(job)) => {
                    points += job.write.len();
                    batch.push(job);
                }
                Ok(other) => waiting.push_back(other),
                Err(_) => break,
            }
        }
        commit(&connection, batch);
    }
}

/// Gives some free pages back.
fn vacuum(connection: &Connection) -> Space {
    let step = format!("PRAGMA incremental_vacuum({VACUUM_STEP})");
    let left = connection
        .execute_batch(&step)
        .and_then(|()| connection.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0)));
    match left {
        Ok(left) if left > 0 => Space::Freed,
        Ok(_) => Space::Same,
        Err(error) => {
            tracing::debug!(%error, "leaving free pages in the index's file");
            Space::Same
        }
    }
}

/// What a transaction does to one collection.
struct Plan {
    collection: Arc<Collection>,
    /// Where photos are after it, of those that it touches.
    moved: HashMap<u128, Option<u32>>,
    /// Slots that were free before.
    taken: Vec<u32>,
    changes: Vec<Change>,
}

impl Plan {
    fn slot(&self, photo: u128) -> Option<u32> {
        match self.moved.get(&photo) {
            Some(slot) => *slot,
            None => self.collection.slot(photo),
        }
    }

    /// Takes a free slot.
    fn take(&mut self) -> u32 {
        let mut slots = self.collection.slots();
        let slot = slots.free.pop().unwrap_or_else(|| {
            let slot = slots.next;
            slots.next += 1;
            slot
        });
        self.taken.push(slot);
        slot
    }

    fn upsert(&mut self, connection: &Connection, point: NewPoint) -> rusqlite::Result<()> {
        let slot = match self.slot(point.photo) {
            Some(slot) => slot,
            None => self.take(),
        };
        let photo = point.photo.to_be_bytes();
        let tags = (!point.tags.is_empty())
            .then(|| serde_json::to_string(&point.tags))
            .transpose()
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let tables = &self.collection.tables;
        connection.prepare_cached(&tables.put_point)?.execute((
            slot,
            photo,
            point.owner.as_str(),
            Some(point.taken_at).filter(|taken| *taken != NO_TIME),
            tags,
            point.code.to_bytes(),
            point.taken_at_local,
        ))?;
        connection
            .prepare_cached(&tables.put_vector)?
            .execute((slot, photo, encode(&point.vector)))?;
        self.moved.insert(point.photo, Some(slot));
        self.changes.push(Change::Put { slot, point });
        Ok(())
    }

    fn delete(&mut self, connection: &Connection, photo: u128) -> rusqlite::Result<()> {
        let Some(slot) = self.slot(photo) else {
            return Ok(());
        };
        let tables = &self.collection.tables;
        connection.prepare_cached(&tables.delete_point)?.execute([slot])?;
        connection
            .prepare_cached(&tables.delete_vector)?
            .execute([slot])?;
        self.moved.insert(photo, None);
        self.changes.push(Change::Remove { slot, photo });
        Ok(())
    }
}

fn commit(connection: &Connection, batch: Vec<Job>) {
    let mut plans: Vec<Plan> = Vec::new();
    let mut answers = Vec::with_capacity(batch.len());
    let mut writes = Vec::with_capacity(batch.len());
    for job in batch {
        match job.collection.exists() {
            Ok(()) => {
                let known = plans
                    .iter()
                    .position(|plan| Arc::ptr_eq(&plan.collection, &job.collection));
                let plan = known.unwrap_or_else(|| {
                    plans.push(Plan {
                        collection: job.collection,
                        moved: HashMap::new(),
                        taken: Vec::new(),
                        changes: Vec::new(),
                    });
                    plans.len() - 1
                });
                writes.push((plan, job.write));
                answers.push(job.answer);
            }
            Err(error) => {
                let _ = job.answer.send(Err(error));
            }
        }
    }
    let committed = transact(connection, &mut plans, writes);
    match &committed {
        Ok(()) => {
            for plan in &plans {
                plan.collection.apply(&plan.changes);
                plan.collection.keep_sketched();
            }
        }
        Err(_) => {
            if !connection.is_autocommit() {
                // Where even this fails, the next BEGIN does too, and says so.
                let _ = connection.execute_batch("ROLLBACK");
            }
            for plan in plans {
                plan.collection.slots().free.extend(plan.taken);
            }
        }
    }
    for answer in answers {
        // Nobody waits any more: the write stands all the same.
        let _ = answer.send(match &committed {
            Ok(()) => Ok(()),
            Err(error) => Err(uncommitted(error)),
        });
    }
}

fn transact(
    connection: &Connection,
    plans: &mut [Plan],
    writes: Vec<(usize, Write)>,
) -> rusqlite::Result<()> {
    let execute = |sql| connection.prepare_cached(sql)?.execute([]).map(drop);
    if writes.is_empty() {
        return Ok(());
    }
    execute("BEGIN IMMEDIATE")?;
    for (plan, write) in writes {
        let plan = &mut plans[plan];
        match write {
            Write::Upsert(points) => {
                for point in points {
                    plan.upsert(connection, point)?;
                }
            }
            Write::Delete(photos) => {
                for photo in photos {
                    plan.delete(connection, photo)?;
                }
            }
        }
    }
    execute("COMMIT")
}
