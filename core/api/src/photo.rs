//! A photo as every API of the server shows it: without what only the server needs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::DateTime;
use lucida_core::{Photo, PhotoError};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A photo.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "01939c2e-5f0a-7c31-9b1d-2f6a7d1c8e40",
    "user_id": "local",
    "state": "ready",
    "filename": "beach.jpg",
    "content_type": "image/jpeg",
    "size_bytes": 482_113,
    "width": 1600,
    "height": 1200,
    "hash": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    "created_at": "2024-12-06T10:15:30.123456Z",
    "taken_at": "2024-08-17T16:04:05Z",
    "taken_at_local": "2024-08-17T18:04:05",
    "tags": ["holiday"],
    "attributes": { "exif": { "camera_model": "X100V" } },
    "attempts": 0,
    "error": null,
    "next_attempt_at": null
}))]
pub struct PhotoBody {
    /// The id, a UUIDv7: ids sort by the time of upload.
    id: String,
    /// Whose photo it is.
    user_id: String,
    /// How far it has come: `pending`, `ready` or `failed`.
    state: &'static str,
    /// The name it was uploaded under.
    filename: Option<String>,
    /// The media type, recognised by the bytes.
    content_type: String,
    /// The size of the original in bytes.
    size_bytes: u64,
    /// The width in pixels as seen, after EXIF orientation.
    width: u32,
    /// The height in pixels as seen, after EXIF orientation.
    height: u32,
    /// The BLAKE3 hash of the original's bytes.
    hash: String,
    /// When it was uploaded.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was taken, where that is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    taken_at: Option<Timestamp>,
    /// What the clock showed where it was taken, where the file or the user says so: the day that people remember. Filters
    /// by day go by it.
    #[schema(value_type = Option<String>, example = "2024-08-17T18:04:05")]
    taken_at_local: Option<DateTime>,
    /// Tags of the user and of plugins.
    tags: BTreeSet<String>,
    /// What plugins found out, by plugin name.
    #[schema(value_type = Object)]
    attributes: BTreeMap<String, Value>,
    /// How many tries to embed it have failed.
    attempts: u32,
    /// Why the last try failed.
    error: Option<PhotoErrorBody>,
    /// When the next try is due, after a failed one.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
}

/// Why the last try on a photo failed.
#[derive(Debug, Serialize, ToSchema)]
struct PhotoErrorBody {
    /// The reason for programs, such as `truncated_image`.
    code: String,
    /// The reason for people.
    message: String,
}

impl From<PhotoError> for PhotoErrorBody {
    fn from(error: PhotoError) -> Self {
        Self {
            code: error.code,
            message: error.message,
        }
    }
}

impl From<Photo> for PhotoBody {
    fn from(photo: Photo) -> Self {
        Self {
            id: photo.id.to_string(),
            user_id: photo.user_id.to_string(),
            state: photo.state.as_str(),
            filename: photo.filename,
            content_type: photo.content_type,
            size_bytes: photo.size_bytes,
            width: photo.width,
            height: photo.height,
            hash: photo.hash.to_string(),
            created_at: photo.created_at,
            taken_at: photo.taken_at,
            taken_at_local: photo.taken_at_local,
            tags: photo.tags,
            attributes: photo.attributes,
            attempts: photo.attempts,
            error: photo.error.map(PhotoErrorBody::from),
            next_attempt_at: photo.next_attempt_at,
        }
    }
}
