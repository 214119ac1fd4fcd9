//! When a collection is flushed and optimised, and the thread that does it.
//!
//! One thread does both because the engine can't flush while it optimises. Searches go on beside it; writes wait for
//! a flush, not for an optimisation.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lucida_core::{Error, Result};

use crate::collection::Open;
use crate::engine::Extent;
use crate::lock::lock;

/// The journal is worked off at this size: reapplying it takes under a second.
const FLUSH_BYTES: u64 = 16 << 20;
/// ... or when nothing was written for this long, or something was this long ago.
const FLUSH_IDLE: Duration = Duration::from_secs(10);
const FLUSH_AGE: Duration = Duration::from_secs(60);
/// How long to wait after an error.
const RETRY: Duration = Duration::from_secs(30);
/// How soon after opening the segments are looked at, out of the way of the server's start.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// The share of points that may change before segments are looked at: the rest is searched one by one meanwhile.
const CHANGED_SHARE: u64 = 8;
/// How long closing waits for an optimisation; past that the process may end in the middle of it, harmlessly.
const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// What has happened to a collection since it was flushed and optimised last.
pub(crate) struct Upkeep {
    state: Mutex<State>,
    changed: Condvar,
    least_changes: u64,
}

struct State {
    journal_bytes: u64,
    first_write: Option<Instant>,
    last_write: Option<Instant>,
    changes: u64,
    optimize_at: u64,
    look_at: Option<Instant>,
    not_before: Option<Instant>,
    hurry: bool,
    stop: Option<Stop>,
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Flushing,
    AtOnce,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Flush,
    Optimize,
    End(Stop),
}

