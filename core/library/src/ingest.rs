//! Ingestion: from a pending photo to one that searches find, or to a recorded failure.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tracing::{Instrument, debug, info, info_span, warn};

use crate::blobs::Blobs;
use crate::delete::Deletion;
use crate::edit::Editing;
use crate::events::Events;
use crate::fault::Fault;
use crate::models::{Live, Models, View};
use crate::plugins::Plugins;
use crate::points::Points;
use crate::records::Records;
use crate::settled::Settled;
use lucida_core::{
    Backoff, DecodeSize, Delivery, Embedder, Embedding, EnrichInput, Error, ErrorKind, Event, Hook,
    ImageFormat, Job, JobQueue, Lane, MetadataStore, Photo, PhotoError, PhotoState, Picture, Point, Result,
    Storage, VectorIndex, embed_image, metrics,
};

/// A job that comes back this often without a failure being recorded takes the process down with it each time.
const MAX_CRASHES: u32 = 30;

/// Creates the counters with 0, so that their rates are known from the start.
pub(crate) fn show_counters() {
    for outcome in ["ready", "added", "retried", "failed", "dropped"] {
        metrics::INGEST_PHOTOS.add(0, &[outcome]);
    }
    for format in ImageFormat::ALL {
        metrics::PICTURE_PANICS.add(0, &[format.name()]);
    }
}

/// What the work on a job says about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worked {
    /// Nothing.
    Settled,
    /// A store or the model was unavailable: the next one would fail the same way.
    ComponentUnavailable,
}

/// How a try ended, unless it failed.
enum Outcome {
    /// The photo is ready.
    Ready(Box<Photo>),
    /// The photo was ready, and another model has embedded it too.
    Added,
    /// There was nothing to do: the photo is gone, or was done before.
    Nothing,
}

/// Works on photos.
#[derive(Clone)]
pub(crate) struct Ingest {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) metadata: Arc<dyn MetadataStore>,
    pub(crate) index: Arc<dyn VectorIndex>,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) models: Models,
    pub(crate) records: Records,
    pub(crate) blobs: Blobs,
    pub(crate) points: Points,
    pub(crate) plugins: Plugins,
    pub(crate) editing: Editing,
    pub(crate) deletion: Deletion,
    pub(crate) events: Events,
    pub(crate) settled: Settled,
    /// The wait before the second try, and the longest one.
    pub(crate) backoff: Backoff,
    /// After how many failed tries that may be the photo's own fault it is given up.
    pub(crate) max_attempts: u32,
}

