//! The outbox of a metadata store: events that are stored together with the change they are about, until they are delivered.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::backoff::Backoff;
use crate::error::{Error, Result};
use crate::id::PhotoId;
use crate::photo::Photo;

/// What happened to a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It is embedded, and searches find it.
    Ready,
    /// It was given up.
    Failed,
    /// It was deleted.
    Deleted,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Failed, Self::Deleted];

    /// Returns the name that users and stores see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EventKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| Error::invalid(format!("`{text}` is not a kind of event")))
    }
}

/// The id of an event for one subscriber: the same for the same event, also where a process records it twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// Derives the id of an event from what it is about.
    fn derive(subscriber: &str, kind: EventKind, photo: &Photo) -> Self {
        let Revision { created_at, version } = photo.revision();
        // A photo is deleted once, whichever version of its record a process has read.
        let version = if kind == EventKind::Deleted { 0 } else { version };
        let mut hasher = blake3::Hasher::new();
        for part in [
            subscriber.as_bytes(),
            kind.as_str().as_bytes(),
            photo.id.as_uuid().as_bytes(),
            &created_at.as_microsecond().to_be_bytes(),
            &version.to_be_bytes(),
        ] {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Wraps a UUID, for stores that return them.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Returns the UUID.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for EventId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Uuid::try_parse(text)
            .map(Self)
            .map_err(|error| Error::invalid(format!("`{text}` is not the id of an event")).with_source(error))
    }
}

/// Which state of a photo's record an event follows; of one photo the later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision {
    /// When the photo was uploaded: an id that is used again belongs to a later upload.
    pub created_at: Timestamp,
    /// The version of the record before the change.
    pub version: u64,
}

impl Photo {
    /// Returns which state of the record this is.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        Revision {
            created_at: self.created_at,
            version: self.version,
        }
    }
}

/// An event in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEvent {
    /// Its id.
    pub id: EventId,
    /// The name of the plugin that it is for.
    pub subscriber: String,
    /// The photo.
    pub photo_id: PhotoId,
    /// Its place among the events of the photo.
    pub revision: Revision,
    /// What happened.
    pub kind: EventKind,
    /// When it happened.
    pub created_at: Timestamp,
    /// The photo's record after the change, as JSON; see [`OutboxEvent::photo`].
    pub payload: Value,
    /// How many deliveries have failed so far.
    pub attempts: u32,
    /// When the next delivery is due.
    pub due_at: Timestamp,
    /// Whether it was given up; it is delivered again only once this is reset.
    pub dead: bool,
    /// Why the last delivery failed.
    pub error: Option<String>,
}

impl OutboxEvent {
    /// Creates an event about a photo, whose record has the version before the change and otherwise what it has after it;
    /// due at once.
    ///
    /// # Errors
    /// `Internal` when the record can't be written as JSON.
    pub fn new(subscriber: &str, kind: EventKind, photo: &Photo, now: Timestamp) -> Result<Self> {
        let mut after = photo.clone();
        if kind != EventKind::Deleted {
            after.version = after.version.saturating_add(1);
        }
        let payload = serde_json::to_value(after)
            .map_err(|error| Error::internal("a photo can't be written as JSON").with_source(error))?;
        Ok(Self {
            id: EventId::derive(subscriber, kind, photo),
            subscriber: subscriber.to_owned(),
            photo_id: photo.id,
            revision: photo.revision(),
            kind,
            created_at: now,
            payload,
            attempts: 0,
            due_at: now,
            dead: false,
            error: None,
        })
    }

    /// Reads the photo's record after the change.
    ///
    /// # Errors
    /// `InvalidInput` where another version of Lucida has written it in a form that this one can't read.
    pub fn photo(&self) -> Result<Photo> {
        Photo::deserialize(&self.payload).map_err(|error| {
            Error::invalid("another version of Lucida has written the event").with_source(error)
        })
    }
}

/// How many events of a subscriber there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Events waiting for their delivery.
    pub pending: u64,
    /// Events given up.
    pub dead: u64,
    /// When the oldest waiting event happened.
    pub oldest: Option<Timestamp>,
}

/// Which events a plugin takes from the outbox, and how often they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The kinds of events.
    pub kinds: Vec<EventKind>,
    /// After how many failed deliveries an event is given up; at least 1.
    pub max_attempts: u32,
    /// The waits between deliveries.
    pub backoff: Backoff,
}

/// The outbox of a metadata store.
///
/// A change and its events are stored together: whatever ends a process, both are there afterwards or neither. Of each
/// photo, a subscriber's events are delivered one after the other, in the order of their [`Revision`]s. Which process
/// delivers is not the store's business. Times are kept to the microsecond.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Replaces a record as [`MetadataStore::update`](crate::MetadataStore::update) does, and adds events about it.
    ///
    /// The events are new ones, whose revision is that of `photo`. An event whose id is stored already is not added again.
    ///
    /// # Errors
    /// Those of `update`, with no event added.
    async fn update_with(&self, photo: &Photo, events: &[OutboxEvent]) -> Result<Photo>;

    /// Deletes a record as [`MetadataStore::delete`](crate::MetadataStore::delete) does, and adds events about it unless it
    /// was absent.
    ///
    /// A store that can't do both at once may add the events before: only a record in state `deleting` is deleted with
    /// events, and that state is final.
    ///
    /// # Errors
    /// `Unavailable` by the store.
    async fn delete_with(&self, id: &PhotoId, events: &[OutboxEvent]) -> Result<()>;

    /// Returns a subscriber's events that are due at `now`, at most `limit`, those due longest first.
    ///
    /// Of each photo that is its first event that is not dead, if it is due; the later ones wait for it.
    ///
    /// # Errors
    /// `Unavailable` by the store.
    async fn due_events(&self, subscriber: &str, now: Timestamp, limit: usize) -> Result<Vec<OutboxEvent>>;

    /// Stores `attempts`, `due_at`, `dead` and `error` of an event; an absent one stays absent.
    ///
    /// # Errors
    /// `Unavailable` by the store.
    async fn update_event(&self, event: &OutboxEvent) -> Result<()>;

    /// Deletes an event; an absent one is fine.
    ///
    /// # Errors
    /// `Unavailable` by the store.
    async fn delete_event(&self, id: &EventId) -> Result<()>;

    /// Returns an event; `None` if it does not exist.
    ///
    /// # Errors
    /// `Unavailable` by the store.
    async fn event(&self, id: &EventId) -> Result<Option<OutboxEvent>>;

    /// Returns dead events of all subscribers, those that happened first first, at most `limit`.
    ///
    /// # Errors
    /// `Unavailable` by the store.
    async fn dead_events(&self, limit: usize) -> Result<Vec<OutboxEvent>>;

    /// Counts a subscriber's events.
    ///
    /// # Errors
    /// `Unavailable` by the store.
    async fn count_events(&self, subscriber: &str) -> Result<OutboxCounts>;
}
