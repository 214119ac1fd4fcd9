//! Ingestion: from a pending photo to one that searches find, or to a failure that says why.
//!
//! Only what the photo itself causes fails it. Whatever a store, the queue, the model or the configuration does is a
//! [`Fault::Component`], which is what every error becomes that isn't classified on purpose.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tracing::{Instrument, debug, info, info_span, warn};

use super::damage::Damage;
use super::models::{Live, View};
use super::{Photos, larger_short_side};
use lucida_core::{
    ContentHash, Delivery, Embedder, Embedding, EnrichInput, Error, ErrorKind, Event, Hook, Job, Lane, Photo,
    PhotoError, PhotoState, Point, Result, embed_image, metrics,
    picture::{ImageFormat, Picture},
};

/// A job that comes back this often without a failure being recorded takes the process down with it each time.
const MAX_CRASHES: u32 = 30;

/// Makes the counters appear before anything happened, so that their rates are known from the start.
pub(super) fn show_counters() {
    for outcome in ["ready", "added", "retried", "failed", "dropped"] {
        metrics::INGEST_PHOTOS.add(0, &[outcome]);
    }
    for format in ImageFormat::ALL {
        metrics::PICTURE_PANICS.add(0, &[format.name()]);
    }
}

/// What working on a job says about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worked {
    /// Nothing.
    Settled,
    /// A store or the model was unavailable: the next one would fail the same way.
    PartAway,
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

/// Why a try failed, and so whether it counts against the photo.
pub(super) enum Fault {
    /// The photo's own: no later try can succeed.
    Photo(Error),
    /// Perhaps the photo's own: after some such tries it is given up.
    Perhaps(Error),
    /// A component's: the photo waits, however long that takes.
    Component(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Component(error)
    }
}

impl Fault {
    /// Classifies what a decoder says about the bytes that were uploaded.
    fn of_decoding(error: Error) -> Self {
        match error.kind() {
            // The photo was within the bound when it was uploaded: the setting is lower now.
            _ if error.code() == "too_many_pixels" => Self::Component(error),
            ErrorKind::InvalidInput | ErrorKind::Unsupported => Self::Photo(error),
            ErrorKind::Internal if error.code() == ErrorKind::Internal.as_str() => Self::Perhaps(error),
            ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::ConfigInvalid
            | ErrorKind::PermissionDenied
            | ErrorKind::Conflict
            | ErrorKind::Overloaded
            | ErrorKind::Timeout
            | ErrorKind::Unavailable
            | ErrorKind::Internal => Self::Component(error),
        }
    }

    /// Classifies what a model says about a picture. A model without an image tower is a fault of the configuration.
    fn of_embedding(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidInput => Self::Photo(error),
            ErrorKind::Internal => Self::Perhaps(error),
            ErrorKind::Unsupported
            | ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::ConfigInvalid
            | ErrorKind::PermissionDenied
            | ErrorKind::Conflict
            | ErrorKind::Overloaded
            | ErrorKind::Timeout
            | ErrorKind::Unavailable => Self::Component(error),
        }
    }

    /// Classifies the failure of a plugin that asked for the photo to fail with it.
    pub(super) fn of_plugin(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::Unsupported => Self::Photo(error),
            ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::Internal => Self::Perhaps(error),
            ErrorKind::ConfigInvalid
            | ErrorKind::PermissionDenied
            | ErrorKind::Conflict
            | ErrorKind::Overloaded
            | ErrorKind::Timeout
            | ErrorKind::Unavailable => Self::Component(error),
        }
    }

    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Photo(error) | Self::Perhaps(error) | Self::Component(error) => error,
        }
    }
}

/// The codes of failures that never are the photo's own. A photo that an earlier version gave up for one is tried again.
pub(super) const CODES_OF_COMPONENTS: [&str; 10] = [
    "unsupported",
    "no_tower",
    "config_invalid",
    "permission_denied",
    "conflict",
    "overloaded",
    "timeout",
    "unavailable",
    "blob_missing",
    "blob_damaged",
];

