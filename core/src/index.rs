//! The vector index: collections of unit vectors with a payload to filter by, and one alias.

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::foreign::ForeignCollection;
use crate::id::{Fingerprint, PhotoId, UserId};
use crate::photo::Photo;
use crate::taken::local_time;

/// The name of a collection: 1 to 128 characters of `a-z A-Z 0-9 _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CollectionName(String);

impl CollectionName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// `InvalidInput` for an empty or too long name or other characters.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let fits = (1..=128).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if fits {
            Ok(Self(name))
        } else {
            Err(Error::invalid(format!(
                "`{name}` is not a collection name: use 1 to 128 of a-z A-Z 0-9 _ -"
            )))
        }
    }

    /// Returns the collection that belongs to a fingerprint, under the alias's name.
    ///
    /// # Errors
    /// `InvalidInput` when the alias is not a valid name.
    pub fn for_fingerprint(alias: &str, fingerprint: &Fingerprint) -> Result<Self> {
        Self::new(format!("{alias}-{fingerprint}"))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CollectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for CollectionName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::new(name)
    }
}

impl From<CollectionName> for String {
    fn from(name: CollectionName) -> Self {
        name.0
    }
}

/// A photo's vector and what searches may filter by.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The photo.
    pub photo_id: PhotoId,
    /// Its unit vector, `(dimensions,)` f32.
    pub vector: Vec<f32>,
    /// Its owner.
    pub user_id: UserId,
    /// When it was taken.
    pub taken_at: Option<Timestamp>,
    /// What the clock showed where it was taken, where that is known.
    pub taken_at_local: Option<DateTime>,
    /// Its tags.
    pub tags: BTreeSet<String>,
}

impl Point {
    /// Returns the point of a photo, with everything of its record that searches filter by.
    #[must_use]
    pub fn of_photo(photo: &Photo, vector: Vec<f32>) -> Self {
        Self {
            photo_id: photo.id,
            vector,
            user_id: photo.user_id.clone(),
            taken_at: photo.taken_at,
            taken_at_local: photo.taken_at_local,
            tags: photo.tags.clone(),
        }
    }

    /// Returns the local time that date filters go by: the one in UTC where the offset is unknown.
    #[must_use]
    pub fn local_time(&self) -> Option<DateTime> {
        local_time(self.taken_at, self.taken_at_local)
    }
}

/// Which points a search may find; every condition that is set must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IndexFilter {
    /// Only this user's points.
    pub user_id: Option<UserId>,
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
    /// None of these photos.
    pub exclude: Vec<PhotoId>,
}

impl IndexFilter {
    /// Returns whether a point meets every condition, for indexes that filter in process.
    #[must_use]
    pub fn matches(&self, point: &Point) -> bool {
        self.user_id.as_ref().is_none_or(|user| *user == point.user_id)
            && self
                .taken_from
                .is_none_or(|from| point.taken_at.is_some_and(|taken| taken >= from))
            && self
                .taken_to
                .is_none_or(|to| point.taken_at.is_some_and(|taken| taken < to))
            && self
                .local_from
                .is_none_or(|from| point.local_time().is_some_and(|taken| taken >= from))
            && self
                .local_to
                .is_none_or(|to| point.local_time().is_some_and(|taken| taken < to))
            && self.tags.iter().all(|tag| point.tags.contains(tag))
            && !self.exclude.contains(&point.photo_id)
    }
}

/// A photo found, with its similarity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoredId {
    /// The photo.
    pub photo_id: PhotoId,
    /// The cosine of the two vectors, -1 to 1.
    pub score: f32,
}

/// Keeps vectors and finds the nearest.
///
/// What a call wrote, every later call sees. Durable when a call returns. A call on an absent collection is
/// `NotFound`, unless said otherwise. Implementations must not retry, time or log: the decorators do.
#[async_trait]
pub trait VectorIndex: Send + Sync {
    /// Makes sure that a collection for unit vectors of this many dimensions, compared by cosine, exists.
    ///
    /// # Errors
    /// `Conflict` when it exists with other dimensions or another distance; it is left as it was.
    async fn ensure(&self, collection: &CollectionName, dimensions: usize) -> Result<()>;

    /// Writes points, each over the one of the same photo.
    ///
    /// # Errors
    /// `InvalidInput` for a vector of other dimensions, with nothing written.
    async fn upsert(&self, collection: &CollectionName, points: &[Point]) -> Result<()>;

    /// Returns the points nearest to `vector` that meet the filter, best first, `limit` at most.
    ///
    /// The filter is applied before the search: as many hits come back as meet it, up to `limit`.
    ///
    /// # Errors
    /// `InvalidInput` for a vector of other dimensions.
    async fn search(
        &self,
        collection: &CollectionName,
        vector: &[f32],
        filter: &IndexFilter,
        limit: usize,
    ) -> Result<Vec<ScoredId>>;

    /// Returns a photo's vector, `None` where the collection has none.
    ///
    /// # Errors
    /// `NotFound` for an absent collection.
    async fn vector(&self, collection: &CollectionName, id: &PhotoId) -> Result<Option<Vec<f32>>>;

    /// Deletes points; absent ones, or an absent collection, are fine.
    ///
    /// # Errors
    /// `Unavailable` by the index.
    async fn delete(&self, collection: &CollectionName, ids: &[PhotoId]) -> Result<()>;

    /// Counts all points of a collection, exactly.
    ///
    /// # Errors
    /// `NotFound` for an absent collection.
    async fn count(&self, collection: &CollectionName) -> Result<u64>;

    /// Returns the ids in a collection in ascending order, after `after`, `limit` at most.
    ///
    /// # Errors
    /// `NotFound` for an absent collection.
    async fn ids(
        &self,
        collection: &CollectionName,
        after: Option<&PhotoId>,
        limit: usize,
    ) -> Result<Vec<PhotoId>>;

    /// Returns the names of all collections of this index, in order.
    ///
    /// # Errors
    /// `Unavailable` by the index.
    async fn collections(&self) -> Result<Vec<CollectionName>>;

    /// Returns the collection that the alias points to, `None` before it was first set.
    ///
    /// # Errors
    /// `Unavailable` by the index.
    async fn alias(&self) -> Result<Option<CollectionName>>;

    /// Points the alias to a collection, at once for every reader.
    ///
    /// # Errors
    /// `NotFound` for an absent collection; the alias is left as it was.
    async fn set_alias(&self, collection: &CollectionName) -> Result<()>;

    /// Returns the alias's name, which the names of collections begin with; `photo_embeddings` by default.
    fn alias_name(&self) -> &str;

    /// Deletes a collection and all in it; an absent one is fine.
    ///
    /// # Errors
    /// `Conflict` when the alias points to it.
    async fn drop_collection(&self, collection: &CollectionName) -> Result<()>;

    /// Opens a collection of the same server that another program made, only to be read.
    ///
    /// # Errors
    /// `Unsupported` by an index that nobody else writes to, which is the default; `NotFound` for an absent one.
    async fn foreign(&self, name: &str) -> Result<Box<dyn ForeignCollection>> {
        Err(Error::new(
            ErrorKind::Unsupported,
            format!("this index has no collections of other programs, so none named `{name}`"),
        ))
    }

    /// Checks that the index can be reached.
    ///
    /// # Errors
    /// `Unavailable` or `PermissionDenied`, naming the index.
    async fn ping(&self) -> Result<()>;

    /// Returns what an operator should know although the index works, such as that it has become too large for its type.
    fn note(&self) -> Option<String> {
        None
    }
}
