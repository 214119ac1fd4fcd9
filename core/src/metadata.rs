//! The metadata store: one record per photo, which is the truth about its state, and small named records.

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;
use crate::id::{ContentHash, PhotoId, UserId};
use crate::outbox::Outbox;
use crate::photo::{Photo, PhotoState, StateCounts};

/// Which photos to list; every condition that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhotoFilter {
    /// Only this user's photos; `None` is for the server's own use.
    pub user_id: Option<UserId>,
    /// Only photos in one of these states; empty means any.
    pub states: Vec<PhotoState>,
    /// Only photos taken at or after this time.
    pub taken_from: Option<Timestamp>,
    /// Only photos taken before this time.
    pub taken_to: Option<Timestamp>,
    /// Only photos taken at or after this local time; where a photo's offset is unknown, its time in UTC counts.
    pub local_from: Option<DateTime>,
    /// Only photos taken before this local time.
    pub local_to: Option<DateTime>,
    /// Only photos with all of these tags.
    pub tags: Vec<String>,
    /// Only photos whose record last changed before this time.
    pub updated_before: Option<Timestamp>,
}

impl PhotoFilter {
    /// Returns whether a photo meets every condition, for stores that filter in process.
    #[must_use]
    pub fn matches(&self, photo: &Photo) -> bool {
        self.user_id.as_ref().is_none_or(|user| *user == photo.user_id)
            && (self.states.is_empty() || self.states.contains(&photo.state))
            && self
                .taken_from
                .is_none_or(|from| photo.taken_at.is_some_and(|taken| taken >= from))
            && self
                .taken_to
                .is_none_or(|to| photo.taken_at.is_some_and(|taken| taken < to))
            && self
                .local_from
                .is_none_or(|from| photo.local_time().is_some_and(|taken| taken >= from))
            && self
                .local_to
                .is_none_or(|to| photo.local_time().is_some_and(|taken| taken < to))
            && self.tags.iter().all(|tag| photo.tags.contains(tag))
            && self.updated_before.is_none_or(|before| photo.updated_at < before)
    }
}

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The latest upload first.
    #[default]
    NewestFirst,
    /// The earliest upload first.
    OldestFirst,
}

/// A query for one page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PhotoQuery {
    /// Which photos.
    pub filter: PhotoFilter,
    /// The order, by id, which is that of upload.
    pub order: Order,
    /// Where the page begins: after this photo, which need not exist any more.
    pub after: Option<PhotoId>,
    /// How many photos at most; at least 1.
    pub limit: usize,
}

/// The outcome of an insert.
#[derive(Debug, Clone, PartialEq)]
pub enum Inserted {
    /// The record is new.
    New(Photo),
    /// The same user has the same content already: this is its record; nothing was written.
    Existing(Photo),
}

/// A tag of a user's photos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagCount {
    /// The tag.
    pub tag: String,
    /// How many of the photos have it.
    pub photos: u64,
}

/// A small named document that the server itself needs: a lease, a migration, provenance.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The content.
    pub value: Value,
    /// Counts the changes, from 1.
    pub version: u64,
}

/// Stores the records.
///
/// Every call is atomic and durable when it returns, and sees what every earlier call wrote, from whichever
/// process. Implementations must not retry, time or log: the decorators do.
#[async_trait]
pub trait MetadataStore: Outbox {
    /// Adds a record with version 1, unless the same user has a photo of the same hash in any state.
    ///
    /// Of two inserts at once for one user and hash exactly one is `New`. Times are kept to the microsecond, local ones
    /// too.
    ///
    /// # Errors
    /// `AlreadyExists` when the id itself is taken by another content.
    async fn insert(&self, photo: &Photo) -> Result<Inserted>;

    /// Returns a record; `None` if it does not exist.
    ///
    /// # Errors
    /// `Unavailable` by the store.
    async fn get(&self, id: &PhotoId) -> Result<Option<Photo>>;

    /// Returns those of the records that exist, in the order of `ids`.
    ///
    /// # Errors
    /// `Unavailable` by the store.
    async fn get_many(&self, ids: &[PhotoId]) -> Result<Vec<Photo>>;

    /// Returns a user's photo of the given content.
    ///
    /// # Errors
    /// `Unavailable` by the store.
    async fn find_by_hash(&self, user: &UserId, hash: &ContentHash) -> Result<Option<Photo>>;

    /// Replaces the record whose id and version are those of `photo`; returns it with the next version.
    ///
    /// `id`, `user_id`, `hash` and `created_at` never change. `updated_at` is what the caller set.
    ///
    /// # Errors
    /// `Conflict` when the version has changed; `NotFound` when the record no longer exists.
    async fn update(&self, photo: &Photo) -> Result<Photo>;

    /// Lists records in the order of their ids.
    ///
    /// Stable: photos that are added or deleted between two pages neither repeat nor hide another one.
    ///
    /// # Errors
    /// `InvalidInput` for a limit of 0.
    async fn list(&self, query: &PhotoQuery) -> Result<Vec<Photo>>;

    /// Deletes a record; an absent one is fine. The hash is free again afterwards.
    ///
    /// # Errors
    /// `Unavailable` by the store.
    async fn delete(&self, id: &PhotoId) -> Result<()>;

    /// Counts photos by state, of one user or of all.
    ///
    /// # Errors
    /// `Unavailable` by the store.
    async fn count_by_state(&self, user: Option<&UserId>) -> Result<StateCounts>;

    /// Counts a user's photos by tag, those in state `Deleting` left out. The tag of most photos comes first, and of tags with
    /// as many photos the one whose bytes sort first; at most `limit` tags.
    ///
    /// # Errors
    /// `InvalidInput` for a limit of 0.
    async fn count_by_tag(&self, user: &UserId, limit: usize) -> Result<Vec<TagCount>>;

    /// Returns a named record; `None` if it does not exist.
    ///
    /// # Errors
    /// `Unavailable` by the store.
    async fn record(&self, name: &str) -> Result<Option<Record>>;

    /// Writes a named record if its version still is `expected` (`None`: if it does not exist), and returns the new
    /// version.
    ///
    /// # Errors
    /// `Conflict` when the version has changed.
    async fn put_record(&self, name: &str, value: &Value, expected: Option<u64>) -> Result<u64>;

    /// Deletes a named record; an absent one is fine.
    ///
    /// # Errors
    /// `Unavailable` by the store.
    async fn delete_record(&self, name: &str) -> Result<()>;

    /// Checks that the store can be reached and written to.
    ///
    /// # Errors
    /// `Unavailable` or `PermissionDenied`, naming the store.
    async fn ping(&self) -> Result<()>;
}

/// Returns the first microsecond since 1970 that is not before `time`, for stores that keep times as such numbers and
/// filter by a bound that may lie between two.
#[must_use]
pub fn first_microsecond_from(time: Timestamp) -> i64 {
    let nanoseconds = time.as_nanosecond();
    let microseconds = nanoseconds.div_euclid(1_000) + i128::from(nanoseconds.rem_euclid(1_000) > 0);
    i64::try_from(microseconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_between_two_microseconds_is_the_later_one() {
        for (nanosecond, microsecond) in [
            (0, 0),
            (1, 1),
            (999, 1),
            (1_000, 1),
            (-1, 0),
            (-1_000, -1),
            (-1_001, -1),
        ] {
            let time = Timestamp::from_nanosecond(nanosecond).unwrap();
            assert_eq!(first_microsecond_from(time), microsecond, "{nanosecond} ns");
        }
    }
}
