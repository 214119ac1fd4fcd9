//! What goes over the wire: the shapes of requests and answers that several calls share.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use lucida_core::{Error, IndexFilter, Photo, PhotoError, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::query::invalid;

/// How many tags a photo may be given, and a filter may ask for.
const MAX_TAGS: usize = 64;
/// How long a tag may be, in bytes.
const MAX_TAG_BYTES: usize = 200;

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
    /// Tags: at most 64, each of 1 to 200 bytes.
    #[serde(default)]
    pub(super) tags: Vec<String>,
    /// When it was taken; goes before what the file says.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) taken_at: Option<Timestamp>,
}

/// Which photos a search may find; every condition that is set must hold.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchFilter {
    /// Only photos taken at or after this time.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) taken_from: Option<Timestamp>,
    /// Only photos taken before this time.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) taken_to: Option<Timestamp>,
    /// Only photos with all of these tags.
    #[serde(default)]
    pub(super) tags: Vec<String>,
}

impl SearchFilter {
    /// Makes the index's filter of it; the pipeline adds the user.
    pub(super) fn into_index_filter(self) -> Result<IndexFilter> {
        check_times("filter.", self.taken_from, self.taken_to)?;
        Ok(IndexFilter {
            user_id: None,
            taken_from: self.taken_from,
            taken_to: self.taken_to,
            tags: checked_tags("filter.tags", self.tags)?.into_iter().collect(),
            exclude: Vec::new(),
        })
    }
}

/// Refuses a stretch of time that ends before it begins.
pub(super) fn check_times(prefix: &str, from: Option<Timestamp>, to: Option<Timestamp>) -> Result<()> {
    match (from, to) {
        (Some(from), Some(to)) if from >= to => {
            let message = format!("`{prefix}taken_to` ({to}) must be after `{prefix}taken_from` ({from})");
            Err(invalid(&format!("{prefix}taken_to"), message))
        }
        (None | Some(_), None | Some(_)) => Ok(()),
    }
}

/// Checks tags, and takes each once.
pub(crate) fn checked_tags(field: &str, tags: Vec<String>) -> Result<BTreeSet<String>> {
    let refuse = |what: String| -> Result<BTreeSet<String>, Error> { Err(invalid(field, what)) };
    let tags: BTreeSet<String> = tags.into_iter().map(|tag| tag.trim().to_owned()).collect();
    if tags.len() > MAX_TAGS {
        return refuse(format!(
            "`{field}` has {} tags; at most {MAX_TAGS} are taken",
            tags.len()
        ));
    }
    for tag in &tags {
        if tag.is_empty() || tag.len() > MAX_TAG_BYTES || tag.chars().any(char::is_control) {
            return refuse(format!(
                "`{field}`: a tag must have 1 to {MAX_TAG_BYTES} bytes and no control characters"
            ));
        }
    }
    Ok(tags)
}
