//! A photo as the metadata store knows it: whose it is, what it is, and how far it has come.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::id::{ContentHash, Fingerprint, PhotoId, UserId};
use crate::storage::BlobKey;
use crate::taken::{TakenAt, local_time};

/// How far a photo has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhotoState {
    /// Stored and recorded, not yet embedded.
    Pending,
    /// Embedded and found by searches.
    Ready,
    /// Given up: `error` says why; the retry call tries again.
    Failed,
    /// On its way out; no longer shown to anybody.
    Deleting,
}

impl PhotoState {
    /// Every state, in the order of a photo's life.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Ready, Self::Failed, Self::Deleting];

    /// Returns the name that users and metrics see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
        }
    }
}

impl fmt::Display for PhotoState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for PhotoState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| {
                Error::invalid(format!(
                    "state `{text}` is unknown: use pending, ready, failed or deleting"
                ))
                .with_field("state")
            })
    }
}

/// Why the last try on a photo failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhotoError {
    /// The machine-readable reason, such as `truncated_image` or `unavailable`.
    pub code: String,
    /// The sentence for people.
    pub message: String,
    /// How many of the tries failed for what may be the photo's own fault; faults of components don't count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub own_faults: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl From<&Error> for PhotoError {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code().to_owned(),
            message: error.to_string(),
            own_faults: 0,
        }
    }
}

/// A photo's record in the metadata store, the truth about its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Photo {
    /// The photo's id.
    pub id: PhotoId,
    /// Whose photo it is.
    pub user_id: UserId,
    /// How far it has come.
    pub state: PhotoState,
    /// The name it was uploaded under, for people only.
    pub filename: Option<String>,
    /// The media type, detected from the bytes.
    pub content_type: String,
    /// The size of the original in bytes.
    pub size_bytes: u64,
    /// The width in pixels as seen, after EXIF orientation.
    pub width: u32,
    /// The height in pixels as seen, after EXIF orientation.
    pub height: u32,
    /// The hash of the original's bytes; unique per user.
    pub hash: ContentHash,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// When the record last changed.
    pub updated_at: Timestamp,
    /// When it was taken, where that is known.
    pub taken_at: Option<Timestamp>,
    /// What the clock showed where it was taken; `None` where the offset from UTC is unknown, or `taken_at` is.
    pub taken_at_local: Option<DateTime>,
    /// Tags of the user and of plugins.
    pub tags: BTreeSet<String>,
    /// What plugins found out, by plugin name.
    pub attributes: BTreeMap<String, Value>,
    /// The model's fingerprint whose collection holds the vector; set when `ready`.
    pub fingerprint: Option<Fingerprint>,
    /// How many tries have failed so far.
    pub attempts: u32,
    /// Why the last try failed.
    pub error: Option<PhotoError>,
    /// When the next try is due, after a failed one.
    pub next_attempt_at: Option<Timestamp>,
    /// The key of the original.
    pub blob: BlobKey,
    /// Further blobs that plugins made, by `plugin/name`; deleted with the photo.
    pub derived: BTreeMap<String, DerivedBlob>,
    /// Counts the changes; an update must name the version it read.
    pub version: u64,
}

/// No clock on Earth is further from UTC, in seconds.
const MAX_OFFSET_SECS: u64 = 14 * 3600;

impl Photo {
    /// Sets when it was taken. Without a local time that is the camera's, if it fits the moment.
    pub fn set_taken_at(&mut self, taken: TakenAt) {
        self.taken_at = Some(taken.moment);
        self.taken_at_local = taken.local.or_else(|| self.camera_time());
    }

    /// Returns the local time that date filters go by: the one in UTC where the offset is unknown.
    #[must_use]
    pub fn local_time(&self) -> Option<DateTime> {
        local_time(self.taken_at, self.taken_at_local)
    }

    /// Returns what the camera's clock showed when the photo was taken, as `attributes.exif.taken_at_local` has it;
    /// `None` where no plugin found it, or where `taken_at` is another time than the file's.
    #[must_use]
    pub fn camera_time(&self) -> Option<DateTime> {
        let written = self.attributes.get("exif")?.get("taken_at_local")?.as_str()?;
        let local: DateTime = written.parse().ok()?;
        let as_utc = Offset::UTC.to_timestamp(local).ok()?;
        let apart = as_utc.duration_since(self.taken_at?).as_secs().unsigned_abs();
        (apart <= MAX_OFFSET_SECS).then_some(local)
    }
}

/// A blob that a plugin made from a photo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DerivedBlob {
    /// Its key.
    pub key: BlobKey,
    /// Its media type.
    pub content_type: String,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// How many photos there are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCounts {
    /// Photos waiting to be embedded.
    pub pending: u64,
    /// Photos that searches find.
    pub ready: u64,
    /// Photos given up.
    pub failed: u64,
    /// Photos on their way out.
    pub deleting: u64,
}

impl StateCounts {
    /// Returns the count of one state.
    #[must_use]
    pub const fn get(&self, state: PhotoState) -> u64 {
        match state {
            PhotoState::Pending => self.pending,
            PhotoState::Ready => self.ready,
            PhotoState::Failed => self.failed,
            PhotoState::Deleting => self.deleting,
        }
    }

    /// Returns the count of one state, to be changed.
    pub const fn get_mut(&mut self, state: PhotoState) -> &mut u64 {
        match state {
            PhotoState::Pending => &mut self.pending,
            PhotoState::Ready => &mut self.ready,
            PhotoState::Failed => &mut self.failed,
            PhotoState::Deleting => &mut self.deleting,
        }
    }
}
