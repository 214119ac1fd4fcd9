//! The library as plugins see it: the services behind [`Photos`], by the contract of [`Library`].

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::edit::{PhotoEdit, TagEdit, TakenAtEdit};
use crate::photos::Photos;
use crate::previews::best_preview;
use lucida_core::{
    Library, Photo, PhotoId, Preview, Result, SearchQuery, SearchResult, Stats, TagList, UserId,
};

#[async_trait]
impl Library for Photos {
    async fn search(&self, query: SearchQuery) -> Result<SearchResult> {
        self.search(query).await
    }

    async fn photo(&self, user: &UserId, id: &PhotoId) -> Result<Photo> {
        self.photo(user, id).await
    }

    async fn preview(&self, photo: &Photo, size_pixels: usize) -> Result<Option<Preview>> {
        let Some((name, _)) = best_preview(photo, size_pixels) else {
            return Ok(None);
        };
        let (derived, blob) = self.derived(photo, name).await?;
        Ok(Some(Preview {
            content_type: derived.content_type,
            bytes: blob.bytes().await?,
        }))
    }

    async fn tags(&self, user: &UserId, limit: usize) -> Result<TagList> {
        self.tags(user, limit).await
    }

    async fn stats(&self, user: &UserId) -> Result<Stats> {
        self.stats(user).await
    }

    async fn edit_tags(
        &self,
        user: &UserId,
        id: &PhotoId,
        add: BTreeSet<String>,
        remove: BTreeSet<String>,
    ) -> Result<Photo> {
        let edit = PhotoEdit {
            tags: TagEdit::Change { add, remove },
            taken_at: TakenAtEdit::Keep,
        };
        self.edit(user, id, &edit).await
    }
}
