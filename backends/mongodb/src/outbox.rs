//! The [`Outbox`] of the metadata store on MongoDB, without transactions.
//!
//! A change and its events are documents of two collections, and only a write to one document is atomic. So an event is
//! added first, as *prepared*: it is not delivered. The change of the photo sets a mark with the event's id in the photo's
//! own document. Then the event becomes *pending*. Where a process ends between these steps, the mark decides: with it the
//! change has happened, and the event becomes pending; without it, and with another version of the record than the one that
//! the change needed, the change can never happen, and the event is removed.

use std::collections::HashMap;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use lucida_core::{Error, EventId, MetadataStore, Outbox, OutboxCounts, OutboxEvent, Photo, PhotoId, Result};
use mongodb::bson::{Document, Uuid, doc};
use mongodb::options::ReturnDocument;
use serde::Deserialize;

use crate::error::{failed, is_duplicate};
use crate::event::{EventState, StoredEvent, stored_event_id};
use crate::photo::{StoredPhoto, signed, stored_id};
use crate::store::MongodbMetadata;

/// The field of a photo's document whose keys are the ids of events that came with its changes.
const MARKS: &str = "events";

/// How many prepared events are looked at before what is due is read.
const PREPARED_AT_ONCE: i64 = 64;

/// What decides about a prepared event: its photo's version and marks.
#[derive(Debug, Deserialize)]
struct Marked {
    created_at: i64,
    version: i64,
    #[serde(default)]
    events: Document,
}

/// Returns the path of an event's mark in the document of its photo.
fn mark(id: &Uuid) -> String {
    format!("{MARKS}.{id}")
}

