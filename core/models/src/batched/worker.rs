//! The bounded queue and the compute thread of one tower.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lucida_core::{Embedding, Error, ErrorKind, Lane, Result, TowerKind, metrics};
use tokio::sync::oneshot;
use tracing::{debug, error, info};

use super::lanes::{Entry, Lanes};
use super::options::BatchOptions;
use super::vector::unit;
use crate::model::Tower;

/// After a tower failed to load, the failure is the answer for this long before the next try.
const LOAD_RETRY: Duration = Duration::from_secs(2);

/// After so long without work the allocator hands back what the work left behind: soon enough that an idle server is
/// small, and not between the searches of somebody who is at it.
const RELEASE_AFTER: Duration = Duration::from_secs(5);

struct Queues<I> {
    lanes: Lanes<I>,
    closed: bool,
    loaded: bool,
    /// Why the last try to load failed, until one succeeds.
    load_error: Option<(Instant, ErrorKind, String)>,
    /// The smoothed time that one input takes.
    seconds_per_item: f64,
}

/// What metrics call a tower.
#[derive(Clone)]
pub(super) struct Labels {
    model: Arc<str>,
    tower: TowerKind,
}

impl Labels {
    pub(super) fn new(model: &str, tower: TowerKind) -> Self {
        Self {
            model: model.into(),
            tower,
        }
    }

    fn values(&self) -> [&str; 2] {
        [&self.model, self.tower.as_str()]
    }

    fn set_loaded(&self, loaded: bool) {
        metrics::EMBEDDER_LOADED.set(if loaded { 1.0 } else { 0.0 }, &self.values());
    }
}

struct Shared<I> {
    labels: Labels,
    capacity: usize,
    queues: Mutex<Queues<I>>,
    wake: Condvar,
}

impl<I> Shared<I> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queues<I>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report_depth(&self, queues: &Queues<I>) {
        let [model, tower] = self.labels.values();
        for lane in [Lane::Interactive, Lane::Background] {
            let depth = queues.lanes.len(lane);
            metrics::EMBEDDER_QUEUE_DEPTH.set(count(depth), &[model, tower, lane.as_str()]);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "queue lengths are far below 2^52")]
fn count(items: usize) -> f64 {
    items as f64
}

/// One tower's queue and thread; dropped, it ends after the batch at hand.
pub(super) struct Worker<T: Tower> {
    shared: Arc<Shared<T::Input>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Tower> Worker<T> {
    pub(super) fn start(
        labels: Labels,
        budget: usize,
        options: &BatchOptions,
        dimensions: usize,
        load: impl Fn() -> Result<T> + Send + 'static,
    ) -> Result<Self> {
        let queues = Queues {
            lanes: Lanes::new(),
            closed: false,
            loaded: false,
            load_error: None,
            seconds_per_item: 0.02,
        };
        let shared = Arc::new(Shared {
            labels: labels.clone(),
            capacity: options.queue_items.max(1),
            queues: Mutex::new(queues),
            wake: Condvar::new(),
        });
        labels.set_loaded(false);
        metrics::EMBEDDER_OVERLOADED.add(0, &[&labels.model]);
        shared.report_depth(&shared.lock());
        let (preload, idle_unload) = (options.preload, options.idle_unload);
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(format!("embed-{}", labels.tower.as_str()))
            // The tower itself is made on its thread and never leaves it.
            .spawn(move || {
                let budget = budget.max(1);
                Compute {
                    shared: theirs,
                    load,
                    budget,
                    dimensions,
                    idle_unload,
                    state: None,
                    left_memory_behind: false,
                }
                .run(preload);
            })
            .map_err(|error| Error::internal("starting the compute thread failed").with_source(error))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Refuses early, before an input is prepared in vain.
    pub(super) fn check_room(&self, lane: Lane) -> Result<()> {
        self.check_room_in(&self.shared.lock(), lane)
    }

    fn check_room_in(&self, queues: &Queues<T::Input>, lane: Lane) -> Result<()> {
        let waiting = queues.lanes.len(lane);
        let ahead = match lane {
            Lane::Interactive => waiting,
            Lane::Background => waiting + queues.lanes.len(Lane::Interactive),
        };
        if waiting < self.shared.capacity {
            return Ok(());
        }
        metrics::EMBEDDER_OVERLOADED.increment(&[&self.shared.labels.model]);
        let seconds = (count(ahead) * queues.seconds_per_item).clamp(1.0, 60.0).ceil();
        let message = format!(
            "{waiting} inputs are waiting for the {} tower (the embedder's queue_items): try again later",
            self.shared.labels.tower.as_str()
        );
        Err(Error::overloaded(message, Duration::from_secs_f64(seconds)))
    }

    pub(super) fn submit(&self, input: T::Input, lane: Lane) -> Result<oneshot::Receiver<Result<Embedding>>> {
        let (answer, receiver) = oneshot::channel();
        let entry = Entry { input, answer };
        let mut queues = self.shared.lock();
        self.check_room_in(&queues, lane)?;
        queues.lanes.push(lane, entry);
        self.shared.report_depth(&queues);
        drop(queues);
        self.shared.wake.notify_one();
        Ok(receiver)
    }

    pub(super) fn waiting(&self, lane: Lane) -> usize {
        self.shared.lock().lanes.len(lane)
    }

    /// Returns whether the tower is in memory.
    pub(super) fn is_loaded(&self) -> bool {
        self.shared.lock().loaded
    }

    /// Returns whether the tower is in memory and can be asked.
    pub(super) fn check_ping(&self) -> Result<bool> {
        let queues = self.shared.lock();
        match &queues.load_error {
            Some((_, kind, message)) => Err(Error::new(*kind, message.clone())),
            None => Ok(queues.loaded),
        }
    }
}

impl<T: Tower> Drop for Worker<T> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been logged by then; there is nothing to hand it to.
            drop(thread.join());
        }
    }
}

