//! The one thread that changes the queue: it gathers what callers want, does it in one transaction, hands out jobs
//! to those who wait, and answers when that is committed.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use lucida_core::{Delivery, Error, Result};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::DATABASE;
use super::jobs::{self, Change, Tag};
use super::owner::Owner;

/// How many commands one transaction takes; what waits beyond that is in the next one.
const BATCH: usize = 256;

/// How often to look for what other processes published, while somebody waits.
const POLL: Duration = Duration::from_millis(500);

/// How often to look for other processes that died, while somebody waits.
const OWNERS_CHECK: Duration = Duration::from_secs(5);

/// What callers ask of the thread.
pub(crate) enum Command {
    /// Makes a change, and answers how many jobs it changed.
    Change(Change, oneshot::Sender<Result<usize>>),
    /// Puts a job back that reached nobody.
    PutBack(Tag),
    /// Waits for a job.
    Receive(Waiter),
}

/// Somebody who waits for a job.
pub(crate) struct Waiter {
    pub(crate) until: Instant,
    pub(crate) reply: oneshot::Sender<Result<Option<Delivery>>>,
}

/// A change, and whoever waits for its result.
type Asked = (Change, Option<oneshot::Sender<Result<usize>>>);

/// The thread's state.
pub(crate) struct Dispatcher {
    connection: Connection,
    owner: Owner,
    visibility_timeout: Duration,
    waiters: VecDeque<Waiter>,
    /// When the next job may be handed out, as far as this process knows.
    next_due: Option<i64>,
    /// Changes when another process commits.
    data_version: i64,
    owners_checked: Instant,
    syncs: bool,
}

impl Dispatcher {
    /// Takes over an open database, and puts back what dead processes had in flight.
    pub(crate) fn new(connection: Connection, owner: Owner, visibility_timeout: Duration) -> Result<Self> {
        let mut dispatcher = Self {
            connection,
            owner,
            visibility_timeout,
            waiters: VecDeque::new(),
            next_due: None,
            data_version: 0,
            owners_checked: Instant::now(),
            syncs: true,
        };
        dispatcher
            .transact(true, release_the_dead)
            .map_err(|error| DATABASE.failed("taking up the queue", error))?;
        Ok(dispatcher)
    }

