//! Fills the collection of a model from the stored originals: rounds over all ready photos, until none is missing.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tracing::info;

use super::record::{ModelChange, ModelRecord};
use super::state::ModelState;
use super::switch::{LEASE, LEASE_LASTS, ModelSwitch, show_progress};
use super::view::{FRESH, Live};

use crate::points::PointIds;
use lucida_core::{Error, Job, Order, Photo, PhotoFilter, PhotoQuery, PhotoState, Result};

/// How many photos are compared before the progress is saved.
const PAGE: usize = 500;

/// How many jobs may wait in the queue: enough for many workers, and few enough that new photos need not wait long.
const MAX_WAITING_JOBS: u64 = 128;

/// How often the queue is asked for its length.
const ROOM_EVERY: Duration = Duration::from_millis(300);

/// After how long without any progress a new round starts: jobs may be lost, or delivered to a process that died.
const STALLED: Duration = Duration::from_secs(10);

/// How long a round waits for its jobs at most: while new photos keep coming, the queue is never empty.
const ROUND_WAITS: Duration = Duration::from_secs(60);

/// How often progress is logged.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// From when on every process has seen that there is a change, and new photos go into both collections.
const SEEN_BY_ALL: Duration = FRESH.saturating_mul(3);

impl ModelSwitch {
    /// Continues a change until it is complete, another process changes it, or it fails.
    pub(super) async fn fill(&self, change: &ModelChange, live: &Live) -> Result<()> {
        wait_until(change.started_at, SEEN_BY_ALL).await;
        let mut progress = Progress::new(self, live);
        let mut change = change.clone();
        loop {
            let before = progress.points().await?;
            let Some(ended) = self.round(change, &mut progress).await? else {
                return Ok(());
            };
            change = ended;
            if change.missing == 0 {
                break;
            }
            progress.until_worked_off().await?;
            let stands_still = progress.points().await? == before;
            let Some(begun) = self
                .note(&change, |change| {
                    change.after = None;
                    change.missing = 0;
                    change.given_up = 0;
                })
                .await?
            else {
                return Ok(());
            };
            change = begun;
            if stands_still {
                return Err(Error::internal(
                    "none of the missing photos was embedded: the workers can't open the model, or no worker is running",
                ));
            }
        }
        progress.report(true).await?;
        match &self.models.look().await?.state {
            ModelState::CatchingUp(now) if now.is_same(&change) => self.finish_change(&change, live).await,
            ModelState::Filling(now) if now.is_same(&change) => self.start_serving(&change, live).await,
            // Another process or an operator has changed it meanwhile.
            ModelState::Settled | ModelState::Filling(_) | ModelState::CatchingUp(_) => Ok(()),
        }
    }

    /// Moves the alias to a complete collection.
    async fn start_serving(&self, change: &ModelChange, live: &Live) -> Result<()> {
        self.verify(live, change.given_up).await?;
        self.index.set_alias(&live.collection).await?;
        // One more round finds photos of processes that saw the change too late and filled only the earlier collection.
        self.note(change, |change| {
            change.after = None;
            change.given_up = 0;
            change.problem = None;
        })
        .await?;
        self.models.look().await?;
        Ok(())
    }

    /// Publishes a job for every ready photo that the collection lacks; `None` when another change has replaced this one.
    async fn round(
        &self,
        mut change: ModelChange,
        progress: &mut Progress<'_>,
    ) -> Result<Option<ModelChange>> {
        let mut points = PointIds::new(&*self.index, &progress.live.collection, change.after);
        loop {
            let query = PhotoQuery {
                filter: PhotoFilter {
                    states: vec![PhotoState::Ready],
                    ..PhotoFilter::default()
                },
                order: Order::OldestFirst,
                after: change.after,
                limit: PAGE,
            };
            let page = self.metadata.list(&query).await?;
            let Some(last) = page.last().map(|photo| photo.id) else {
                return Ok(Some(change));
            };
            let (mut missing, mut hopeless) = (0, 0);
            for photo in &page {
                if points.pass(&photo.id).await? || !self.is_missing(photo, progress.live).await? {
                    continue;
                }
                if given_up(photo, change.started_at) {
                    hopeless += 1;
                    continue;
                }
                missing += 1;
                // A photo that waits for its next try has a delayed job already.
                if photo.next_attempt_at.is_none_or(|next| next <= Timestamp::now()) {
                    progress.until_there_is_room().await?;
                    let job = Job { photo_id: photo.id };
                    self.queue.publish(&job, Duration::ZERO).await?;
                }
            }
            let noted = self
                .note(&change, |change| {
                    change.after = Some(last);
                    change.missing += missing;
                    change.given_up += hopeless;
                })
                .await?;
            let Some(noted) = noted else { return Ok(None) };
            change = noted;
            progress.report(false).await?;
        }
    }

    /// Asks the index again, since the page may be out of date.
    async fn is_missing(&self, photo: &Photo, live: &Live) -> Result<bool> {
        let vector = self.index.vector(&live.collection, &photo.id).await?;
        Ok(vector.is_none())
    }

