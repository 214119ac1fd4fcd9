//! The ids of a collection in ascending order, page by page.

use std::collections::VecDeque;

use lucida_core::{CollectionName, PhotoId, Result, VectorIndex};

const PAGE: usize = 500;

/// Walks over a collection.
pub(super) struct PointIds<'a> {
    index: &'a dyn VectorIndex,
    collection: &'a CollectionName,
    page: VecDeque<PhotoId>,
    after: Option<PhotoId>,
    done: bool,
    /// How many were passed so far.
    pub(super) seen: u64,
}

impl<'a> PointIds<'a> {
    /// Begins after an id.
    pub(super) const fn new(
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
    pub(super) async fn peek(&mut self) -> Result<Option<PhotoId>> {
        if self.page.is_empty() && !self.done {
            let page = self.index.ids(self.collection, self.after.as_ref(), PAGE).await?;
            self.page = page.into();
            self.done = self.page.is_empty();
            self.after = self.page.back().copied().or(self.after);
        }
        Ok(self.page.front().copied())
    }

    /// Passes an id.
    pub(super) fn next(&mut self) {
        self.seen += u64::from(self.page.pop_front().is_some());
    }

    /// Passes everything up to `id`, and tells whether `id` itself was there.
    pub(super) async fn pass(&mut self, id: &PhotoId) -> Result<bool> {
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