    /// Works until every sender of commands is gone, then gives back what this process has in flight.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let first = match self.patience() {
                None => commands.recv().map_err(RecvTimeoutError::from),
                Some(patience) => commands.recv_timeout(patience),
            };
            match first {
                Ok(first) => {
                    let more = commands.try_iter().take(BATCH - 1);
                    let batch = std::iter::once(first).chain(more).collect();
                    self.turn(batch);
                }
                Err(RecvTimeoutError::Timeout) => self.turn(Vec::new()),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // Where this fails, whoever opens the queue next does it.
        let _ = self.transact(false, |connection, owner| jobs::release(connection, owner.name()));
    }

    /// Returns how long nothing can happen unless somebody sends a command.
    fn patience(&self) -> Option<Duration> {
        let until = self.waiters.iter().map(|waiter| waiter.until).min()?;
        let waiting = until.saturating_duration_since(Instant::now()).min(POLL);
        let Some(due) = self.next_due else {
            return Some(waiting);
        };
        let micros = u64::try_from(due.saturating_sub(jobs::now())).unwrap_or(0);
        // A microsecond more, so that the time has come and not almost.
        Some(waiting.min(Duration::from_micros(micros.saturating_add(1))))
    }

    fn turn(&mut self, batch: Vec<Command>) {
        let mut changes: Vec<Asked> = Vec::with_capacity(batch.len());
        for command in batch {
            match command {
                Command::Change(change, reply) => changes.push((change, Some(reply))),
                Command::PutBack(tag) => changes.push((Change::PutBack(tag), None)),
                Command::Receive(waiter) => self.waiters.push_back(waiter),
            }
        }
        loop {
            self.waiters.retain(|waiter| !waiter.reply.is_closed());
            if changes.is_empty() && !self.may_hand_out() {
                break;
            }
            match self.change_and_claim(&changes) {
                Ok((outcomes, deliveries)) => {
                    for ((_, reply), outcome) in changes.drain(..).zip(outcomes) {
                        answer(reply, outcome);
                    }
                    changes = self.hand_out(deliveries);
                }
                Err(error) => {
                    let failure = || DATABASE.failed_for_all("writing to the queue", &error);
                    for (_, reply) in changes.drain(..) {
                        answer(reply, Err(failure()));
                    }
                    for waiter in self.waiters.drain(..) {
                        let _ = waiter.reply.send(Err(failure()));
                    }
                }
            }
        }
        self.dismiss();
    }

    /// Returns whether somebody waits and there may be a job for them.
    fn may_hand_out(&mut self) -> bool {
        if self.waiters.is_empty() {
            return false;
        }
        let data_version = self
            .connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            // Whatever is wrong, the transaction reports.
            .unwrap_or(self.data_version.wrapping_add(1));
        let others_wrote = data_version != self.data_version;
        self.data_version = data_version;
        others_wrote
            || self.next_due.is_some_and(|due| due <= jobs::now())
            || self.owners_checked.elapsed() >= OWNERS_CHECK
    }

    fn change_and_claim(
        &mut self,
        changes: &[Asked],
    ) -> rusqlite::Result<(Vec<Result<usize>>, Vec<Delivery>)> {
        let durable = changes.iter().any(|(change, _)| change.is_durable());
        let wanted = self.waiters.len().min(BATCH);
        let until = jobs::after(self.visibility_timeout);
        let check_owners = wanted > 0 && self.owners_checked.elapsed() >= OWNERS_CHECK;
        if check_owners {
            self.owners_checked = Instant::now();
        }
        self.transact(durable, |connection, owner| {
            let mut outcomes = Vec::with_capacity(changes.len());
            for (change, _) in changes {
                let outcome = change.apply(connection);
                if connection.is_autocommit() {
                    // SQLite has given the whole transaction up.
                    outcome?;
                    outcomes.push(Ok(0));
                } else {
                    outcomes.push(outcome.map_err(|error| DATABASE.failed("changing the queue", error)));
                }
            }
            if wanted == 0 {
                return Ok((outcomes, Vec::new()));
            }
            jobs::expire(connection)?;
            if check_owners {
                release_the_dead(connection, owner)?;
            }
            let deliveries = jobs::claim(connection, owner.name(), until, wanted)?;
            Ok((outcomes, deliveries))
        })
    }

    /// Runs `work` in a transaction, synced at its end if it must be `durable`, and notes what is due next.
    fn transact<T>(
        &mut self,
        durable: bool,
        work: impl FnOnce(&Connection, &Owner) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        if durable != self.syncs {
            let mode = if durable { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", mode)?;
            self.syncs = durable;
        }
        let execute = |sql| self.connection.prepare_cached(sql)?.execute([]).map(drop);
        execute("BEGIN IMMEDIATE")?;
        let done = work(&self.connection, &self.owner).and_then(|outcome| {
            let next_due = jobs::next_due(&self.connection)?;
            execute("COMMIT")?;
            Ok((outcome, next_due))
        });
        match done {
            Ok((outcome, next_due)) => {
                self.next_due = next_due;
                Ok(outcome)
            }
            Err(error) => {
                if !self.connection.is_autocommit() {
                    // Where even this fails, the next BEGIN does too, and says so.
                    let _ = execute("ROLLBACK");
                }
                Err(error)
            }
        }
    }

    /// Gives deliveries to those who wait, and returns the changes that put back those that nobody took.
    fn hand_out(&mut self, deliveries: Vec<Delivery>) -> Vec<Asked> {
        let mut left = Vec::new();
        for mut delivery in deliveries {
            let untaken = loop {
                let Some(waiter) = self.waiters.pop_front() else {
                    break Some(delivery);
                };
                match waiter.reply.send(Ok(Some(delivery))) {
                    Err(Ok(Some(returned))) => delivery = returned,
                    Ok(()) | Err(_) => break None,
                }
            };
            left.extend(untaken.as_ref().and_then(Tag::of));
        }
        left.into_iter().map(|tag| (Change::PutBack(tag), None)).collect()
    }

    /// Answers those who have waited long enough.
    fn dismiss(&mut self) {
        let now = Instant::now();
        let (late, patient) = self.waiters.drain(..).partition(|waiter| waiter.until <= now);
        self.waiters = patient;
        let late: VecDeque<Waiter> = late;
        for waiter in late {
            let _ = waiter.reply.send(Ok(None));
        }
    }
}

fn release_the_dead(connection: &Connection, owner: &Owner) -> rusqlite::Result<()> {
    for name in jobs::owners(connection)? {
        if !owner.is_alive(&name) {
            jobs::release(connection, &name)?;
        }
    }
    Ok(())
}

/// Answers a caller, who may have gone.
fn answer(reply: Option<oneshot::Sender<Result<usize>>>, outcome: Result<usize, Error>) {
    if let Some(reply) = reply {
        let _ = reply.send(outcome);
    }
}
