//! The models that requests choose by name: the library's own, and further ones.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use lucida_core::{
    Deadline, EmbeddedPicture, EmbeddedText, Embedder, EmbedderInfo, Embeddings, Error, Lane, Picture,
    Result, TextOptions, Token,
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
        let size = model.decode_size;
        self.photos.decoder().decode_spooled(spooled, size).await
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

    fn weight_bytes(&self, model: &str) -> Option<u64> {
        self.choose(Some(model)).ok()?.weight_bytes()
    }

    async fn tokenize(
        &self,
        model: &str,
        texts: Vec<String>,
        options: &TextOptions,
        deadline: &Deadline,
    ) -> Result<Vec<Result<Vec<Token>>>> {
        let embedder = self.choose(Some(model))?;
        deadline
            .bound(async { Ok(embedder.tokenize(texts, options).await) })
            .await
    }

    async fn texts(
        &self,
        model: &str,
        texts: Vec<String>,
        options: &TextOptions,
        deadline: &Deadline,
    ) -> Result<Vec<Result<EmbeddedText>>> {
        let embedder = self.choose(Some(model))?;
        EmbedRequest::new(embedder, deadline.clone())
            .texts(texts, options)
            .await
    }

    async fn decode_tokens(
        &self,
        model: &str,
        texts: Vec<Vec<u32>>,
        deadline: &Deadline,
    ) -> Result<Vec<Result<String>>> {
        let embedder = self.choose(Some(model))?;
        deadline
            .bound(async { Ok(embedder.decode_tokens(texts).await) })
            .await
    }

    async fn picture(&self, model: &str, file: Bytes, deadline: &Deadline) -> Result<EmbeddedPicture> {
        let embedder = self.choose(Some(model))?;
        let size = embedder.describe().decode_size;
        let decoder = self.photos.decoder();
        let decoding = decoder.decode(Lane::Interactive, size, move || Ok(file));
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
