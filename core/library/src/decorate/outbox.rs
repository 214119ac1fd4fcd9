//! The guard around the outbox of a metadata store.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Guarded;
use lucida_core::{EventId, MetadataStore, Outbox, OutboxCounts, OutboxEvent, Photo, PhotoId, Result};

#[async_trait]
impl Outbox for Guarded<dyn MetadataStore> {
    async fn update_with(&self, photo: &Photo, events: &[OutboxEvent]) -> Result<Photo> {
        self.guard
            .call("update_with", || self.inner.update_with(photo, events))
            .await
    }

    async fn delete_with(&self, id: &PhotoId, events: &[OutboxEvent]) -> Result<()> {
        self.guard
            .call("delete_with", || self.inner.delete_with(id, events))
            .await
    }

    async fn due_events(&self, subscriber: &str, now: Timestamp, limit: usize) -> Result<Vec<OutboxEvent>> {
        self.guard
            .call("due_events", || self.inner.due_events(subscriber, now, limit))
            .await
    }

    async fn update_event(&self, event: &OutboxEvent) -> Result<()> {
        self.guard
            .call("update_event", || self.inner.update_event(event))
            .await
    }

    async fn delete_event(&self, id: &EventId) -> Result<()> {
        self.guard
            .call("delete_event", || self.inner.delete_event(id))
            .await
    }

    async fn event(&self, id: &EventId) -> Result<Option<OutboxEvent>> {
        self.guard.call("event", || self.inner.event(id)).await
    }

    async fn dead_events(&self, limit: usize) -> Result<Vec<OutboxEvent>> {
        self.guard
            .call("dead_events", || self.inner.dead_events(limit))
            .await
    }

    async fn count_events(&self, subscriber: &str) -> Result<OutboxCounts> {
        self.guard
            .call("count_events", || self.inner.count_events(subscriber))
            .await
    }
}