    /// Saves the progress; `None` when another change has replaced this one, or another process has taken it over.
    async fn note(
        &self,
        change: &ModelChange,
        edit: impl Fn(&mut ModelChange) + Send + Sync,
    ) -> Result<Option<ModelChange>> {
        if !self.leases.take(LEASE, LEASE_LASTS).await? {
            return Ok(None);
        }
        let record = ModelRecord::change(&*self.metadata, |record| {
            if let Some(now) = &mut record.change
                && now.is_same(change)
            {
                edit(now);
            }
            Ok(())
        })
        .await?;
        Ok(record.change.filter(|now| now.is_same(change)))
    }

    async fn finish_change(&self, change: &ModelChange, live: &Live) -> Result<()> {
        ModelRecord::change(&*self.metadata, |record| {
            if let Some(ended) = record.change.take_if(|now| now.is_same(change)) {
                record.previous = ended.from.or_else(|| record.previous.take());
            }
            Ok(())
        })
        .await?;
        let model = &live.embedder.describe().model;
        info!(
            model,
            given_up = change.given_up,
            "the library is complete in its model"
        );
        show_progress(0, 0);
        self.models.look().await?;
        Ok(())
    }
}

/// Limits the rate of a change, and reports its progress.
struct Progress<'a> {
    switch: &'a ModelSwitch,
    live: &'a Live,
    reported: Option<Instant>,
    next_job: tokio::time::Instant,
    leased: Instant,
    /// How many jobs may be published before the queue is asked again.
    room: u64,
}

impl<'a> Progress<'a> {
    fn new(switch: &'a ModelSwitch, live: &'a Live) -> Self {
        Self {
            switch,
            live,
            reported: None,
            next_job: tokio::time::Instant::now(),
            leased: Instant::now(),
            room: 0,
        }
    }

    /// Waits for the configured pace, and until the queue is short.
    async fn until_there_is_room(&mut self) -> Result<()> {
        self.keep_lease().await?;
        let per_sec = self.switch.photos_per_sec;
        if per_sec > 0 {
            tokio::time::sleep_until(self.next_job).await;
            let pause = Duration::from_secs(1) / per_sec;
            self.next_job = self.next_job.max(tokio::time::Instant::now() - pause) + pause;
        }
        while self.room == 0 {
            self.room = MAX_WAITING_JOBS.saturating_sub(self.waiting_jobs().await?);
            if self.room == 0 {
                tokio::time::sleep(ROOM_EVERY).await;
                self.keep_lease().await?;
                self.report(false).await?;
            }
        }
        self.room -= 1;
        Ok(())
    }

    async fn waiting_jobs(&self) -> Result<u64> {
        let counts = self.switch.queue.counts().await?;
        Ok(counts.ready + counts.in_flight)
    }

    /// Waits until the jobs of a round are done, or make no progress.
    async fn until_worked_off(&mut self) -> Result<()> {
        let started = Instant::now();
        let mut last = (started, u64::MAX, u64::MAX);
        loop {
            let jobs = self.waiting_jobs().await?;
            let points = self.points().await?;
            if (jobs, points) != (last.1, last.2) {
                last = (Instant::now(), jobs, points);
            }
            if jobs == 0 {
                // A queue on a server doesn't count the jobs that other processes have received.
                tokio::time::sleep(FRESH).await;
                return Ok(());
            }
            if last.0.elapsed() >= STALLED || started.elapsed() >= ROUND_WAITS {
                return Ok(());
            }
            tokio::time::sleep(ROOM_EVERY).await;
            self.keep_lease().await?;
            self.report(false).await?;
        }
    }

    async fn keep_lease(&mut self) -> Result<()> {
        if self.leased.elapsed() < LEASE_LASTS / 4 {
            return Ok(());
        }
        self.leased = Instant::now();
        self.switch.leases.keep(LEASE, LEASE_LASTS).await
    }

    async fn points(&self) -> Result<u64> {
        self.switch.index.count(&self.live.collection).await
    }

    /// Sets the gauges of the progress, and logs it now and then.
    async fn report(&mut self, at_once: bool) -> Result<()> {
        if !at_once && self.reported.is_some_and(|last| last.elapsed() < LOG_EVERY) {
            return Ok(());
        }
        let total = self.switch.metadata.count_by_state(None).await?.ready;
        let done = self.points().await?.min(total);
        show_progress(done, total);
        let model = &self.live.embedder.describe().model;
        info!(model, done, total, "filling in the collection of a model");
        self.reported = Some(Instant::now());
        Ok(())
    }
}

/// Sleeps until `after` has passed since `start`.
async fn wait_until(start: Timestamp, after: Duration) {
    let passed = Timestamp::now().duration_since(start).max(SignedDuration::ZERO);
    let left = after.saturating_sub(passed.unsigned_abs());
    tokio::time::sleep(left).await;
}

/// Returns whether a photo that is ready was given up by the model that is being filled in since `started_at`.
fn given_up(photo: &Photo, started_at: Timestamp) -> bool {
    photo.error.is_some() && photo.next_attempt_at.is_none() && photo.updated_at >= started_at
}