impl Photos {
    /// Works on one delivery until it is settled.
    pub(super) async fn work_on(&self, delivery: Delivery) -> Worked {
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
                    self.notify_settled(&photo_id);
                    self.tell_plugins(Event::Ready(*photo));
                    self.parts().queue.ack(&delivery).await
                }
                Ok(Outcome::Added) => {
                    metrics::INGEST_PHOTOS.increment(&["added"]);
                    debug!("another model has embedded the photo too");
                    self.parts().queue.ack(&delivery).await
                }
                Ok(Outcome::Nothing) => {
                    metrics::INGEST_PHOTOS.increment(&["dropped"]);
                    self.parts().queue.ack(&delivery).await
                }
                Err(fault) => {
                    if let Fault::Component(error) = &fault
                        && matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable)
                    {
                        worked = Worked::PartAway;
                    }
                    self.fail(&delivery, fault).await
                }
            };
            if let Err(error) = settled {
                // The queue hands it out again; doing it twice does no harm.
                warn!(%error, "settling a job failed");
                worked = Worked::PartAway;
            }
            worked
        }
        .instrument(span)
        .await
    }

    async fn ingest(&self, delivery: &Delivery) -> Result<Outcome, Fault> {
        let Some(photo) = self.parts().metadata.get(&delivery.job.photo_id).await? else {
            debug!("photo of the job is gone");
            return Ok(Outcome::Nothing);
        };
        let view = self.view().await?;
        let mut missing: Vec<&Live> = Vec::new();
        match photo.state {
            PhotoState::Deleting => {
                self.finish_deletion(&photo).await?;
                return Ok(Outcome::Nothing);
            }
            PhotoState::Failed => return Ok(Outcome::Nothing),
            PhotoState::Ready => {
                for live in view.live() {
                    let vector = self.parts().index.vector(&live.collection, &photo.id).await?;
                    missing.extend(vector.is_none().then_some(&**live));
                }
                if missing.is_empty() {
                    // The job may be that of an edit.
                    self.refresh(&photo).await?;
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
        let sides = models
            .iter()
            .map(|live| live.embedder.describe().decode_short_side_pixels);
        let (picture, _) = self
            .open(&photo, sides.reduce(larger_short_side).flatten())
            .await?;
        for live in models {
            let vector = vector_of(&*live.embedder, &picture).await?;
            self.index_vector(&mut photo, vector, live).await?;
        }
        match self.make_ready(photo).await? {
            Outcome::Ready(_) => Ok(Outcome::Added),
            other @ (Outcome::Added | Outcome::Nothing) => Ok(other),
        }
    }

    /// Reads a photo's original, compares it with its hash, and decodes it.
    pub(super) async fn open(
        &self,
        photo: &Photo,
        short_side_pixels: Option<u32>,
    ) -> Result<(Arc<Picture>, Bytes), Fault> {
        let blob = self.content(photo, None).await?;
        let original = blob.bytes().await?;
        let (hash, damaged) = (photo.hash, Damage::WrongBytes.error(photo));
        let decoded = self
            .decode(Lane::Background, short_side_pixels, move || {
                // What is embedded here stays in the index: it must be what was uploaded.
                if ContentHash::of(&original) == hash {
                    Ok(original)
                } else {
                    Err(damaged)
                }
            })
            .await;
        if decoded
            .as_ref()
            .is_err_and(|error| error.code() == "blob_damaged")
        {
            self.note_damage(&photo.id, Some(Damage::WrongBytes)).await;
        }
        decoded.map_err(Fault::of_decoding)
    }

    /// Decodes, enriches and embeds a photo, and puts its vectors into the index.
    async fn enrich(&self, photo: Photo, view: &View) -> Result<Photo, Fault> {
        let short_side_pixels = self.ingest_short_side_pixels(view);
        let (picture, original) = self.open(&photo, short_side_pixels).await?;
        let mut input = EnrichInput {
            photo,
            picture,
            original,
        };
        self.enrich_by_plugins(&mut input).await?;
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

    /// Puts a photo's vector into the collection of a model, which embeds the photo unless it is there already.
    async fn embed(&self, photo: &mut Photo, picture: &Arc<Picture>, live: &Live) -> Result<(), Fault> {
        // A photo's bytes never change, so a vector that an earlier try or an adoption has left is right.
        let vector = match self.parts().index.vector(&live.collection, &photo.id).await? {
            Some(vector) => vector,
            None => vector_of(&*live.embedder, picture).await?,
        };
        Ok(self.index_vector(photo, vector, live).await?)
    }

    /// Puts a photo's vector into the collection of its model.
    async fn index_vector(&self, photo: &mut Photo, vector: Embedding, live: &Live) -> Result<()> {
        let point = Point::of_photo(photo, vector);
        self.parts().index.upsert(&live.collection, &[point]).await?;
        photo.fingerprint = Some(live.fingerprint().clone());
        Ok(())
    }

    /// Returns the short side that is enough for everything that looks at a photo's picture; `None` for full size.
    fn ingest_short_side_pixels(&self, view: &View) -> Option<u32> {
        let models = view
            .live()
            .map(|live| live.embedder.describe().decode_short_side_pixels);
        let plugins = self
            .plugins_for(Hook::Enrich)
            .map(|plugin| plugin.decode_short_side_pixels());
        models.chain(plugins).reduce(larger_short_side).flatten()
    }

    async fn make_ready(&self, mut photo: Photo) -> Result<Outcome> {
        photo.state = PhotoState::Ready;
        photo.error = None;
        photo.next_attempt_at = None;
        photo.updated_at = Timestamp::now();
        match self.parts().metadata.update(&photo).await {
            Ok(updated) => Ok(Outcome::Ready(Box::new(updated))),
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {
                self.lose_the_race(&photo, error).await
            }
            Err(error) => Err(error),
        }
    }

    /// Somebody changed the record meanwhile: another worker finished it, or it was deleted.
    async fn lose_the_race(&self, photo: &Photo, error: Error) -> Result<Outcome> {
        match self.parts().metadata.get(&photo.id).await? {
            Some(newer) if newer.state == PhotoState::Ready && newer.fingerprint == photo.fingerprint => {
                Ok(Outcome::Nothing)
            }
            Some(newer) if newer.state == PhotoState::Deleting => {
                self.finish_deletion(&newer).await?;
                Ok(Outcome::Nothing)
            }
            Some(_) => Err(error),
            None => {
                // Deleted while it was worked on: nothing of this try may stay.
                self.remove_points(std::slice::from_ref(&photo.id)).await?;
                for derived in photo.derived.values() {
                    self.parts().storage.delete(&derived.key).await?;
                }
                Ok(Outcome::Nothing)
            }
        }
    }

    /// Records a failed try on the photo and decides what becomes of its job.
    async fn fail(&self, delivery: &Delivery, fault: Fault) -> Result<()> {
        let photo_id = &delivery.job.photo_id;
        let photo = match self.parts().metadata.get(photo_id).await {
            Ok(Some(photo)) => photo,
            Ok(None) => return self.parts().queue.ack(delivery).await,
            Err(unrecorded) => {
                let error = fault.into_error();
                warn!(%error, %unrecorded, "trying a photo again later; the failed try is not recorded");
                metrics::INGEST_PHOTOS.increment(&["retried"]);
                return self.start_over(delivery, self.options().backoff.max).await;
            }
        };
        let attempts = photo.attempts.saturating_add(1);
        let earlier = photo.error.as_ref().map_or(0, |error| error.own_faults);
        let (give_up, own_faults, error) = match fault {
            Fault::Photo(error) => (true, earlier.saturating_add(1), error),
            Fault::Perhaps(error) => {
                let own_faults = earlier.saturating_add(1);
                // While the model can't embed anything else either, it is not this photo.
                let enough = own_faults >= self.options().max_attempts;
                let give_up = enough && self.parts().embedder.ping().await.is_ok();
                (give_up, own_faults, error)
            }
            Fault::Component(error) => (false, earlier, error),
        };
        let delay = self.options().backoff.delay(attempts);
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
        let recorded = self.change(photo, record).await;
        if give_up {
            warn!(%error, attempts, "photo failed");
            metrics::INGEST_PHOTOS.increment(&["failed"]);
            let Some(photo) = recorded? else {
                return self.parts().queue.ack(delivery).await;
            };
            self.notify_settled(photo_id);
            self.tell_plugins(Event::Failed(photo));
            return self.parts().queue.dead_letter(delivery, &error.to_string()).await;
        }
        warn!(%error, attempts, delay_secs = delay.as_secs_f64(), "trying a photo again later");
        metrics::INGEST_PHOTOS.increment(&["retried"]);
        match recorded {
            Ok(_) => self.parts().queue.retry(delivery, delay).await,
            Err(error) => {
                warn!(%error, "recording a failed try failed");
                self.start_over(delivery, delay).await
            }
        }
    }

    /// Puts a new job in place of a delivery whose failure could not be recorded: redeliveries without a record are taken for
    /// crashes that the photo causes.
    async fn start_over(&self, delivery: &Delivery, delay: Duration) -> Result<()> {
        let job = Job {
            photo_id: delivery.job.photo_id,
        };
        self.parts().queue.publish(&job, delay).await?;
        self.parts().queue.ack(delivery).await
    }
}

/// Embeds a picture on the background lane.
async fn vector_of(embedder: &dyn Embedder, picture: &Arc<Picture>) -> Result<Embedding, Fault> {
    embed_image(embedder, Arc::clone(picture), Lane::Background)
        .await
        .map_err(Fault::of_embedding)
}
