//! Deletion goes the other way than upload: mark, tombstone, index, blobs, manifest, record.

use jiff::Timestamp;
use tracing::{info, warn};

use super::Photos;
use lucida_core::{BlobKey, Error, ErrorKind, Event, Photo, PhotoId, PhotoState, Result, UserId};

/// How often an update is tried against others that change the same record.
const MAX_CONFLICTS: usize = 16;

impl Photos {
    /// Deletes a user's photo. Once this returns nobody sees it any more, and what is left of it goes, if need be
    /// later.
    ///
    /// # Errors
    /// `NotFound` when the user has no such photo; those of the metadata store.
    pub async fn delete(&self, user: &UserId, id: &PhotoId) -> Result<()> {
        let photo = self.photo(user, id).await?;
        let marked = self
            .change(photo, |photo| photo.state = PhotoState::Deleting)
            .await?;
        let Some(marked) = marked else { return Ok(()) };
        self.notify_settled(id);
        if let Err(error) = self.finish_deletion(&marked).await {
            warn!(%error, photo_id = %id, "leaving a deletion to the reconciler");
        }
        Ok(())
    }

    /// Tries again to bring a failed photo to ready.
    ///
    /// # Errors
    /// `NotFound` when the user has no such photo; `Conflict` (`not_failed`) when it has not failed; those of the
    /// metadata store.
    pub async fn retry(&self, user: &UserId, id: &PhotoId) -> Result<Photo> {
        let photo = self.photo(user, id).await?;
        if photo.state != PhotoState::Failed {
            let message = format!(
                "photo `{id}` is {}: only a failed photo can be retried",
                photo.state
            );
            return Err(Error::conflict(message).with_code("not_failed"));
        }
        let pending = self.make_pending(photo).await?;
        pending
            .ok_or_else(|| Error::not_found(format!("photo `{id}` not found")).with_code("photo_not_found"))
    }

    /// Puts a photo back to the start of its life and its job into the queue; `None` when it is gone.
    pub(super) async fn make_pending(&self, photo: Photo) -> Result<Option<Photo>> {
        let again = |photo: &mut Photo| {
            photo.state = PhotoState::Pending;
            photo.attempts = 0;
            photo.error = None;
            photo.next_attempt_at = None;
        };
        let Some(photo) = self.change(photo, again).await? else {
            return Ok(None);
        };
        if let Err(error) = self.parts().queue.remove_dead_letters(&photo.id).await {
            warn!(%error, photo_id = %photo.id, "leaving a dead letter behind");
        }
        let job = lucida_core::Job { photo_id: photo.id };
        if let Err(error) = self.parts().queue.publish(&job, std::time::Duration::ZERO).await {
            warn!(%error, photo_id = %photo.id, "leaving a photo's job to the reconciler");
        }
        Ok(Some(photo))
    }

    /// Changes a record, again on the newest version if somebody else was quicker; `None` when it is gone or being
    /// deleted.
    pub(super) async fn change(&self, photo: Photo, change: impl Fn(&mut Photo)) -> Result<Option<Photo>> {
        let mut current = photo;
        for _ in 0..MAX_CONFLICTS {
            change(&mut current);
            current.updated_at = Timestamp::now();
            match self.parts().metadata.update(&current).await {
                Ok(updated) => return Ok(Some(updated)),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    match self.parts().metadata.get(&current.id).await? {
                        Some(newer) if newer.state != PhotoState::Deleting => current = newer,
                        Some(_) | None => return Ok(None),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::conflict(format!(
            "photo `{}` is being changed by too many at once",
            current.id
        )))
    }

    /// Removes everything of a photo that is marked as deleting; each step may have been done before.
    pub(super) async fn finish_deletion(&self, photo: &Photo) -> Result<()> {
        // From here on the deletion is known even without the record: no rebuild brings the photo back.
        self.write_tombstone(photo).await?;
        self.remove_points(std::slice::from_ref(&photo.id)).await?;
        let storage = &self.parts().storage;
        for derived in photo.derived.values() {
            storage.delete(&derived.key).await?;
        }
        storage.delete(&photo.blob).await?;
        storage.delete(&BlobKey::manifest(&photo.id)).await?;
        self.parts().metadata.delete(&photo.id).await?;
        if photo.error.is_some() {
            self.parts().queue.remove_dead_letters(&photo.id).await?;
        }
        if self.storage_report().await?.damaged.contains_key(&photo.id) {
            self.note_damage(&photo.id, None).await;
        }
        info!(photo_id = %photo.id, "deleted photo");
        self.tell_plugins(Event::Deleted(photo.clone()));
        Ok(())
    }

    /// Removes photos from every collection, that of an earlier model included.
    pub(super) async fn remove_points(&self, ids: &[PhotoId]) -> Result<()> {
        for collection in self.parts().index.collections().await? {
            self.parts().index.delete(&collection, ids).await?;
        }
        Ok(())
    }
}
