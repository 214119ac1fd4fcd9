//! One model of a pool, which can be asked whether or not it is open.

use std::sync::Arc;

use async_trait::async_trait;
use lucida_core::{
    EmbeddedText, Embedder, EmbedderInfo, Embedding, Error, Lane, Picture, Result, TextOptions, Token,
    TowerKind, metrics,
};
use tracing::info;

use super::memory::{Lease, Memory};
use super::{ModelSpec, OpenEmbedder};
use crate::batched::no_tower;

/// A model by name. Asking it opens it.
pub struct PooledModel {
    place: usize,
    info: EmbedderInfo,
    weight_bytes: Option<u64>,
    open: OpenEmbedder,
    memory: Arc<Memory>,
}

impl PooledModel {
    /// Opens a model to learn what it is, and closes it again unless it is to be preloaded.
    pub(super) async fn open(place: usize, spec: ModelSpec, memory: &Arc<Memory>) -> Result<Self> {
        let ModelSpec {
            name,
            preload,
            idle_unload: _,
            open,
        } = spec;
        let embedder = open().await?;
        let weight_bytes = embedder.weight_bytes();
        let info = EmbedderInfo {
            model: name.clone(),
            ..embedder.describe().clone()
        };
        let bytes = weight_bytes.unwrap_or(0);
        check_size(&name, bytes, memory)?;
        metrics::MODEL_OPENED.add(0, &[&name]);
        metrics::MODEL_RESERVED_BYTES.set(0.0, &[&name]);
        if preload {
            check_preload(&name, bytes, memory)?;
            let reservation = memory.reserve(bytes).await;
            memory.keep(place, &name, embedder, reservation);
        } else {
            close(embedder).await?;
        }
        Ok(Self {
            place,
            info,
            weight_bytes,
            open,
            memory: Arc::clone(memory),
        })
    }

    /// Returns the name that requests use.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.info.model
    }

    /// Returns the model for use, and opens it first where it isn't.
    async fn lease(&self) -> Result<Lease> {
        if let Some(lease) = self.memory.lease(self.place) {
            return Ok(lease);
        }
        let _opening = self.memory.opening.lock().await;
        // Somebody who waited for the same model may have opened it.
        if let Some(lease) = self.memory.lease(self.place) {
            return Ok(lease);
        }
        let reservation = self.memory.reserve(self.weight_bytes.unwrap_or(0)).await;
        let name = self.name();
        let embedder = (self.open)().await.map_err(|error| {
            error.map_message(|message| format!("model `{name}` can't be opened: {message}"))
        })?;
        if embedder.describe().fingerprint != self.info.fingerprint {
            close(embedder).await?;
            let message = format!("the files of model `{name}` have changed: restart the server to use them");
            return Err(Error::unavailable(message));
        }
        info!(model = name, "opened model");
        metrics::MODEL_OPENED.increment(&[name]);
        self.memory.keep(self.place, name, embedder, reservation);
        self.memory
            .lease(self.place)
            .ok_or_else(|| Error::internal(format!("model `{name}` was closed as it was opened")))
    }

    /// Returns the model for use by so many inputs, or a failure for each of them.
    async fn lease_for<T>(&self, inputs: usize) -> std::result::Result<Lease, Vec<Result<T>>> {
        let failure = match self.lease().await {
            Ok(lease) => return Ok(lease),
            Err(failure) => failure,
        };
        let copy = || Error::new(failure.kind(), failure.message()).with_code(failure.code());
        let copies: Vec<_> = (1..inputs).map(|_| Err(copy())).collect();
        Err(std::iter::once(Err(failure)).chain(copies).take(inputs).collect())
    }
}

/// Closes an embedder, which waits for its threads.
async fn close(embedder: Arc<dyn Embedder>) -> Result<()> {
    let free = move || {
        drop(embedder);
        lucida_core::release_free_memory();
    };
    tokio::task::spawn_blocking(free)
        .await
        .map_err(|error| Error::internal("closing a model failed").with_source(error))
}

fn check_size(name: &str, bytes: u64, memory: &Memory) -> Result<()> {
    match memory.max_bytes() {
        Some(max_bytes) if bytes > max_bytes => {
            let message =
                format!("`{name}` has {bytes} bytes of weights, and all models may take {max_bytes}");
            Err(Error::config("name", message))
        }
        Some(_) | None => Ok(()),
    }
}

/// Checks that a model fits beside those that are preloaded already.
fn check_preload(name: &str, bytes: u64, memory: &Memory) -> Result<()> {
    let others = memory.reserved_bytes();
    match memory.max_bytes() {
        Some(max_bytes) if others.saturating_add(bytes) > max_bytes => {
            let message = format!(
                "`{name}` has {bytes} bytes of weights, the models that are preloaded before it have {others}, and all models \
                 may take {max_bytes}"
            );
            Err(Error::config("preload", message))
        }
        Some(_) | None => Ok(()),
    }
}

#[async_trait]
impl Embedder for PooledModel {
    fn describe(&self) -> &EmbedderInfo {
        &self.info
    }

    fn weight_bytes(&self) -> Option<u64> {
        self.weight_bytes
    }

    fn is_loaded(&self) -> bool {
        self.memory
            .peek(self.place, |embedder| embedder.is_loaded())
            .unwrap_or(false)
    }

    async fn tokenize(&self, texts: Vec<String>, options: &TextOptions) -> Vec<Result<Vec<Token>>> {
        match self.lease_for(texts.len()).await {
            Ok(lease) => lease.embedder().tokenize(texts, options).await,
            Err(failures) => failures,
        }
    }

    async fn decode_tokens(&self, texts: Vec<Vec<u32>>) -> Vec<Result<String>> {
        match self.lease_for(texts.len()).await {
            Ok(lease) => lease.embedder().decode_tokens(texts).await,
            Err(failures) => failures,
        }
    }

    async fn embed_images(&self, pictures: Vec<Arc<Picture>>, lane: Lane) -> Vec<Result<Embedding>> {
        if !self.info.modalities.image {
            return self.lacks(TowerKind::Image, pictures.len());
        }
        match self.lease_for(pictures.len()).await {
            Ok(lease) => lease.embedder().embed_images(pictures, lane).await,
            Err(failures) => failures,
        }
    }

    async fn embed_texts(
        &self,
        texts: Vec<String>,
        options: &TextOptions,
        lane: Lane,
    ) -> Vec<Result<EmbeddedText>> {
        if !self.info.modalities.text {
            return self.lacks(TowerKind::Text, texts.len());
        }
        match self.lease_for(texts.len()).await {
            Ok(lease) => lease.embedder().embed_texts(texts, options, lane).await,
            Err(failures) => failures,
        }
    }

    async fn ping(&self) -> Result<()> {
        // A model that is closed isn't opened for the sake of a ping.
        match self.memory.lease(self.place) {
            Some(lease) => lease.embedder().ping().await,
            None => Ok(()),
        }
    }
}

impl PooledModel {
    /// Refuses inputs before the model is opened for them.
    fn lacks<T>(&self, tower: TowerKind, inputs: usize) -> Vec<Result<T>> {
        (0..inputs).map(|_| Err(no_tower(self.name(), tower))).collect()
    }
}