struct Compute<T: Tower, L> {
    shared: Arc<Shared<T::Input>>,
    load: L,
    budget: usize,
    dimensions: usize,
    idle_unload: Option<Duration>,
    state: Option<T>,
    /// Whether anything was loaded or computed since memory was last handed back.
    left_memory_behind: bool,
}

/// What there is to do when no work comes.
#[derive(Clone, Copy)]
enum Chore {
    ReleaseMemory,
    Unload,
}

impl<T: Tower, L: Fn() -> Result<T>> Compute<T, L> {
    fn run(mut self, preload: bool) {
        if preload {
            self.ensure_loaded();
        }
        while let Some(batch) = self.next_batch() {
            self.compute(batch);
        }
        if self.state.is_some() {
            self.unload("closed");
        }
    }

    /// Waits for work; `None` when the worker is closed.
    fn next_batch(&mut self) -> Option<Vec<Entry<T::Input>>> {
        let idle_since = Instant::now();
        let shared = Arc::clone(&self.shared);
        let mut queues = shared.lock();
        loop {
            let batch = queues.lanes.take_batch(T::cost, self.budget);
            shared.report_depth(&queues);
            if !batch.is_empty() {
                return Some(batch);
            }
            if queues.closed {
                return None;
            }
            queues = if let Some((after, chore)) = self.next_chore() {
                let left = after.saturating_sub(idle_since.elapsed());
                let (guard, waited) = shared
                    .wake
                    .wait_timeout(queues, left)
                    .unwrap_or_else(PoisonError::into_inner);
                if waited.timed_out() && guard.lanes.is_empty() {
                    drop(guard);
                    match chore {
                        Chore::ReleaseMemory => self.release_memory(),
                        Chore::Unload => self.unload("idle"),
                    }
                    shared.lock()
                } else {
                    guard
                }
            } else {
                shared.wake.wait(queues).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    /// Tells what to do first when no work comes, and after how long without any.
    fn next_chore(&self) -> Option<(Duration, Chore)> {
        let release = self
            .left_memory_behind
            .then_some((RELEASE_AFTER, Chore::ReleaseMemory));
        let unload = self
            .idle_unload
            .filter(|_| self.state.is_some())
            .map(|after| (after, Chore::Unload));
        release.into_iter().chain(unload).min_by_key(|(after, _)| *after)
    }

    fn release_memory(&mut self) {
        lucida_core::release_free_memory();
        self.left_memory_behind = false;
    }

    fn unload(&mut self, reason: &str) {
        self.state = None;
        self.shared.lock().loaded = false;
        self.shared.labels.set_loaded(false);
        self.release_memory();
        let [model, tower] = self.shared.labels.values();
        info!(model, tower, reason, "unloaded tower");
    }

    /// Loads the tower unless it is in memory; a failure is remembered for a moment, so that a crowd of callers
    /// does not try again each.
    fn ensure_loaded(&mut self) -> Option<(ErrorKind, String)> {
        if self.state.is_some() {
            return None;
        }
        if let Some((at, kind, message)) = &self.shared.lock().load_error
            && at.elapsed() < LOAD_RETRY
        {
            return Some((*kind, message.clone()));
        }
        let [model, tower] = self.shared.labels.values();
        let started = Instant::now();
        self.left_memory_behind = true;
        let loaded = catch_unwind(AssertUnwindSafe(&self.load))
            .unwrap_or_else(|_| Err(Error::internal("loading the model panicked")));
        let mut queues = self.shared.lock();
        match loaded {
            Ok(state) => {
                self.state = Some(state);
                queues.loaded = true;
                queues.load_error = None;
                self.shared.labels.set_loaded(true);
                info!(
                    model,
                    tower,
                    elapsed_secs = started.elapsed().as_secs_f64(),
                    "loaded tower"
                );
                None
            }
            Err(failure) => {
                error!(model, tower, error = %failure, "loading the tower failed");
                let message = format!("the {tower} tower can't be loaded: {failure}");
                // To a caller a model that does not load is a part that is unavailable, whatever the reason.
                queues.load_error = Some((Instant::now(), ErrorKind::Unavailable, message.clone()));
                Some((ErrorKind::Unavailable, message))
            }
        }
    }

    fn compute(&mut self, batch: Vec<Entry<T::Input>>) {
        if let Some((kind, message)) = self.ensure_loaded() {
            for entry in batch {
                let failure = Error::new(kind, message.clone()).with_retry_after(LOAD_RETRY);
                drop(entry.answer.send(Err(failure)));
            }
            return;
        }
        let labels = self.shared.labels.clone();
        let [model, tower] = labels.values();
        let (inputs, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|entry| (entry.input, entry.answer)).unzip();
        let size = inputs.len();
        let started = Instant::now();
        self.left_memory_behind = true;
        let state = self.state.as_mut();
        let outcome = catch_unwind(AssertUnwindSafe(|| state.map(|state| state.embed(&inputs))));
        let elapsed = started.elapsed();
        metrics::EMBEDDER_BATCH_ITEMS.record(count(size), &[model, tower]);
        metrics::EMBEDDER_INFERENCE_DURATION.record(elapsed, &[model, tower]);
        {
            let mut queues = self.shared.lock();
            let each = elapsed.as_secs_f64() / count(size);
            queues.seconds_per_item = queues.seconds_per_item.mul_add(0.8, each * 0.2);
        }
        let results = match outcome {
            Ok(Some(results)) if results.len() == size => results,
            Ok(Some(_) | None) => failures(size, "the model gave a wrong number of results"),
            Err(_) => {
                // What a panic leaves behind can't be trusted: the next batch loads afresh.
                self.state = None;
                self.shared.lock().loaded = false;
                labels.set_loaded(false);
                failures(size, "the model panicked")
            }
        };
        debug!(
            model,
            tower,
            items = size,
            elapsed_secs = elapsed.as_secs_f64(),
            "computed batch"
        );
        for (result, answer) in results.into_iter().zip(answers) {
            let result = result.and_then(|vector| unit(vector, self.dimensions));
            // The caller may have gone in the meantime.
            drop(answer.send(result));
        }
    }
}

fn failures(size: usize, message: &str) -> Vec<Result<Vec<f32>>> {
    (0..size).map(|_| Err(Error::internal(message))).collect()
}
