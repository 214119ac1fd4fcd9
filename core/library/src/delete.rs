//! Deletion goes the other way than upload: mark, tombstone, index, blobs, manifest, record.

use std::sync::Arc;

use tracing::{info, warn};

use crate::damage::DamageLog;
use crate::events::Events;
use crate::manifests::Manifests;
use crate::plugins::Plugins;
use crate::points::Points;
use crate::records::Records;
use crate::settled::Settled;
use lucida_core::{BlobKey, Event, JobQueue, Photo, PhotoId, PhotoState, Result, Storage, UserId};

/// Deletes photos.
#[derive(Clone)]
pub(crate) struct Deletion {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) records: Records,
    pub(crate) manifests: Manifests,
    pub(crate) points: Points,
    pub(crate) damage: DamageLog,
    pub(crate) plugins: Plugins,
    pub(crate) events: Events,
    pub(crate) settled: Settled,
}

impl Deletion {
    /// Deletes a user's photo. Once this returns no request shows it any more; what is left of it may be removed
    /// later.
    ///
    /// # Errors
    /// `NotFound` when the user has no such photo; those of the metadata store.
    pub(crate) async fn delete(&self, user: &UserId, id: &PhotoId) -> Result<()> {
        let photo = self.records.of_user(user, id).await?;
        let deleting = |photo: &mut Photo| photo.state = PhotoState::Deleting;
        let marked = self.records.change(photo, deleting).await?;
        let Some(marked) = marked else { return Ok(()) };
        self.settled.notify(id);
        if let Err(error) = self.finish(&marked).await {
            warn!(%error, photo_id = %id, "leaving a deletion to the reconciler");
        }
        Ok(())
    }

    /// Removes everything of a photo that is marked as deleting; each step may have been done before.
    pub(crate) async fn finish(&self, photo: &Photo) -> Result<()> {
        // From here on the deletion is known even without the record: no rebuild brings the photo back.
        self.manifests.write_tombstone(photo).await?;
        self.points.remove(std::slice::from_ref(&photo.id)).await?;
        let storage = &self.storage;
        for derived in photo.derived.values() {
            storage.delete(&derived.key).await?;
        }
        storage.delete(&photo.blob).await?;
        storage.delete(&BlobKey::manifest(&photo.id)).await?;
        self.events.delete(photo).await?;
        if photo.error.is_some() {
            self.queue.remove_dead_letters(&photo.id).await?;
        }
        self.damage.note(&photo.id, None).await;
        info!(photo_id = %photo.id, "deleted photo");
        self.plugins.send(Event::Deleted(photo.clone()));
        Ok(())
    }
}
