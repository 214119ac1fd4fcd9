//! Search: words, a photo or a picture in, the nearest photos of the same user out.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::{Instrument, info_span};

use crate::decoder::Decoder;
use crate::models::{Live, Models};
use crate::plugins::Plugins;
use crate::records::Records;
use crate::spool::SpoolWriter;
use lucida_core::{
    Embedding, Error, ErrorKind, Hit, Lane, MetadataStore, Photo, PhotoState, Picture, Result, ScoredId,
    SearchInput, SearchQuery, SearchResult, TextOptions, VectorIndex, embed_image, embed_text_with,
};

/// Finds photos.
#[derive(Clone)]
pub(crate) struct Search {
    pub(crate) metadata: Arc<dyn MetadataStore>,
    pub(crate) index: Arc<dyn VectorIndex>,
    pub(crate) records: Records,
    pub(crate) models: Models,
    pub(crate) decoder: Decoder,
    pub(crate) plugins: Plugins,
}

impl Search {
    /// Finds a user's photos.
    ///
    /// # Errors
    /// `InvalidInput` for an empty or too long text; `NotFound` for a photo that is not the user's; `Conflict`
    /// (`not_ready`) for one that is not embedded yet; a plugin's refusal; those of the model and the stores.
    pub(crate) async fn search(&self, query: SearchQuery) -> Result<SearchResult> {
        let span = info_span!("photo.search", limit = query.limit);
        self.find(query).instrument(span).await
    }

    /// Decodes an uploaded picture, large enough for the serving and the configured model, and removes its file.
    ///
    /// # Errors
    /// Those of [`Decoder::decode`].
    pub(crate) async fn decode_upload(&self, spool: SpoolWriter) -> Result<Arc<Picture>> {
        let spooled = spool.finish().await?;
        let view = self.models.view().await?;
        let [serving, configured] = [&view.serving.embedder, self.models.configured()]
            .map(|embedder| embedder.describe().decode_size);
        self.decoder
            .decode_spooled(spooled, serving.max(configured))
            .await
    }

    async fn find(&self, query: SearchQuery) -> Result<SearchResult> {
        let user = query.user_id.clone();
        let mut query = self.plugins.query(query).await?;
        query.user_id = user.clone();
        query.filter.user_id = Some(user);
        let mut serving = Arc::clone(&self.models.view().await?.serving);
        let mut found = self.nearest(&mut query, &serving).await;
        if found
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::NotFound)
        {
            // The collection may have been dropped since the last look; what else is not found stays so.
            let now = Arc::clone(&self.models.look().await?.serving);
            if now.collection != serving.collection {
                serving = now;
                found = self.nearest(&mut query, &serving).await;
            }
        }
        let hits = self.with_photos(&query, found?).await?;
        let mut hits = self.plugins.rerank(&query, hits).await?;
        hits.truncate(query.limit);
        Ok(SearchResult {
            hits,
            model: serving.embedder.describe().model.clone(),
        })
    }

    /// Finds the points nearest to a query; its vector and the points are of the same model.
    async fn nearest(&self, query: &mut SearchQuery, serving: &Live) -> Result<Vec<ScoredId>> {
        let vector = self.query_vector(query, serving).await?;
        self.index
            .search(&serving.collection, &vector, &query.filter, query.limit)
            .await
    }

    async fn query_vector(&self, query: &mut SearchQuery, serving: &Live) -> Result<Embedding> {
        let embedder = &*serving.embedder;
        match &query.input {
            SearchInput::Text(text) => {
                let options = TextOptions::query();
                let text = embed_text_with(embedder, text.clone(), &options, Lane::Interactive).await?;
                Ok(text.embedding)
            }
            SearchInput::Picture(picture) => {
                embed_image(embedder, Arc::clone(picture), Lane::Interactive).await
            }
            SearchInput::Photo(id) => {
                let photo = self.records.of_user(&query.user_id, id).await?;
                let vector = match photo.state {
                    PhotoState::Ready => self.index.vector(&serving.collection, id).await?,
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
        let photos = self.metadata.get_many(&ids).await?;
        let mut photos: HashMap<_, Photo> = photos.into_iter().map(|photo| (photo.id, photo)).collect();
        let hits = found.into_iter().filter_map(|ScoredId { photo_id, score }| {
            let photo = photos.remove(&photo_id)?;
            let shown = photo.user_id == query.user_id && photo.state != PhotoState::Deleting;
            shown.then_some(Hit { score, photo })
        });
        Ok(hits.collect())
    }
}
