//! What goes over the wire: the shapes of requests and answers that several calls share.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::DateTime;
use lucida_api::json::or_default;
use lucida_core::{IndexFilter, Photo, PhotoError, Result, TakenAt, clean_tags};
use lucida_library::{PhotoEdit, TagEdit, TakenAtEdit};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::filter_time::{FilterTime, TakenRange};
use super::query::invalid;

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
pub(super) struct PhotoBody {
    /// The id, a UUIDv7: ids sort by the time of upload.
    id: String,
    /// Whose photo it is.
    user_id: String,
    /// How far it has come: `pending`, `ready` or `failed`.
    state: &'static str,
    /// The name it was uploaded under.
    filename: Option<String>,
    /// The media type, told from the bytes.
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
pub(super) struct PhotoErrorBody {
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

/// What an uploader says about a photo: the part `metadata` of the form.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "tags": ["holiday"], "taken_at": "2024-08-17T18:04:05+02:00" }))]
pub(super) struct UploadMetadata {
    /// Tags, stored as Unicode NFC without white space around them.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) tags: Vec<String>,
    /// When it was taken; goes before what the file says. An offset other than `Z` gives `taken_at_local`, too.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) taken_at: Option<TakenAt>,
}

/// What to change on a photo. A field that is missing or null changes nothing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "add_tags": ["holiday"], "taken_at": "2024-08-17T18:04:05+02:00" }))]
pub(super) struct PhotoChanges {
    /// The tags from now on. Not together with `add_tags` and `remove_tags`.
    #[serde(default)]
    tags: Option<Vec<String>>,
    /// Tags that it gets.
    #[serde(default)]
    add_tags: Option<Vec<String>>,
    /// Tags that it loses.
    #[serde(default)]
    remove_tags: Option<Vec<String>>,
    /// When it was taken. An offset other than `Z` gives `taken_at_local`, too.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    taken_at: Option<TakenAt>,
    /// Whether the time that it was taken at is forgotten. Not together with `taken_at`.
    #[serde(default)]
    clear_taken_at: Option<bool>,
}

impl PhotoChanges {
    /// Makes the edit of it.
    pub(super) fn into_edit(self) -> Result<PhotoEdit> {
        let together = |field: &str, other: &str| {
            invalid(field, format!("`{field}` and `{other}` can't be given together"))
        };
        let tags = match (self.tags, self.add_tags, self.remove_tags) {
            (Some(tags), None, None) => TagEdit::Replace(clean_tags("tags", tags)?),
            (Some(_), Some(_), _) => return Err(together("add_tags", "tags")),
            (Some(_), None, Some(_)) => return Err(together("remove_tags", "tags")),
            (None, add, remove) => TagEdit::Change {
                add: clean_tags("add_tags", add.unwrap_or_default())?,
                remove: clean_tags("remove_tags", remove.unwrap_or_default())?,
            },
        };
        let taken_at = match (self.taken_at, self.clear_taken_at.unwrap_or(false)) {
            (Some(_), true) => return Err(together("clear_taken_at", "taken_at")),
            (Some(time), false) => TakenAtEdit::Set(time),
            (None, true) => TakenAtEdit::Clear,
            (None, false) => TakenAtEdit::Keep,
        };
        Ok(PhotoEdit { tags, taken_at })
    }
}

/// Which photos a search may find; every condition that is set must hold.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchFilter {
    /// Only photos taken on or after this day (`2024-06-01`), or at or after this time.
    ///
    /// A day, and a time without an offset, goes by the clock where a photo was taken; by UTC where the photo's offset is
    /// unknown. A time with an offset or `Z` is a moment.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "2024-06-01")]
    pub(super) taken_from: Option<FilterTime>,
    /// Only photos taken on or before this day, or before this time; written as `taken_from` is.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "2024-06-30")]
    pub(super) taken_to: Option<FilterTime>,
    /// Only photos with all of these tags.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) tags: Vec<String>,
}

impl SearchFilter {
    /// Makes the index's filter of it; the pipeline adds the user.
    pub(super) fn into_index_filter(self) -> Result<IndexFilter> {
        let range = TakenRange::new("filter.", self.taken_from, self.taken_to)?;
        Ok(IndexFilter {
            taken_from: range.taken_from,
            taken_to: range.taken_to,
            local_from: range.local_from,
            local_to: range.local_to,
            tags: clean_tags("filter.tags", self.tags)?.into_iter().collect(),
            ..IndexFilter::default()
        })
    }
}
