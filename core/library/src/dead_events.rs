//! Events of the outbox that were given up: listed, delivered again, or discarded by an operator.

use std::sync::Arc;

use jiff::Timestamp;

use lucida_core::{Error, EventId, MetadataStore, OutboxEvent, Result};

/// How many events are changed before the next ones are read.
const PAGE: usize = 100;

/// The dead events of a metadata store.
pub struct DeadEvents {
    metadata: Arc<dyn MetadataStore>,
}

impl DeadEvents {
    /// Looks into a metadata store.
    #[must_use]
    pub fn new(metadata: Arc<dyn MetadataStore>) -> Self {
        Self { metadata }
    }

    /// Lists them, those that happened first first, at most `limit`.
    ///
    /// # Errors
    /// Those of the metadata store.
    pub async fn list(&self, limit: usize) -> Result<Vec<OutboxEvent>> {
        self.metadata.dead_events(limit).await
    }

    /// Has one delivered again, with all of its attempts.
    ///
    /// # Errors
    /// `NotFound` where it is not dead; those of the metadata store.
    pub async fn retry(&self, id: &EventId) -> Result<()> {
        let event = self.dead(id).await?;
        self.revive(event).await
    }

    /// Has all of them delivered again, and returns how many there were.
    ///
    /// # Errors
    /// Those of the metadata store.
    pub async fn retry_all(&self) -> Result<u64> {
        let mut retried = 0;
        loop {
            let page = self.list(PAGE).await?;
            if page.is_empty() {
                return Ok(retried);
            }
            for event in page {
                self.revive(event).await?;
                retried += 1;
            }
        }
    }

    /// Deletes one.
    ///
    /// # Errors
    /// `NotFound` where it is not dead; those of the metadata store.
    pub async fn discard(&self, id: &EventId) -> Result<()> {
        let event = self.dead(id).await?;
        self.metadata.delete_event(&event.id).await
    }

    /// Deletes all of them, and returns how many there were.
    ///
    /// # Errors
    /// Those of the metadata store.
    pub async fn discard_all(&self) -> Result<u64> {
        let mut discarded = 0;
        loop {
            let page = self.list(PAGE).await?;
            if page.is_empty() {
                return Ok(discarded);
            }
            for event in page {
                self.metadata.delete_event(&event.id).await?;
                discarded += 1;
            }
        }
    }

    async fn dead(&self, id: &EventId) -> Result<OutboxEvent> {
        let found = self.metadata.event(id).await?;
        found
            .filter(|event| event.dead)
            .ok_or_else(|| Error::not_found(format!("event `{id}` is not among the dead ones")))
    }

    async fn revive(&self, event: OutboxEvent) -> Result<()> {
        let again = OutboxEvent {
            attempts: 0,
            due_at: Timestamp::now(),
            dead: false,
            ..event
        };
        self.metadata.update_event(&again).await
    }
}
