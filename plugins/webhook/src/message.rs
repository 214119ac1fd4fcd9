//! The body of a call.

use jiff::Timestamp;
use lucida_api::PhotoBody;
use lucida_core::{Error, EventKind, OutboxEvent, Result};
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
struct Message {
    /// The event's id: the same in each call about it.
    id: String,
    /// `photo.ready`, `photo.failed` or `photo.deleted`.
    #[serde(rename = "type")]
    kind: String,
    /// When it happened.
    created_at: Timestamp,
    /// Whose photo it is.
    user: String,
    /// The photo as it was then, in the form of the API.
    photo: Value,
}

/// Writes the body of the call about an event.
///
/// # Errors
/// `InvalidInput` where another version of Lucida has written the event in a form that this one can't read.
pub(crate) fn body_of(event: &OutboxEvent) -> Result<Vec<u8>> {
    let unwritable = |error| Error::invalid("the event can't be written as JSON").with_source(error);
    let photo = event.photo()?;
    let user = photo.user_id.to_string();
    let mut photo = serde_json::to_value(PhotoBody::from(photo)).map_err(unwritable)?;
    if event.kind == EventKind::Deleted {
        // A state that the API never shows.
        photo["state"] = event.kind.as_str().into();
    }
    let message = Message {
        id: event.id.to_string(),
        kind: format!("photo.{}", event.kind),
        created_at: event.created_at,
        user,
        photo,
    };
    serde_json::to_vec(&message).map_err(unwritable)
}
