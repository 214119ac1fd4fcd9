//! Waiting for a photo to be ready or failed, whichever process works on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use lucida_core::{Error, MetadataStore, Photo, PhotoId, PhotoState, Result};

/// How often the metadata store is asked besides the notifications, since another process may do the work.
const POLL_EVERY: Duration = Duration::from_millis(500);

/// The calls that wait for photos, and what wakes them.
#[derive(Clone)]
pub(crate) struct Settled {
    metadata: Arc<dyn MetadataStore>,
    waiters: Arc<Mutex<HashMap<PhotoId, Arc<Notify>>>>,
}

impl Settled {
    pub(crate) fn new(metadata: Arc<dyn MetadataStore>) -> Self {
        Self {
            metadata,
            waiters: Arc::default(),
        }
    }

    /// Waits until a photo is ready, failed or gone, or the time is up; returns its record.
    ///
    /// # Errors
    /// `NotFound` when it is gone; those of the metadata store.
    pub(crate) async fn wait(&self, id: &PhotoId, at_most: Duration) -> Result<Photo> {
        let deadline = Instant::now() + at_most;
        loop {
            let notify = Arc::clone(self.lock().entry(*id).or_default());
            let notified = notify.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            let photo = self.metadata.get(id).await?;
            let photo = photo.ok_or_else(|| Error::not_found(format!("photo `{id}` not found")))?;
            let now = Instant::now();
            if photo.state != PhotoState::Pending || now >= deadline {
                self.forget(id, &notify);
                return Ok(photo);
            }
            let wait = POLL_EVERY.min(deadline - now);
            // Either way the metadata store is asked again.
            let _ = tokio::time::timeout(wait, notified).await;
        }
    }

    /// Wakes the calls that wait for a photo.
    pub(crate) fn notify(&self, id: &PhotoId) {
        if let Some(notify) = self.lock().remove(id) {
            notify.notify_waiters();
        }
    }

    fn forget(&self, id: &PhotoId, notify: &Arc<Notify>) {
        let mut waiters = self.lock();
        // The map and this waiter hold one each; further ones are other waiters.
        if Arc::strong_count(notify) <= 2 {
            waiters.remove(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PhotoId, Arc<Notify>>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
