//! The models that requests choose by name: the library's own, and further ones.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use lucida_core::{
    Deadline, EmbeddedPicture, Embedder, EmbedderInfo, Embedding, Embeddings, Error, Lane, Picture, Result,
};

use crate::embed::EmbedRequest;
use crate::photos::Photos;
use crate::spool::SpoolWriter;

/// Models by name, the library's own first; cheap to clone.
#[derive(Clone)]
pub struct NamedModels {
    photos: Photos,
    further: Arc<[Arc<dyn Embedder>]>,
}

impl NamedModels {
    /// Puts further models beside the library's own. Where two have one name, the first is meant.
    #[must_use]
    pub fn new(photos: Photos, further: impl IntoIterator<Item = Arc<dyn Embedder>>) -> Self {
        Self {
            photos,
            further: further.into_iter().collect(),
        }
    }

    /// Returns the models besides the library's own.
    #[must_use]
    pub fn further(&self) -> &[Arc<dyn Embedder>] {
        &self.further
    }

    /// Returns the model of a name, and without a name the library's own.
    ///
    /// # Errors
    /// `NotFound` (`model_not_found`), listing the names there are.
    pub fn choose(&self, name: Option<&str>) -> Result<Arc<dyn Embedder>> {
        let Some(name) = name else {
            return Ok(Arc::clone(self.photos.embedder()));
        };
        let chosen = self.all().find(|model| model.describe().model == name);
        chosen.cloned().ok_or_else(|| {
            let names: Vec<_> = self
                .all()
                .map(|model| format!("`{}`", model.describe().model))
                .collect();
            let message = format!("model `{name}` is not served here; there is {}", names.join(", "));
            Error::not_found(message)
                .with_code("model_not_found")
                .with_field("model")
        })
    }

    /// Decodes a spooled picture, as large as a model needs it.
    ///
    /// # Errors
    /// Those of decoding, which are the picture's; `Unavailable` for a spool that can't be read.
    pub async fn decode(&self, model: &EmbedderInfo, spool: SpoolWriter) -> Result<Arc<Picture>> {
        let spooled = spool.finish().await?;
        let short_side_pixels = model.decode_short_side_pixels;
        self.photos
            .decoder()
            .decode_spooled(spooled, short_side_pixels)
            .await
    }

    fn all(&self) -> impl Iterator<Item = &Arc<dyn Embedder>> {
        std::iter::once(self.photos.embedder()).chain(self.further.iter())
    }
}

#[async_trait]
impl Embeddings for NamedModels {
    fn models(&self) -> Vec<EmbedderInfo> {
        self.all().map(|model| model.describe().clone()).collect()
    }

    async fn texts(
        &self,
        model: &str,
        texts: Vec<String>,
        deadline: &Deadline,
    ) -> Result<Vec<Result<Embedding>>> {
        let embedder = self.choose(Some(model))?;
        EmbedRequest::new(embedder, deadline.clone()).texts(texts).await
    }

    async fn picture(&self, model: &str, file: Bytes, deadline: &Deadline) -> Result<EmbeddedPicture> {
        let embedder = self.choose(Some(model))?;
        let short_side_pixels = embedder.describe().decode_short_side_pixels;
        let decoder = self.photos.decoder();
        let decoding = decoder.decode(Lane::Interactive, short_side_pixels, move || Ok(file));
        let decoded = deadline.bound(decoding).await?;
        let embedding = EmbedRequest::new(embedder, deadline.clone())
            .picture(decoded.picture)
            .await?;
        Ok(EmbeddedPicture {
            embedding,
            stored_width: decoded.header.width,
            stored_height: decoded.header.height,
        })
    }
}
