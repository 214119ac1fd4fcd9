//! The outbox of the metadata store in memory.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;

use lucida_core::{EventId, Outbox, OutboxCounts, OutboxEvent, Photo, PhotoId, Result, Revision};

use crate::metadata::MemoryMetadata;
use crate::records::cut;

#[async_trait]
impl Outbox for MemoryMetadata {
    async fn update_with(&self, photo: &Photo, events: &[OutboxEvent]) -> Result<Photo> {
        let mut records = self.lock();
        let updated = records.update(photo)?;
        records.events.add(events);
        Ok(updated)
    }

    async fn delete_with(&self, id: &PhotoId, events: &[OutboxEvent]) -> Result<()> {
        let mut records = self.lock();
        if records.delete(id) {
            records.events.add(events);
        }
        Ok(())
    }

    async fn due_events(&self, subscriber: &str, now: Timestamp, limit: usize) -> Result<Vec<OutboxEvent>> {
        let records = self.lock();
        let mut first: HashMap<PhotoId, &OutboxEvent> = HashMap::new();
        for event in records.events.of(subscriber).filter(|event| !event.dead) {
            let order = |event: &OutboxEvent| -> (Revision, EventId) { (event.revision, event.id) };
            let earliest = first.entry(event.photo_id).or_insert(event);
            if order(event) < order(earliest) {
                *earliest = event;
            }
        }
        let mut due: Vec<_> = first.into_values().filter(|event| event.due_at <= now).collect();
        due.sort_unstable_by_key(|event| (event.due_at, event.id));
        Ok(due.into_iter().take(limit).cloned().collect())
    }

    async fn update_event(&self, event: &OutboxEvent) -> Result<()> {
        if let Some(stored) = self.lock().events.0.get_mut(&event.id) {
            stored.attempts = event.attempts;
            stored.due_at = cut(event.due_at);
            stored.dead = event.dead;
            stored.error.clone_from(&event.error);
        }
        Ok(())
    }

    async fn delete_event(&self, id: &EventId) -> Result<()> {
        self.lock().events.0.remove(id);
        Ok(())
    }

    async fn event(&self, id: &EventId) -> Result<Option<OutboxEvent>> {
        Ok(self.lock().events.0.get(id).cloned())
    }

    async fn dead_events(&self, limit: usize) -> Result<Vec<OutboxEvent>> {
        let records = self.lock();
        let mut dead: Vec<_> = records.events.0.values().filter(|event| event.dead).collect();
        dead.sort_unstable_by_key(|event| (event.created_at, event.id));
        Ok(dead.into_iter().take(limit).cloned().collect())
    }

    async fn count_events(&self, subscriber: &str) -> Result<OutboxCounts> {
        let mut counts = OutboxCounts::default();
        for event in self.lock().events.of(subscriber) {
            if event.dead {
                counts.dead += 1;
            } else {
                counts.pending += 1;
                counts.oldest = Some(
                    counts
                        .oldest
                        .map_or(event.created_at, |oldest| oldest.min(event.created_at)),
                );
            }
        }
        Ok(counts)
    }
}
