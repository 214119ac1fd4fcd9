//! An event of the outbox as a document, and back.

use jiff::Timestamp;
use lucida_core::{Error, EventId, EventKind, OutboxEvent, Result, Revision};
use mongodb::bson::Uuid;
use serde::{Deserialize, Serialize};

use crate::photo::{read_id, signed, stored_id, unsigned};

/// How far a stored event has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventState {
    /// Its change may have happened or not.
    Prepared,
    /// It waits for its delivery.
    Pending,
    /// It was given up.
    Dead,
}

impl EventState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Pending => "pending",
            Self::Dead => "dead",
        }
    }
}

/// An event's document. Times are microseconds since 1970.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredEvent {
    #[serde(rename = "_id")]
    pub(crate) id: Uuid,
    state: EventState,
    subscriber: String,
    pub(crate) photo_id: Uuid,
    pub(crate) photo_created_at: i64,
    pub(crate) photo_version: i64,
    kind: EventKind,
    created_at: i64,
    /// JSON as text: a store reads nothing of it.
    payload: String,
    attempts: i64,
    pub(crate) due_at: i64,
    error: Option<String>,
}

impl StoredEvent {
    pub(crate) fn new(event: &OutboxEvent, state: EventState) -> Result<Self> {
        Ok(Self {
            id: stored_event_id(&event.id),
            state,
            subscriber: event.subscriber.clone(),
            photo_id: stored_id(&event.photo_id),
            photo_created_at: event.revision.created_at.as_microsecond(),
            photo_version: signed("version", event.revision.version)?,
            kind: event.kind,
            created_at: event.created_at.as_microsecond(),
            payload: event.payload.to_string(),
            attempts: event.attempts.into(),
            due_at: event.due_at.as_microsecond(),
            error: event.error.clone(),
        })
    }

    pub(crate) fn into_event(self) -> Result<OutboxEvent> {
        let id = EventId::from_uuid(uuid::Uuid::from_bytes(self.id.bytes()));
        let spoilt =
            |field: &'static str| Error::internal(format!("the field `{field}` of event {id} can't be read"));
        let time = |field, microseconds| {
            Timestamp::from_microsecond(microseconds).map_err(|error| spoilt(field).with_source(error))
        };
        Ok(OutboxEvent {
            id,
            subscriber: self.subscriber,
            photo_id: read_id(&self.photo_id),
            revision: Revision {
                created_at: time("photo_created_at", self.photo_created_at)?,
                version: unsigned(self.photo_version)?,
            },
            kind: self.kind,
            created_at: time("created_at", self.created_at)?,
            payload: serde_json::from_str(&self.payload)
                .map_err(|error| spoilt("payload").with_source(error))?,
            attempts: u32::try_from(self.attempts).map_err(|error| spoilt("attempts").with_source(error))?,
            due_at: time("due_at", self.due_at)?,
            dead: self.state == EventState::Dead,
            error: self.error,
        })
    }

    /// Returns its place among the events of its photo.
    pub(crate) fn order(&self) -> (i64, i64, [u8; 16]) {
        (self.photo_created_at, self.photo_version, self.id.bytes())
    }
}

/// Returns an event's id as it is stored.
pub(crate) fn stored_event_id(id: &EventId) -> Uuid {
    Uuid::from_bytes(*id.as_uuid().as_bytes())
}
