//! The points of photos: their payloads, their removal, and the ids of a collection in ascending order.

use std::collections::VecDeque;
use std::sync::Arc;

use lucida_core::{CollectionName, Photo, PhotoId, Point, Result, VectorIndex};

const PAGE: usize = 500;

/// The points of photos in all collections, that of an earlier model included.
#[derive(Clone)]
pub(crate) struct Points {
    pub(crate) index: Arc<dyn VectorIndex>,
}

impl Points {
    /// Writes a photo's payload in every collection that has its vector.
    ///
    /// # Errors
    /// Those of the index.
    pub(crate) async fn refresh(&self, photo: &Photo) -> Result<()> {
        for collection in self.index.collections().await? {
            let Some(vector) = self.index.vector(&collection, &photo.id).await? else {
                continue;
            };
            let point = Point::of_photo(photo, vector);
            self.index.upsert(&collection, &[point]).await?;
        }
        Ok(())
    }

    /// Removes photos from every collection.
    ///
    /// # Errors
    /// Those of the index.
    pub(crate) async fn remove(&self, ids: &[PhotoId]) -> Result<()> {
        for collection in self.index.collections().await? {
            self.index.delete(&collection, ids).await?;
        }
        Ok(())
    }
}

/// Walks over a collection.
pub(crate) struct PointIds<'a> {
    index: &'a dyn VectorIndex,
    collection: &'a CollectionName,
    page: VecDeque<PhotoId>,
    after: Option<PhotoId>,
    done: bool,
    /// How many were passed so far.
    pub(crate) seen: u64,
}

impl<'a> PointIds<'a> {
    /// Begins after an id.
    pub(crate) const fn new(
        index: &'a dyn VectorIndex,
        collection: &'a CollectionName,
        after: Option<PhotoId>,
    ) -> Self {
        Self {
            index,
            collection,
            page: VecDeque::new(),
            after,
            done: false,
            seen: 0,
        }
    }

    /// Returns the id that [`PointIds::next`] passes; `None` at the end.
    pub(crate) async fn peek(&mut self) -> Result<Option<PhotoId>> {
        if self.page.is_empty() && !self.done {
            let page = self.index.ids(self.collection, self.after.as_ref(), PAGE).await?;
            self.page = page.into();
            self.done = self.page.is_empty();
            self.after = self.page.back().copied().or(self.after);
        }
        Ok(self.page.front().copied())
    }

    /// Passes an id.
    pub(crate) fn next(&mut self) {
        self.seen += u64::from(self.page.pop_front().is_some());
    }

    /// Passes everything up to `id`, and returns whether `id` itself is in the collection.
    pub(crate) async fn pass(&mut self, id: &PhotoId) -> Result<bool> {
        while let Some(at) = self.peek().await? {
            if at > *id {
                return Ok(false);
            }
            self.next();
            if at == *id {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