impl MongodbMetadata {
    /// Adds events unless they are stored already.
    async fn add_events(&self, events: &[OutboxEvent], state: EventState) -> Result<()> {
        for event in events {
            match self
                .layout
                .outbox
                .insert_one(StoredEvent::new(event, state)?)
                .await
            {
                Err(error) if !is_duplicate(&error) => {
                    return Err(failed("adding an event to the metadata store", &error));
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Decides about prepared events of one photo by its document.
    async fn settle_prepared(&self, photo_id: Uuid, prepared: &[StoredEvent]) -> Result<()> {
        if prepared.is_empty() {
            return Ok(());
        }
        let photo = self
            .layout
            .photos
            .clone_with_type::<Marked>()
            .find_one(doc! { "_id": photo_id })
            .projection(doc! { "created_at": 1, "version": 1, MARKS: 1 })
            .max_time(self.max_time)
            .await
            .map_err(|error| failed("reading a photo from the metadata store", &error))?;
        for event in prepared {
            let has_happened = photo
                .as_ref()
                .is_some_and(|photo| photo.events.contains_key(event.id.to_string()));
            let may_happen = photo.as_ref().is_some_and(|photo| {
                (photo.created_at, photo.version) == (event.photo_created_at, event.photo_version)
            });
            if has_happened {
                self.release(event.id, photo_id).await?;
            } else if !may_happen {
                self.layout
                    .outbox
                    .delete_one(doc! { "_id": event.id, "state": EventState::Prepared.as_str() })
                    .await
                    .map_err(|error| failed("deleting an event from the metadata store", &error))?;
            }
        }
        Ok(())
    }

    /// Makes a prepared event whose change has happened pending, and removes its mark.
    async fn release(&self, event: Uuid, photo_id: Uuid) -> Result<()> {
        let writing = |error| failed("changing an event in the metadata store", &error);
        self.layout
            .outbox
            .update_one(
                doc! { "_id": event, "state": EventState::Prepared.as_str() },
                doc! { "$set": { "state": EventState::Pending.as_str() } },
            )
            .await
            .map_err(writing)?;
        self.layout
            .photos
            .update_one(doc! { "_id": photo_id }, doc! { "$unset": { mark(&event): "" } })
            .await
            .map_err(writing)?;
        Ok(())
    }

    async fn events(&self, condition: Document, limit: i64) -> Result<Vec<StoredEvent>> {
        let reading = |error| failed("reading the outbox of the metadata store", &error);
        self.layout
            .outbox
            .find(condition)
            .sort(doc! { "due_at": 1, "_id": 1 })
            .limit(limit)
            .max_time(self.max_time)
            .await
            .map_err(reading)?
            .try_collect()
            .await
            .map_err(reading)
    }

    /// Decides about prepared events that an interrupted change has left.
    async fn settle_left_prepared(&self, subscriber: &str) -> Result<()> {
        let condition = doc! { "subscriber": subscriber, "state": EventState::Prepared.as_str() };
        let mut by_photo: HashMap<Uuid, Vec<StoredEvent>> = HashMap::new();
        for event in self.events(condition, PREPARED_AT_ONCE).await? {
            by_photo.entry(event.photo_id).or_default().push(event);
        }
        for (photo_id, prepared) in by_photo {
            self.settle_prepared(photo_id, &prepared).await?;
        }
        Ok(())
    }

    /// Returns for each photo its first event that is not dead.
    async fn first_events(&self, subscriber: &str, photos: Vec<Uuid>) -> Result<HashMap<Uuid, StoredEvent>> {
        let alive = [EventState::Prepared.as_str(), EventState::Pending.as_str()];
        let condition = doc! {
            "photo_id": { "$in": photos }, "subscriber": subscriber, "state": { "$in": alive.to_vec() }
        };
        let mut first: HashMap<Uuid, StoredEvent> = HashMap::new();
        for event in self.events(condition, 0).await? {
            match first.get(&event.photo_id) {
                Some(earlier) if earlier.order() < event.order() => {}
                Some(_) | None => _ = first.insert(event.photo_id, event),
            }
        }
        Ok(first)
    }

    /// Lets the pending events of a photo come up no sooner than the one that they wait for.
    async fn postpone(&self, subscriber: &str, photo_id: Uuid, until: i64) -> Result<()> {
        self.layout
            .outbox
            .update_many(
                doc! {
                    "photo_id": photo_id, "subscriber": subscriber, "state": EventState::Pending.as_str(),
                    "due_at": { "$lt": until }
                },
                doc! { "$set": { "due_at": until } },
            )
            .await
            .map(drop)
            .map_err(|error| failed("changing an event in the metadata store", &error))
    }
}

#[async_trait]
impl Outbox for MongodbMetadata {
    async fn update_with(&self, photo: &Photo, events: &[OutboxEvent]) -> Result<Photo> {
        self.add_events(events, EventState::Prepared).await?;
        let version = signed("version", photo.version)?;
        let next = StoredPhoto::new(photo, photo.version.saturating_add(1))?;
        let mut changes = next.changing()?;
        for event in events {
            changes.insert(mark(&stored_event_id(&event.id)), true);
        }
        let updated = self
            .layout
            .photos
            .find_one_and_update(
                doc! { "_id": stored_id(&photo.id), "version": version },
                doc! { "$set": changes },
            )
            .return_document(ReturnDocument::After)
            .max_time(self.max_time)
            .await
            .map_err(|error| failed("changing a photo in the metadata store", &error))?;
        if let Some(updated) = updated {
            for event in events {
                // What fails here, the next look into the outbox does.
                let released = self
                    .release(stored_event_id(&event.id), stored_id(&photo.id))
                    .await;
                if released.is_err() {
                    break;
                }
            }
            return updated.into_photo();
        }
        match self.get(&photo.id).await? {
            None => Err(Error::not_found(format!("photo {} not found", photo.id))),
            Some(there) => Err(Error::conflict(format!(
                "photo {} has version {} by now, not {}",
                photo.id, there.version, photo.version
            ))),
        }
    }

    async fn delete_with(&self, id: &PhotoId, events: &[OutboxEvent]) -> Result<()> {
        let photo_id = stored_id(id);
        if !events.is_empty() {
            if self.get(id).await?.is_none() {
                return Ok(());
            }
            // With the document go its marks.
            let prepared = doc! { "photo_id": photo_id, "state": EventState::Prepared.as_str() };
            let prepared = self.events(prepared, 0).await?;
            self.settle_prepared(photo_id, &prepared).await?;
            self.add_events(events, EventState::Pending).await?;
        }
        self.layout
            .photos
            .delete_one(doc! { "_id": photo_id })
            .await
            .map_err(|error| failed("deleting a photo from the metadata store", &error))?;
        Ok(())
    }

    async fn due_events(&self, subscriber: &str, now: Timestamp, limit: usize) -> Result<Vec<OutboxEvent>> {
        self.settle_left_prepared(subscriber).await?;
        let reading = |error| failed("reading the outbox of the metadata store", &error);
        let until_now = now.as_microsecond();
        let candidates = self
            .layout
            .outbox
            .find(doc! {
                "subscriber": subscriber, "state": EventState::Pending.as_str(), "due_at": { "$lte": until_now }
            })
            .sort(doc! { "due_at": 1, "_id": 1 })
            .max_time(self.max_time)
            .await
            .map_err(reading)?;
        let mut pages = candidates.chunks(limit.max(1));
        let mut due = Vec::new();
        while due.len() < limit
            && let Some(page) = pages.next().await
        {
            let page: Vec<StoredEvent> = page
                .into_iter()
                .collect::<mongodb::error::Result<_>>()
                .map_err(reading)?;
            let photos = page.iter().map(|event| event.photo_id).collect();
            let first = self.first_events(subscriber, photos).await?;
            for event in page {
                match first.get(&event.photo_id) {
                    Some(first) if first.id == event.id => due.push(event),
                    // Until that one is due, it need not come up again.
                    Some(first) if first.due_at > until_now => {
                        self.postpone(subscriber, event.photo_id, first.due_at).await?;
                    }
                    Some(_) | None => {}
                }
            }
        }
        due.into_iter().take(limit).map(StoredEvent::into_event).collect()
    }

    async fn update_event(&self, event: &OutboxEvent) -> Result<()> {
        let state = if event.dead {
            EventState::Dead
        } else {
            EventState::Pending
        };
        let due_at = event.due_at.as_microsecond();
        let updated = self
            .layout
            .outbox
            .update_one(
                doc! { "_id": stored_event_id(&event.id) },
                doc! { "$set": {
                    "state": state.as_str(), "attempts": i64::from(event.attempts), "due_at": due_at,
                    "error": event.error.clone(),
                } },
            )
            .await
            .map_err(|error| failed("changing an event in the metadata store", &error))?;
        if updated.matched_count > 0 && !event.dead {
            self.postpone(&event.subscriber, stored_id(&event.photo_id), due_at)
                .await?;
        }
        Ok(())
    }

    async fn delete_event(&self, id: &EventId) -> Result<()> {
        self.layout
            .outbox
            .delete_one(doc! { "_id": stored_event_id(id) })
            .await
            .map(drop)
            .map_err(|error| failed("deleting an event from the metadata store", &error))
    }

    async fn event(&self, id: &EventId) -> Result<Option<OutboxEvent>> {
        let known = [EventState::Pending.as_str(), EventState::Dead.as_str()];
        self.layout
            .outbox
            .find_one(doc! { "_id": stored_event_id(id), "state": { "$in": known.to_vec() } })
            .max_time(self.max_time)
            .await
            .map_err(|error| failed("reading an event from the metadata store", &error))?
            .map(StoredEvent::into_event)
            .transpose()
    }

    async fn dead_events(&self, limit: usize) -> Result<Vec<OutboxEvent>> {
        // To MongoDB 0 is no limit.
        if limit == 0 {
            return Ok(Vec::new());
        }
        let reading = |error| failed("reading the outbox of the metadata store", &error);
        let dead: Vec<StoredEvent> = self
            .layout
            .outbox
            .find(doc! { "state": EventState::Dead.as_str() })
            .sort(doc! { "created_at": 1, "_id": 1 })
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .max_time(self.max_time)
            .await
            .map_err(reading)?
            .try_collect()
            .await
            .map_err(reading)?;
        dead.into_iter().map(StoredEvent::into_event).collect()
    }

    async fn count_events(&self, subscriber: &str) -> Result<OutboxCounts> {
        let counting = |error| failed("counting events in the metadata store", &error);
        let of_state = |state: EventState| doc! { "subscriber": subscriber, "state": state.as_str() };
        let count = async |state| {
            let counted = self
                .layout
                .outbox
                .count_documents(of_state(state))
                .max_time(self.max_time)
                .await;
            counted.map_err(counting)
        };
        let oldest = self
            .layout
            .outbox
            .find_one(of_state(EventState::Pending))
            .sort(doc! { "created_at": 1 })
            .max_time(self.max_time)
            .await
            .map_err(counting)?;
        Ok(OutboxCounts {
            pending: count(EventState::Pending).await?,
            dead: count(EventState::Dead).await?,
            oldest: oldest
                .map(StoredEvent::into_event)
                .transpose()?
                .map(|event| event.created_at),
        })
    }
}