impl Ingest {
    /// Works on one delivery until it is settled.
    pub(crate) async fn work_on(&self, delivery: Delivery) -> Worked {
        let photo_id = delivery.job.photo_id;
        let span = info_span!("photo.ingest", %photo_id, redeliveries = delivery.redeliveries);
        async {
            let mut worked = Worked::Settled;
            let settled = match self.ingest(&delivery).await {
                Ok(Outcome::Ready(photo)) => {
                    metrics::INGEST_PHOTOS.increment(&["ready"]);
                    let took = Timestamp::now().duration_since(photo.created_at);
                    metrics::INGEST_DURATION.record(Duration::try_from(took).unwrap_or_default(), &[]);
                    info!(elapsed_secs = took.as_secs_f64(), "photo is ready");
                    self.settled.notify(&photo_id);
                    self.plugins.send(Event::Ready(*photo));
                    self.queue.ack(&delivery).await
                }
                Ok(Outcome::Added) => {
                    metrics::INGEST_PHOTOS.increment(&["added"]);
                    debug!("another model has embedded the photo too");
                    self.queue.ack(&delivery).await
                }
                Ok(Outcome::Nothing) => {
                    metrics::INGEST_PHOTOS.increment(&["dropped"]);
                    self.queue.ack(&delivery).await
                }
                Err(fault) => {
                    if let Fault::Component(error) = &fault
                        && matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable)
                    {
                        worked = Worked::ComponentUnavailable;
                    }
                    self.fail(&delivery, fault).await
                }
            };
            if let Err(error) = settled {
                // The queue delivers it again; doing it twice does no harm.
                warn!(%error, "settling a job failed");
                worked = Worked::ComponentUnavailable;
            }
            worked
        }
        .instrument(span)
        .await
    }

    async fn ingest(&self, delivery: &Delivery) -> Result<Outcome, Fault> {
        let Some(photo) = self.metadata.get(&delivery.job.photo_id).await? else {
            debug!("the photo of the job is gone");
            return Ok(Outcome::Nothing);
        };
        let view = self.models.view().await?;
        let mut missing: Vec<&Live> = Vec::new();
        match photo.state {
            PhotoState::Deleting => {
                self.deletion.finish(&photo).await?;
                return Ok(Outcome::Nothing);
            }
            PhotoState::Failed => return Ok(Outcome::Nothing),
            PhotoState::Ready => {
                for live in view.live() {
                    let vector = self.index.vector(&live.collection, &photo.id).await?;
                    missing.extend(vector.is_none().then_some(&**live));
                }
                if missing.is_empty() {
                    // The job may be that of an edit.
                    self.editing.refresh(&photo).await?;
                    return Ok(Outcome::Nothing);
                }
            }
            PhotoState::Pending => {}
        }
        if delivery.redeliveries > MAX_CRASHES + photo.attempts {
            let message = "working on the photo ended the process again and again";
            return Err(Fault::Photo(Error::invalid(message).with_code("crashes")));
        }
        if photo.state == PhotoState::Ready {
            return self.add(photo, &missing).await;
        }
        let photo = self.enrich(photo, &view).await?;
        Ok(self.make_ready(photo).await?)
    }

    /// Lets further models embed a photo that is ready; nothing else of it changes.
    async fn add(&self, mut photo: Photo, models: &[&Live]) -> Result<Outcome, Fault> {
        let sizes = models.iter().map(|live| live.embedder.describe().decode_size);
        let size = sizes.fold(DecodeSize::ANY, DecodeSize::max);
        let (picture, _) = self.blobs.open(&photo, size).await?;
        for live in models {
            let vector = vector_of(&*live.embedder, &picture).await?;
            self.index_vector(&mut photo, vector, live).await?;
        }
        match self.make_ready(photo).await? {
            Outcome::Ready(_) => Ok(Outcome::Added),
            other @ (Outcome::Added | Outcome::Nothing) => Ok(other),
        }
    }

    /// Decodes, enriches and embeds a photo, and puts its vectors into the index.
    async fn enrich(&self, photo: Photo, view: &View) -> Result<Photo, Fault> {
        let size = self.decode_size(view);
        let (picture, original) = self.blobs.open(&photo, size).await?;
        let mut input = EnrichInput {
            photo,
            picture,
            original,
        };
        self.plugins.enrich(&mut input).await?;
        let EnrichInput {
            mut photo, picture, ..
        } = input;

        self.embed(&mut photo, &picture, &view.serving).await?;
        if let Some(filling) = &view.filling
            && let Err(error) = self.embed(&mut photo, &picture, filling).await
        {
            // Searches don't use that model yet, and its change finds what it lacks.
            debug!(error = %error.into_error(), "leaving a photo to the change of the model");
        }
        Ok(photo)
    }

    /// Puts a photo's vector into the collection of a model, which embeds the photo unless it is stored already.
    async fn embed(&self, photo: &mut Photo, picture: &Arc<Picture>, live: &Live) -> Result<(), Fault> {
        // A photo's bytes never change, so a vector that an earlier try or an adoption has left is right.
        let vector = match self.index.vector(&live.collection, &photo.id).await? {
            Some(vector) => vector,
            None => vector_of(&*live.embedder, picture).await?,
        };
        Ok(self.index_vector(photo, vector, live).await?)
    }

    /// Puts a photo's vector into the collection of its model.
    async fn index_vector(&self, photo: &mut Photo, vector: Embedding, live: &Live) -> Result<()> {
        let point = Point::of_photo(photo, vector);
        self.index.upsert(&live.collection, &[point]).await?;
        photo.fingerprint = Some(live.fingerprint().clone());
        Ok(())
    }

    /// Returns the size of picture that is enough for all models and plugins.
    fn decode_size(&self, view: &View) -> DecodeSize {
        let models = view.live().map(|live| live.embedder.describe().decode_size);
        let plugins = self
            .plugins
            .with_hook(Hook::Enrich)
            .map(|plugin| plugin.decode_size());
        models.chain(plugins).fold(DecodeSize::ANY, DecodeSize::max)
    }

    async fn make_ready(&self, mut photo: Photo) -> Result<Outcome> {
        let before = photo.state;
        photo.state = PhotoState::Ready;
        photo.error = None;
        photo.next_attempt_at = None;
        photo.updated_at = Timestamp::now();
        match self.events.update(before, &photo).await {
            Ok(updated) => Ok(Outcome::Ready(Box::new(updated))),
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {
                self.resolve_conflict(&photo, error).await
            }
            Err(error) => Err(error),
        }
    }

    /// Decides what to do when the record changed meanwhile: another worker finished the photo, or it was deleted.
    async fn resolve_conflict(&self, photo: &Photo, error: Error) -> Result<Outcome> {
        match self.metadata.get(&photo.id).await? {
            Some(newer) if newer.state == PhotoState::Ready && newer.fingerprint == photo.fingerprint => {
                Ok(Outcome::Nothing)
            }
            Some(newer) if newer.state == PhotoState::Deleting => {
                self.deletion.finish(&newer).await?;
                Ok(Outcome::Nothing)
            }
            Some(_) => Err(error),
            None => {
                // Deleted while it was worked on: nothing of this try may stay.
                self.points.remove(std::slice::from_ref(&photo.id)).await?;
                for derived in photo.derived.values() {
                    self.storage.delete(&derived.key).await?;
                }
                Ok(Outcome::Nothing)
            }
        }
    }

    /// Records a failed try on the photo and decides what becomes of its job.
    async fn fail(&self, delivery: &Delivery, fault: Fault) -> Result<()> {
        let photo_id = &delivery.job.photo_id;
        let photo = match self.metadata.get(photo_id).await {
            Ok(Some(photo)) => photo,
            Ok(None) => return self.queue.ack(delivery).await,
            Err(unrecorded) => {
                let error = fault.into_error();
                warn!(%error, %unrecorded, "trying a photo again later; the failed try is not recorded");
                metrics::INGEST_PHOTOS.increment(&["retried"]);
                return self.start_over(delivery, self.backoff.max).await;
            }
        };
        let attempts = photo.attempts.saturating_add(1);
        let earlier = photo.error.as_ref().map_or(0, |error| error.own_faults);
        let (give_up, own_faults, error) = match fault {
            Fault::Photo(error) => (true, earlier.saturating_add(1), error),
            Fault::Perhaps(error) => {
                let own_faults = earlier.saturating_add(1);
                // While the model can't embed anything else either, it is not this photo.
                let enough = own_faults >= self.max_attempts;
                let give_up = enough && self.models.configured().ping().await.is_ok();
                (give_up, own_faults, error)
            }
            Fault::Component(error) => (false, earlier, error),
        };
        let delay = self.backoff.delay(attempts);
        let failure = PhotoError {
            own_faults,
            ..PhotoError::from(&error)
        };
        // A photo that is ready under an earlier model stays so while the new one can't embed it.
        let state = match (give_up, photo.state) {
            (true, PhotoState::Pending) => PhotoState::Failed,
            (_, state) => state,
        };
        let next = SignedDuration::try_from(delay)
            .ok()
            .and_then(|wait| Timestamp::now().checked_add(wait).ok());
        let record = |photo: &mut Photo| {
            photo.state = state;
            photo.attempts = attempts;
            photo.error = Some(failure.clone());
            photo.next_attempt_at = next.filter(|_| !give_up);
        };
        let recorded = self.records.change(photo, record).await;
        if give_up {
            warn!(%error, attempts, "photo failed");
            metrics::INGEST_PHOTOS.increment(&["failed"]);
            let Some(photo) = recorded? else {
                return self.queue.ack(delivery).await;
            };
            self.settled.notify(photo_id);
            if photo.state == PhotoState::Failed {
                self.plugins.send(Event::Failed(photo));
            }
            return self.queue.dead_letter(delivery, &error.to_string()).await;
        }
        warn!(%error, attempts, delay_secs = delay.as_secs_f64(), "trying a photo again later");
        metrics::INGEST_PHOTOS.increment(&["retried"]);
        match recorded {
            Ok(_) => self.queue.retry(delivery, delay).await,
            Err(error) => {
                warn!(%error, "recording a failed try failed");
                self.start_over(delivery, delay).await
            }
        }
    }

    /// Replaces a delivery whose failure could not be recorded by a new job: redeliveries without a record count as crashes
    /// that the photo causes.
    async fn start_over(&self, delivery: &Delivery, delay: Duration) -> Result<()> {
        let job = Job {
            photo_id: delivery.job.photo_id,
        };
        self.queue.publish(&job, delay).await?;
        self.queue.ack(delivery).await
    }
}

/// Embeds a picture on the background lane.
async fn vector_of(embedder: &dyn Embedder, picture: &Arc<Picture>) -> Result<Embedding, Fault> {
    embed_image(embedder, Arc::clone(picture), Lane::Background)
        .await
        .map_err(Fault::of_embedding)
}
