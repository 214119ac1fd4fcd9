//! Events that plugins take from the outbox: stored together with the changes of photos that they are about.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Notify;

use lucida_core::{EventKind, MetadataStore, OutboxCounts, OutboxEvent, Photo, PhotoState, Plugin, Result};

/// A plugin that takes events.
struct Subscriber {
    name: String,
    kinds: Vec<EventKind>,
}

/// Changes records, and stores the events about these changes for the plugins that take them.
#[derive(Clone)]
pub(crate) struct Events {
    metadata: Arc<dyn MetadataStore>,
    subscribers: Arc<[Subscriber]>,
    added: Arc<Notify>,
}

impl Events {
    pub(crate) fn new(metadata: Arc<dyn MetadataStore>, plugins: &[Arc<dyn Plugin>]) -> Self {
        let subscribers = plugins.iter().filter_map(|plugin| {
            let subscription = plugin.subscription()?;
            Some(Subscriber {
                name: plugin.name().to_owned(),
                kinds: subscription.kinds,
            })
        });
        Self {
            metadata,
            subscribers: subscribers.collect(),
            added: Arc::default(),
        }
    }

    /// Replaces a record whose state was `before`.
    ///
    /// # Errors
    /// Those of [`MetadataStore::update`].
    pub(crate) async fn update(&self, before: PhotoState, photo: &Photo) -> Result<Photo> {
        let kind = match photo.state {
            state if state == before => None,
            PhotoState::Ready => Some(EventKind::Ready),
            PhotoState::Failed => Some(EventKind::Failed),
            // Only once nothing is left of it.
            PhotoState::Deleting | PhotoState::Pending => None,
        };
        let events = self.about(kind, photo)?;
        let updated = self.metadata.update_with(photo, &events).await?;
        self.announce(&events);
        Ok(updated)
    }

    /// Deletes the record of a photo that is being deleted.
    ///
    /// # Errors
    /// Those of [`MetadataStore::delete`].
    pub(crate) async fn delete(&self, photo: &Photo) -> Result<()> {
        let events = self.about(Some(EventKind::Deleted), photo)?;
        self.metadata.delete_with(&photo.id, &events).await?;
        self.announce(&events);
        Ok(())
    }

    /// Waits for the next event that this process stores.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }

    /// Counts the events of each plugin that takes any.
    ///
    /// # Errors
    /// Those of the metadata store.
    pub(crate) async fn counts(&self) -> Result<Vec<(&str, OutboxCounts)>> {
        let mut counts = Vec::with_capacity(self.subscribers.len());
        for subscriber in &*self.subscribers {
            counts.push((
                &*subscriber.name,
                self.metadata.count_events(&subscriber.name).await?,
            ));
        }
        Ok(counts)
    }

    fn about(&self, kind: Option<EventKind>, photo: &Photo) -> Result<Vec<OutboxEvent>> {
        let Some(kind) = kind else {
            return Ok(Vec::new());
        };
        let now = Timestamp::now();
        self.subscribers
            .iter()
            .filter(|subscriber| subscriber.kinds.contains(&kind))
            .map(|subscriber| OutboxEvent::new(&subscriber.name, kind, photo, now))
            .collect()
    }

    fn announce(&self, events: &[OutboxEvent]) {
        if !events.is_empty() {
            self.added.notify_waiters();
        }
    }
}
