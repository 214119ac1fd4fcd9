//! The photo library as plugins see it whose calls show photos: searches, photos, previews, tags and counts of one user.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;
use crate::id::{PhotoId, UserId};
use crate::metadata::TagCount;
use crate::photo::{Photo, StateCounts};
use crate::queue::QueueCounts;
use crate::search::{SearchQuery, SearchResult};

/// The photos of a server, for plugins that show them to their callers.
///
/// Each call is made for one user, for whom photos of other users don't exist. Nothing here deletes a photo. What the
/// server's own calls check of a request, such as the bounds of a limit, a plugin checks itself.
#[async_trait]
pub trait Library: Send + Sync {
    /// Finds photos of the user that `query` names, as `POST /v1/search` does, with the hooks of all plugins.
    ///
    /// # Errors
    /// `InvalidInput` for an empty or too long text; `NotFound` (`photo_not_found`) for a photo that is not the user's;
    /// `Conflict` (`not_ready`) for one that is not embedded yet; a plugin's refusal; those of the model and the stores.
    async fn search(&self, query: SearchQuery) -> Result<SearchResult>;

    /// Returns a user's photo.
    ///
    /// # Errors
    /// `NotFound` (`photo_not_found`) when the photo does not exist, belongs to another user, or is being deleted.
    async fn photo(&self, user: &UserId, id: &PhotoId) -> Result<Photo>;

    /// Reads the smallest stored preview whose longer side has at least `size_pixels`, else the largest one; `None` for a
    /// photo without a preview.
    ///
    /// # Errors
    /// `Internal` when the preview is missing (`blob_missing`) or has another size (`blob_damaged`); those of the store.
    async fn preview(&self, photo: &Photo, size_pixels: usize) -> Result<Option<Preview>>;

    /// Counts a user's photos by tag, as [`crate::MetadataStore::count_by_tag`] does.
    ///
    /// # Errors
    /// `InvalidInput` for a limit of 0; those of the metadata store.
    async fn tags(&self, user: &UserId, limit: usize) -> Result<TagList>;

    /// Counts a user's photos and all jobs.
    ///
    /// # Errors
    /// Those of the metadata store and the queue.
    async fn stats(&self, user: &UserId) -> Result<Stats>;

    /// Adds tags to a user's photo, and then removes others; both in the form of [`crate::clean_tag`]. Searches use the change once
    /// this returns, or soon after where the index is unavailable.
    ///
    /// # Errors
    /// `NotFound` (`photo_not_found`) when the user has no such photo; `InvalidInput` for more tags than a photo may have;
    /// those of the metadata store and the queue, with nothing changed.
    async fn edit_tags(
        &self,
        user: &UserId,
        id: &PhotoId,
        add: BTreeSet<String>,
        remove: BTreeSet<String>,
    ) -> Result<Photo>;
}

/// A smaller picture of a photo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Its media type.
    pub content_type: String,
    /// Its file.
    pub bytes: Bytes,
}

/// The tags of a user's photos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagList {
    /// The tags, those of most photos first.
    pub tags: Vec<TagCount>,
    /// Whether there are more than were asked for.
    pub has_more: bool,
}

/// The counts of a user's photos, and the model that serves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// The user's photos by state.
    pub photos: StateCounts,
    /// The jobs of all users.
    pub queue: QueueCounts,
    /// The name of the model that searches use.
    pub model: String,
}