impl Upkeep {
    /// Starts with points of which some are in no graph; fewer than `least_changes` are never worth one.
    pub(crate) fn new(least_changes: u64, extent: Extent) -> Self {
        let mut state = State {
            journal_bytes: 0,
            first_write: None,
            last_write: None,
            changes: extent.points.saturating_sub(extent.indexed),
            optimize_at: 0,
            look_at: Some(Instant::now() + FIRST_LOOK),
            not_before: None,
            hurry: false,
            stop: None,
            ended: false,
        };
        state.aim(least_changes, extent.points);
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            least_changes,
        }
    }

    /// Notes a write: how large the journal is now, and how many points it wrote or deleted.
    pub(crate) fn wrote(&self, journal_bytes: u64, changes: u64) {
        let mut state = lock(&self.state);
        let now = Instant::now();
        let first = state.first_write.is_none();
        state.first_write.get_or_insert(now);
        state.last_write = Some(now);
        state.journal_bytes = journal_bytes;
        state.changes += changes;
        if first || state.journal_bytes >= FLUSH_BYTES || state.changes >= state.optimize_at {
            self.changed.notify_all();
        }
    }

    /// Asks for a flush now, because the journal failed.
    pub(crate) fn hurry(&self) {
        lock(&self.state).hurry = true;
        self.changed.notify_all();
    }

    /// Notes that the journal was worked off.
    pub(crate) fn checkpointed(&self) {
        let mut state = lock(&self.state);
        state.journal_bytes = 0;
        state.first_write = None;
        state.last_write = None;
        state.hurry = false;
    }

    /// Asks the worker to end without flushing.
    pub(crate) fn stop(&self) {
        self.end(Stop::AtOnce);
    }

    fn end(&self, stop: Stop) {
        lock(&self.state).stop.get_or_insert(stop);
        self.changed.notify_all();
    }

    /// Waits until there is something to do.
    fn next(&self) -> Task {
        let mut state = lock(&self.state);
        loop {
            let now = Instant::now();
            match state.due(now) {
                Ok(task) => return task,
                Err(wait) => {
                    let wait = wait.map_or(FLUSH_AGE, |at| at.saturating_duration_since(now));
                    state = self
                        .changed
                        .wait_timeout(state, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
            }
        }
    }

    fn optimizing(&self) {
        let mut state = lock(&self.state);
        state.changes = 0;
        state.look_at = None;
    }

    fn optimized(&self, points: u64) {
        lock(&self.state).aim(self.least_changes, points);
    }

    fn failed(&self) {
        let mut state = lock(&self.state);
        state.not_before = Some(Instant::now() + RETRY);
    }

    fn ended(&self) {
        lock(&self.state).ended = true;
        self.changed.notify_all();
    }

    /// Waits for the worker's end. Returns whether it came.
    fn wait_for_end(&self, longest: Duration) -> bool {
        let state = lock(&self.state);
        let (state, _) = self
            .changed
            .wait_timeout_while(state, longest, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        state.ended
    }
}

impl State {
    fn aim(&mut self, least_changes: u64, points: u64) {
        self.optimize_at = least_changes.max(points / CHANGED_SHARE).max(1);
    }

    /// Tells what is due, or until when there is nothing to do.
    fn due(&self, now: Instant) -> Result<Task, Option<Instant>> {
        if let Some(stop) = self.stop {
            return Ok(Task::End(stop));
        }
        if let Some(not_before) = self.not_before.filter(|at| *at > now) {
            return Err(Some(not_before));
        }
        if self.hurry || self.journal_bytes >= FLUSH_BYTES {
            return Ok(Task::Flush);
        }
        if self.changes >= self.optimize_at {
            return Ok(Task::Optimize);
        }
        let idle = self.last_write.map(|at| at + FLUSH_IDLE);
        let age = self.first_write.map(|at| at + FLUSH_AGE);
        let flush = idle.into_iter().chain(age).min();
        if flush.is_some_and(|at| at <= now) {
            return Ok(Task::Flush);
        }
        if self.look_at.is_some_and(|at| at <= now) {
            return Ok(Task::Optimize);
        }
        Err(flush.into_iter().chain(self.look_at).min())
    }
}

/// The thread that looks after a collection; ends, after a last flush, when dropped.
pub(crate) struct Worker {
    open: Arc<Open>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread.
    pub(crate) fn start(open: Arc<Open>) -> Result<Self> {
        let working = Arc::clone(&open);
        let thread = thread::Builder::new()
            .name("lucida-index".to_owned())
            .spawn(move || {
                let ended = Ended(Arc::clone(&working));
                work(&working);
                drop(working);
                drop(ended);
            })
            .map_err(|error| Error::from(error).context("starting the index's thread"))?;
        Ok(Self {
            open,
            thread: Some(thread),
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.open.upkeep.end(Stop::Flushing);
        if self.open.upkeep.wait_for_end(CLOSE_WAIT) {
            if let Some(thread) = self.thread.take() {
                // Its result says nothing that it has not logged.
                let _ = thread.join();
            }
        } else {
            tracing::warn!(
                collection = self.open.name(),
                "the index is still optimising: leaving it to the end of the process"
            );
        }
    }
}

/// Tells that the worker has ended even when it panicked.
struct Ended(Arc<Open>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.upkeep.ended();
    }
}

fn work(open: &Open) {
    loop {
        let task = open.upkeep.next();
        let done = match task {
            Task::Flush => open.checkpoint(false),
            Task::Optimize => optimize(open),
            Task::End(Stop::AtOnce) => return,
            Task::End(Stop::Flushing) => {
                if let Err(error) = open.checkpoint(false) {
                    tracing::warn!(
                        %error,
                        collection = open.name(),
                        "flushing the index at closing failed: it will be taken from the journal"
                    );
                }
                return;
            }
        };
        if let Err(error) = done {
            tracing::warn!(
                %error,
                collection = open.name(),
                ?task,
                retry_secs = RETRY.as_secs(),
                "upkeep of the index failed"
            );
            open.upkeep.failed();
        }
    }
}

fn optimize(open: &Open) -> Result<()> {
    let started = Instant::now();
    open.upkeep.optimizing();
    let optimized = open.optimize();
    let extent = open.engine.extent();
    open.upkeep.optimized(extent.points);
    if optimized? {
        tracing::info!(
            collection = open.name(),
            points = extent.points,
            indexed = extent.indexed,
            elapsed_ms = started.elapsed().as_millis() as u64,
            "optimised the index"
        );
        lucida_core::release_free_memory();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upkeep(points: u64, indexed: u64) -> Upkeep {
        let upkeep = Upkeep::new(100, Extent { points, indexed });
        lock(&upkeep.state).look_at = None;
        upkeep
    }

    #[test]
    fn an_idle_collection_needs_nothing() {
        assert_eq!(lock(&upkeep(50, 0).state).due(Instant::now()), Err(None));
    }

    #[test]
    fn a_write_is_flushed_when_no_other_follows() {
        let upkeep = upkeep(0, 0);
        upkeep.wrote(10, 1);
        let state = lock(&upkeep.state);
        assert!(matches!(state.due(Instant::now()), Err(Some(_))));
        assert_eq!(state.due(Instant::now() + FLUSH_IDLE), Ok(Task::Flush));
    }

    #[test]
    fn a_large_journal_is_flushed_at_once() {
        let upkeep = upkeep(0, 0);
        upkeep.wrote(FLUSH_BYTES, 1);
        assert_eq!(lock(&upkeep.state).due(Instant::now()), Ok(Task::Flush));
        upkeep.checkpointed();
        assert_eq!(lock(&upkeep.state).due(Instant::now()), Err(None));
    }

    #[test]
    fn changes_add_up_to_an_eighth_of_a_large_collection_before_it_is_optimised() {
        let upkeep = upkeep(8000, 8000);
        upkeep.wrote(1, 999);
        assert_ne!(lock(&upkeep.state).due(Instant::now()), Ok(Task::Optimize));
        upkeep.wrote(1, 1);
        assert_eq!(lock(&upkeep.state).due(Instant::now()), Ok(Task::Optimize));
        upkeep.optimizing();
        assert_ne!(lock(&upkeep.state).due(Instant::now()), Ok(Task::Optimize));
    }

    #[test]
    fn points_in_no_graph_count_as_changes_when_opened() {
        assert_eq!(
            lock(&upkeep(100, 0).state).due(Instant::now()),
            Ok(Task::Optimize)
        );
    }

    #[test]
    fn after_an_error_it_waits_and_still_ends_when_asked() {
        let upkeep = upkeep(100, 0);
        upkeep.failed();
        assert!(matches!(lock(&upkeep.state).due(Instant::now()), Err(Some(_))));
        upkeep.end(Stop::Flushing);
        assert_eq!(
            lock(&upkeep.state).due(Instant::now()),
            Ok(Task::End(Stop::Flushing))
        );
    }
}
