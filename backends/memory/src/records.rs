//! What the metadata store in memory holds, under one lock: photos, named records, and the outbox.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use lucida_core::{
    ContentHash, Error, EventId, OutboxEvent, Photo, PhotoId, Record, Result, UserId, cut_local,
};

/// What a metadata store holds.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) photos: BTreeMap<PhotoId, Photo>,
    pub(crate) by_content: HashMap<(UserId, ContentHash), PhotoId>,
    pub(crate) named: BTreeMap<String, Record>,
    pub(crate) events: Events,
}

impl Records {
    /// Replaces a record of the same version.
    pub(crate) fn update(&mut self, photo: &Photo) -> Result<Photo> {
        let Some(there) = self.photos.get_mut(&photo.id) else {
            return Err(Error::not_found(format!("photo {} not found", photo.id)));
        };
        if there.version != photo.version {
            return Err(Error::conflict(format!(
                "photo {} has version {} by now, not {}",
                photo.id, there.version, photo.version
            )));
        }
        let mut new = kept(photo.clone());
        new.user_id = there.user_id.clone();
        new.hash = there.hash;
        new.created_at = there.created_at;
        new.version += 1;
        *there = new.clone();
        Ok(new)
    }

    /// Deletes a record, and returns whether it existed.
    pub(crate) fn delete(&mut self, id: &PhotoId) -> bool {
        let Some(gone) = self.photos.remove(id) else {
            return false;
        };
        self.by_content.remove(&(gone.user_id, gone.hash));
        true
    }
}

/// The events, by id.
#[derive(Debug, Default)]
pub(crate) struct Events(pub(crate) HashMap<EventId, OutboxEvent>);

impl Events {
    /// Adds events unless they are stored already.
    pub(crate) fn add(&mut self, events: &[OutboxEvent]) {
        for event in events {
            self.0
                .entry(event.id)
                .or_insert_with(|| kept_event(event.clone()));
        }
    }

    /// Returns a subscriber's events.
    pub(crate) fn of<'a>(&'a self, subscriber: &'a str) -> impl Iterator<Item = &'a OutboxEvent> {
        self.0
            .values()
            .filter(move |event| event.subscriber == subscriber)
    }
}

fn kept_event(mut event: OutboxEvent) -> OutboxEvent {
    event.created_at = cut(event.created_at);
    event.due_at = cut(event.due_at);
    event
}

/// Cuts a time to microseconds, so that nothing comes to rely on more than every store keeps.
pub(crate) fn cut(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// Cuts a photo's times.
pub(crate) fn kept(mut photo: Photo) -> Photo {
    photo.created_at = cut(photo.created_at);
    photo.updated_at = cut(photo.updated_at);
    photo.taken_at = photo.taken_at.map(cut);
    photo.taken_at_local = photo.taken_at_local.map(cut_local);
    photo.next_attempt_at = photo.next_attempt_at.map(cut);
    photo
}
