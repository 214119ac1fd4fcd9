//! The records of photos in the metadata store: read for their owner, and changed by compare-and-set.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;

use crate::events::Events;
use lucida_core::{
    DeadLetter, Error, ErrorKind, Job, JobQueue, MetadataStore, OutboxEvent, Photo, PhotoId, PhotoQuery,
    PhotoState, Result, UserId,
};

/// How often an update is tried against others that change the same record.
const MAX_CONFLICTS: usize = 16;

/// A page of a list of photos.
#[derive(Debug, Clone, PartialEq)]
pub struct PhotoPage {
    /// The photos.
    pub photos: Vec<Photo>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<PhotoId>,
}

/// Reads and changes records.
#[derive(Clone)]
pub(crate) struct Records {
    pub(crate) metadata: Arc<dyn MetadataStore>,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) events: Events,
}

impl Records {
    /// Returns a user's photo.
    ///
    /// # Errors
    /// `NotFound` when the photo does not exist, belongs to another user, or is being deleted.
    pub(crate) async fn of_user(&self, user: &UserId, id: &PhotoId) -> Result<Photo> {
        let found = self.metadata.get(id).await?;
        found
            .filter(|photo| photo.user_id == *user && photo.state != PhotoState::Deleting)
            .ok_or_else(|| not_found(id))
    }

    /// Lists jobs that were given up, at most `limit`.
    ///
    /// # Errors
    /// Those of the queue.
    pub(crate) async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        self.queue.dead_letters(limit).await
    }

    /// Lists events that were given up, at most `limit`.
    ///
    /// # Errors
    /// Those of the metadata store.
    pub(crate) async fn dead_events(&self, limit: usize) -> Result<Vec<OutboxEvent>> {
        self.metadata.dead_events(limit).await
    }

    /// Lists a user's photos; those being deleted are never shown.
    ///
    /// # Errors
    /// `InvalidInput` for a limit of 0 or a filter without a user.
    pub(crate) async fn list(&self, query: &PhotoQuery) -> Result<PhotoPage> {
        if query.filter.user_id.is_none() {
            return Err(Error::invalid("a list of photos is always one user's"));
        }
        let mut query = query.clone();
        if query.filter.states.is_empty() {
            query.filter.states = vec![PhotoState::Pending, PhotoState::Ready, PhotoState::Failed];
        }
        query.filter.states.retain(|state| *state != PhotoState::Deleting);
        if query.filter.states.is_empty() {
            return Ok(PhotoPage {
                photos: Vec::new(),
                next: None,
            });
        }
        let limit = query.limit;
        query.limit = limit.saturating_add(usize::from(limit > 0));
        let mut photos = self.metadata.list(&query).await?;
        let more = photos.len() > limit;
        photos.truncate(limit);
        let next = photos.last().filter(|_| more).map(|photo| photo.id);
        Ok(PhotoPage { photos, next })
    }

    /// Tries again to bring a failed photo to ready.
    ///
    /// # Errors
    /// `NotFound` when the user has no such photo; `Conflict` (`not_failed`) when it has not failed; those of the
    /// metadata store.
    pub(crate) async fn retry(&self, user: &UserId, id: &PhotoId) -> Result<Photo> {
        let photo = self.of_user(user, id).await?;
        if photo.state != PhotoState::Failed {
            let message = format!(
                "photo `{id}` is {}: only a failed photo can be retried",
                photo.state
            );
            return Err(Error::conflict(message).with_code("not_failed"));
        }
        self.make_pending(photo).await?.ok_or_else(|| not_found(id))
    }

    /// Puts a photo back to the start of its life and its job into the queue; `None` when it is gone.
    pub(crate) async fn make_pending(&self, photo: Photo) -> Result<Option<Photo>> {
        let again = |photo: &mut Photo| {
            photo.state = PhotoState::Pending;
            photo.attempts = 0;
            photo.error = None;
            photo.next_attempt_at = None;
        };
        let Some(photo) = self.change(photo, again).await? else {
            return Ok(None);
        };
        if let Err(error) = self.queue.remove_dead_letters(&photo.id).await {
            warn!(%error, photo_id = %photo.id, "leaving a dead letter behind");
        }
        let job = Job { photo_id: photo.id };
        if let Err(error) = self.queue.publish(&job, Duration::ZERO).await {
            warn!(%error, photo_id = %photo.id, "leaving a photo's job to the reconciler");
        }
        Ok(Some(photo))
    }

    /// Changes a record, again on the newest version where another change was faster; `None` when it is gone or being
    /// deleted.
    pub(crate) async fn change(&self, photo: Photo, change: impl Fn(&mut Photo)) -> Result<Option<Photo>> {
        let mut current = photo;
        for _ in 0..MAX_CONFLICTS {
            let before = current.state;
            change(&mut current);
            current.updated_at = Timestamp::now();
            match self.events.update(before, &current).await {
                Ok(updated) => return Ok(Some(updated)),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    match self.metadata.get(&current.id).await? {
                        Some(newer) if newer.state != PhotoState::Deleting => current = newer,
                        Some(_) | None => return Ok(None),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::conflict(format!(
            "too many requests change photo `{}` at once",
            current.id
        )))
    }
}

/// The error about a photo that its user doesn't have.
pub(crate) fn not_found(id: &PhotoId) -> Error {
    Error::not_found(format!("photo `{id}` not found")).with_code("photo_not_found")
}
