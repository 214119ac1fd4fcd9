//! Fills the collection of a model from the stored originals: round after round over the ledger, until nothing is
//! missing.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tracing::info;

use super::super::Photos;
use super::super::point_ids::PointIds;
use super::change::{LEASE, LEASE_LASTS, show_progress};
use super::view::FRESH;
use super::{Live, ModelBook, ModelChange, given_up};
use lucida_core::{Error, Job, Order, Photo, PhotoFilter, PhotoQuery, PhotoState, Result};

/// How many photos are looked at between two notes of how far it has come.
const PAGE: usize = 500;

/// How many jobs may wait in the queue: enough for many workers, and few enough that new photos need not wait long.
const MAX_WAITING_JOBS: u64 = 128;

/// How often the queue is asked whether there is room.
const ROOM_EVERY: Duration = Duration::from_millis(300);

/// After how long without any progress a round is begun again: its jobs may be lost, or in dead hands.
const STALLED: Duration = Duration::from_secs(10);

/// How long the jobs of a round are waited for at most: where new photos always come, the queue is never empty.
const ROUND_WAITS: Duration = Duration::from_secs(60);

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// From when on every process has seen that there is a change, and new photos go into both collections.
const SEEN_BY_ALL: Duration = FRESH.saturating_mul(3);

impl Photos {
    /// Goes on with a change until it is over, somebody else changes it, or it fails.
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
                    "none of the missing photos was embedded: the workers can't open the model, or are away",
                ));
            }
        }
        progress.tell(true).await?;
        let serves = self.parts().index.alias().await?.as_ref() == Some(&live.collection);
        if serves {
            return self.finish_change(&change, live).await;
        }
        self.verify(live, change.given_up).await?;
        self.parts().index.set_alias(&live.collection).await?;
        // One more round finds what a process that saw the change too late has put only where it belonged before.
        self.note(&change, |change| {
            change.after = None;
            change.given_up = 0;
            change.problem = None;
        })
        .await?;
        self.look().await?;
        Ok(())
    }

    /// Publishes a job for every ready photo that the collection lacks; `None` when the change is another by now.
    async fn round(
        &self,
        mut change: ModelChange,
        progress: &mut Progress<'_>,
    ) -> Result<Option<ModelChange>> {
        let parts = self.parts();
        let mut points = PointIds::new(&*parts.index, &progress.live.collection, change.after);
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
            let page = parts.metadata.list(&query).await?;
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
                // A photo that failed for now has its job already, which comes when its time has come.
                if photo.next_attempt_at.is_none_or(|next| next <= Timestamp::now()) {
                    progress.until_there_is_room().await?;
                    let job = Job { photo_id: photo.id };
                    parts.queue.publish(&job, Duration::ZERO).await?;
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
            progress.tell(false).await?;
        }
    }

    /// Makes sure of what a page that is a moment old said.
    async fn is_missing(&self, photo: &Photo, live: &Live) -> Result<bool> {
        let vector = self.parts().index.vector(&live.collection, &photo.id).await?;
        Ok(vector.is_none())
    }

    /// Writes down how far it has come; `None` when the change is another by now, or another process carries it on.
    async fn note(
        &self,
        change: &ModelChange,
        edit: impl Fn(&mut ModelChange) + Send + Sync,
    ) -> Result<Option<ModelChange>> {
        if !self.take_lease(LEASE, LEASE_LASTS).await? {
            return Ok(None);
        }
        let (to, started_at) = (&change.to, change.started_at);
        let book = ModelBook::change(&*self.parts().metadata, |book| {
            if let Some(now) = &mut book.change
                && now.to == *to
                && now.started_at == started_at
            {
                edit(now);
            }
            Ok(())
        })
        .await?;
        let ours = |now: &ModelChange| now.to == *to && now.started_at == started_at;
        Ok(book.change.filter(ours))
    }

    async fn finish_change(&self, change: &ModelChange, live: &Live) -> Result<()> {
        ModelBook::change(&*self.parts().metadata, |book| {
            if let Some(ended) = book.change.take_if(|now| now.to == change.to) {
                book.previous = ended.from.or_else(|| book.previous.take());
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
        self.look().await?;
        Ok(())
    }
}

/// Paces a change, and tells how far it has come.
struct Progress<'a> {
    photos: &'a Photos,
    live: &'a Live,
    told: Option<Instant>,
    next_job: tokio::time::Instant,
    leased: Instant,
    /// How many jobs may be published before the queue is asked again.
    room: u64,
}

impl<'a> Progress<'a> {
    fn new(photos: &'a Photos, live: &'a Live) -> Self {
        Self {
            photos,
            live,
            told: None,
            next_job: tokio::time::Instant::now(),
            leased: Instant::now(),
            room: 0,
        }
    }

    /// Waits for the configured pace, and until the queue is short.
    async fn until_there_is_room(&mut self) -> Result<()> {
        self.keep_lease().await?;
        let per_sec = self.photos.options().model_change_photos_per_sec;
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
                self.tell(false).await?;
            }
        }
        self.room -= 1;
        Ok(())
    }

    async fn waiting_jobs(&self) -> Result<u64> {
        let counts = self.photos.parts().queue.counts().await?;
        Ok(counts.ready + counts.in_flight)
    }

    /// Waits until the jobs of a round are done, or nothing moves any more.
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
                // A queue on a server doesn't tell what other processes have in hand.
                tokio::time::sleep(FRESH).await;
                return Ok(());
            }
            if last.0.elapsed() >= STALLED || started.elapsed() >= ROUND_WAITS {
                return Ok(());
            }
            tokio::time::sleep(ROOM_EVERY).await;
            self.keep_lease().await?;
            self.tell(false).await?;
        }
    }

    async fn keep_lease(&mut self) -> Result<()> {
        if self.leased.elapsed() < LEASE_LASTS / 4 {
            return Ok(());
        }
        self.leased = Instant::now();
        if self.photos.take_lease(LEASE, LEASE_LASTS).await? {
            Ok(())
        } else {
            Err(Error::unavailable(
                "another process carries the change of the model on",
            ))
        }
    }

    async fn points(&self) -> Result<u64> {
        self.photos.parts().index.count(&self.live.collection).await
    }

    /// Shows how far it has come, and logs it now and then.
    async fn tell(&mut self, at_once: bool) -> Result<()> {
        if !at_once && self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return Ok(());
        }
        let total = self.photos.parts().metadata.count_by_state(None).await?.ready;
        let done = self.points().await?.min(total);
        show_progress(done, total);
        let model = &self.live.embedder.describe().model;
        info!(model, done, total, "filling in the collection of a model");
        self.told = Some(Instant::now());
        Ok(())
    }
}

/// Sleeps until `after` has passed since `start`.
async fn wait_until(start: Timestamp, after: Duration) {
    let passed = Timestamp::now().duration_since(start).max(SignedDuration::ZERO);
    let left = after.saturating_sub(passed.unsigned_abs());
    tokio::time::sleep(left).await;
}
