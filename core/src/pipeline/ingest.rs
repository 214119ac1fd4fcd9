//! Ingestion: from a pending photo to one that searches find, or to a failure that is told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tracing::{Instrument, debug, info, info_span, warn};

use super::models::{Live, View};
use super::{Photos, larger_short_side, missing_blob};
use crate::embedder::{Embedding, Lane, embed_image};
use crate::error::{Error, ErrorKind, Result};
use crate::index::Point;
use crate::metrics;
use crate::photo::{Photo, PhotoError, PhotoState};
use crate::picture::Picture;
use crate::plugin::{EnrichInput, Event, Hook};
use crate::queue::Delivery;

/// A job that comes back this often without a failure being recorded takes the process down with it each time.
const MAX_CRASHES: u32 = 30;

/// Makes the counters appear before anything happened, so that their rates are known from the start.
pub(super) fn show_counters() {
    for outcome in ["ready", "added", "retried", "failed", "dropped"] {
        metrics::INGEST_PHOTOS.add(0, &[outcome]);
    }
}

/// What working on a job says about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worked {
    /// Nothing.
    Settled,
    /// A store or the model was away: the next one would fail the same way.
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
                Err(error) => {
                    if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable) {
                        worked = Worked::PartAway;
                    }
                    self.fail(&delivery, error).await
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

    async fn ingest(&self, delivery: &Delivery) -> Result<Outcome> {
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
                    return Ok(Outcome::Nothing);
                }
            }
            PhotoState::Pending => {}
        }
        if delivery.redeliveries > MAX_CRASHES + photo.attempts {
            let message = "working on the photo ended the process again and again";
            return Err(Error::invalid(message).with_code("crashes"));
        }
        if photo.state == PhotoState::Ready {
            return self.add(photo, &missing).await;
        }
        let photo = self.enrich(photo, &view).await?;
        self.make_ready(photo).await
    }

    /// Lets further models embed a photo that is ready; nothing else of it changes.
    async fn add(&self, mut photo: Photo, models: &[&Live]) -> Result<Outcome> {
        let sides = models
            .iter()
            .map(|live| live.embedder.describe().decode_short_side_pixels);
        let (picture, _) = self
            .open(&photo, sides.reduce(larger_short_side).flatten())
            .await?;
        for live in models {
            let vector = embed_image(&*live.embedder, Arc::clone(&picture), Lane::Background).await?;
            self.index_vector(&mut photo, vector, live).await?;
        }
        match self.make_ready(photo).await? {
            Outcome::Ready(_) => Ok(Outcome::Added),
            other @ (Outcome::Added | Outcome::Nothing) => Ok(other),
        }
    }

    /// Reads and decodes a photo's original.
    pub(super) async fn open(
        &self,
        photo: &Photo,
        short_side_pixels: Option<u32>,
    ) -> Result<(Arc<Picture>, Bytes)> {
        let original = self
            .parts()
            .storage
            .get(&photo.blob, None)
            .await
            .map_err(missing_blob)?;
        let original = original.bytes().await?;
        self.decode(Lane::Background, short_side_pixels, move || Ok(original))
            .await
    }

    /// Decodes, enriches and embeds a photo, and puts its vectors into the index.
    async fn enrich(&self, photo: Photo, view: &View) -> Result<Photo> {
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
            debug!(%error, "leaving a photo to the change of the model");
        }
        Ok(photo)
    }

    /// Puts a photo's vector into the collection of a model, which embeds the photo unless it is there already.
    async fn embed(&self, photo: &mut Photo, picture: &Arc<Picture>, live: &Live) -> Result<()> {
        // A photo's bytes never change, so a vector that an earlier try or an adoption has left is right.
        let vector = match self.parts().index.vector(&live.collection, &photo.id).await? {
            Some(vector) => vector,
            None => embed_image(&*live.embedder, Arc::clone(picture), Lane::Background).await?,
        };
        self.index_vector(photo, vector, live).await
    }

    /// Puts a photo's vector into the collection of its model.
    async fn index_vector(&self, photo: &mut Photo, vector: Embedding, live: &Live) -> Result<()> {
        let point = Point {
            photo_id: photo.id,
            vector,
            user_id: photo.user_id.clone(),
            taken_at: photo.taken_at,
            tags: photo.tags.clone(),
        };
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
    async fn fail(&self, delivery: &Delivery, error: Error) -> Result<()> {
        let photo_id = &delivery.job.photo_id;
        let Some(photo) = self
            .parts()
            .metadata
            .get(photo_id)
            .await
            .unwrap_or_else(|ledger| {
                warn!(error = %ledger, "recording a failure failed");
                None
            })
        else {
            // Gone, or the ledger is away: the next delivery will tell.
            metrics::INGEST_PHOTOS.increment(&["retried"]);
            return self
                .parts()
                .queue
                .retry(delivery, self.options().backoff.max)
                .await;
        };
        let attempts = photo.attempts.saturating_add(1);
        let give_up = match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::Unsupported => true,
            // A store or the model is away or misconfigured: not the photo's fault, so it never gives up.
            ErrorKind::Overloaded
            | ErrorKind::Timeout
            | ErrorKind::Unavailable
            | ErrorKind::PermissionDenied
            | ErrorKind::ConfigInvalid
            | ErrorKind::Conflict => false,
            ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::Internal => {
                attempts >= self.options().max_attempts
            }
        };
        let delay = self.options().backoff.delay(attempts);
        let failure = PhotoError::from(&error);
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
            self.parts().queue.dead_letter(delivery, &error.to_string()).await
        } else {
            warn!(%error, attempts, delay_secs = delay.as_secs_f64(), "trying a photo again later");
            metrics::INGEST_PHOTOS.increment(&["retried"]);
            if let Err(error) = recorded {
                warn!(%error, "recording a failure failed");
            }
            self.parts().queue.retry(delivery, delay).await
        }
    }
}
