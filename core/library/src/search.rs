//! Search: words, a photo or a picture in, the nearest photos of the same user out.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::{Instrument, info_span};

use super::Photos;
use super::models::Live;
use lucida_core::{
    Embedding, Error, ErrorKind, Hit, Lane, Photo, PhotoState, Result, ScoredId, SearchInput, SearchQuery,
    embed_image, embed_text,
};

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchResult {
    /// The photos, best first.
    pub hits: Vec<Hit>,
    /// The model that compared them.
    pub model: String,
}

impl Photos {
    /// Finds a user's photos.
    ///
    /// # Errors
    /// `InvalidInput` for an empty or too long text; `NotFound` for a photo that is not the user's; `Conflict`
    /// (`not_ready`) for one that is not embedded yet; a plugin's refusal; those of the model and the stores.
    pub async fn search(&self, query: SearchQuery) -> Result<SearchResult> {
        let span = info_span!("photo.search", limit = query.limit);
        self.find(query).instrument(span).await
    }

    async fn find(&self, query: SearchQuery) -> Result<SearchResult> {
        let user = query.user_id.clone();
        let mut query = self.change_query_by_plugins(query).await?;
        query.user_id = user.clone();
        query.filter.user_id = Some(user);
        let mut serving = Arc::clone(&self.view().await?.serving);
        let mut found = self.nearest(&mut query, &serving).await;
        if found
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::NotFound)
        {
            // The collection may have been dropped since the last look; what else is not found stays so.
            let now = Arc::clone(&self.look().await?.serving);
            if now.collection != serving.collection {
                serving = now;
                found = self.nearest(&mut query, &serving).await;
            }
        }
        let hits = self.with_photos(&query, found?).await?;
        let mut hits = self.rerank_by_plugins(&query, hits).await?;
        hits.truncate(query.limit);
        Ok(SearchResult {
            hits,
            model: serving.embedder.describe().model.clone(),
        })
    }

    /// Finds the points nearest to a query; its vector and the points are of the same model.
    async fn nearest(&self, query: &mut SearchQuery, serving: &Live) -> Result<Vec<ScoredId>> {
        let vector = self.query_vector(query, serving).await?;
        self.parts()
            .index
            .search(&serving.collection, &vector, &query.filter, query.limit)
            .await
    }

    async fn query_vector(&self, query: &mut SearchQuery, serving: &Live) -> Result<Embedding> {
        let embedder = &*serving.embedder;
        match &query.input {
            SearchInput::Text(text) => embed_text(embedder, text.clone(), Lane::Interactive).await,
            SearchInput::Picture(picture) => {
                embed_image(embedder, Arc::clone(picture), Lane::Interactive).await
            }
            SearchInput::Photo(id) => {
                let photo = self.photo(&query.user_id, id).await?;
                let vector = match photo.state {
                    PhotoState::Ready => self.parts().index.vector(&serving.collection, id).await?,
                    PhotoState::Pending | PhotoState::Failed | PhotoState::Deleting => None,
                };
                if !query.filter.exclude.contains(&photo.id) {
                    query.filter.exclude.push(photo.id);
                }
                vector.ok_or_else(|| {
                    let state = photo.state;
                    Error::conflict(format!("photo `{}` is {state} and has no vector yet", photo.id))
                        .with_code("not_ready")
                })
            }
        }
    }

    /// Joins ids with their records; a point whose photo is not shown any more is left out.
    async fn with_photos(&self, query: &SearchQuery, found: Vec<ScoredId>) -> Result<Vec<Hit>> {
        let ids: Vec<_> = found.iter().map(|scored| scored.photo_id).collect();
        let photos = self.parts().metadata.get_many(&ids).await?;
        let mut photos: HashMap<_, Photo> = photos.into_iter().map(|photo| (photo.id, photo)).collect();
        let hits = found.into_iter().filter_map(|ScoredId { photo_id, score }| {
            let photo = photos.remove(&photo_id)?;
            let shown = photo.user_id == query.user_id && photo.state != PhotoState::Deleting;
            shown.then_some(Hit { score, photo })
        });
        Ok(hits.collect())
    }
}
