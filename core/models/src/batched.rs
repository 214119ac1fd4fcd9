//! Turns a synchronous [`Model`] into an [`Embedder`]: a bounded queue and a compute thread per tower.
//!
//! There is no timer: whatever queued up while the last batch ran is the next batch, up to a budget. Two lanes
//! share a tower, and the interactive one goes first. Entries whose caller has gone are dropped. A full lane is
//! an answer, `Overloaded`, with the time after which there should be room.

mod lanes;
mod options;
mod settings;
mod vector;
mod worker;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use lucida_core::{
    EmbeddedText, Embedder, EmbedderInfo, Embedding, Error, ErrorKind, Lane, LaneSemaphore, Picture, Result,
    TextOptions, Token, TowerKind, metrics,
};
pub use options::BatchOptions;
pub use settings::BatchSettings;
use worker::{Labels, Worker};

use crate::model::{Model, TextInput, Tower};

/// The picture that [`Embedder::ping`] embeds: a gradient, since a plain one may give a degenerate vector.
const PING_SIDE_PIXELS: u32 = 64;

/// A model behind bounded queues.
pub struct Batched<M: Model> {
    model: Arc<M>,
    info: EmbedderInfo,
    preparation: LaneSemaphore,
    images: Option<Worker<M::Visual>>,
    texts: Option<Worker<M::Textual>>,
}

impl<M: Model> Batched<M> {
    /// Starts the compute threads; with `preload` the towers begin to load at once, in the background.
    ///
    /// # Errors
    /// `Internal` when a thread can't be started.
    pub fn start(model: M, options: &BatchOptions) -> Result<Self> {
        let model = Arc::new(model);
        let info = model.describe();
        let images = if info.modalities.image {
            let model = Arc::clone(&model);
            let load = move || model.load_visual();
            let labels = Labels::new(&info.model, TowerKind::Image);
            let budget = options.image_batch_cost;
            Some(Worker::start(labels, budget, options, info.dimensions, load)?)
        } else {
            None
        };
        let texts = if info.modalities.text {
            let model = Arc::clone(&model);
            let load = move || model.load_textual();
            let labels = Labels::new(&info.model, TowerKind::Text);
            let budget = options.text_batch_cost;
            Some(Worker::start(labels, budget, options, info.dimensions, load)?)
        } else {
            None
        };
        let preparation = LaneSemaphore::new(options.preparation_threads);
        Ok(Self {
            model,
            info,
            preparation,
            images,
            texts,
        })
    }

    /// Returns how many inputs wait in a lane of a tower, without those being computed.
    #[must_use]
    pub fn waiting(&self, tower: TowerKind, lane: Lane) -> usize {
        match tower {
            TowerKind::Image => self.images.as_ref().map_or(0, |worker| worker.waiting(lane)),
            TowerKind::Text => self.texts.as_ref().map_or(0, |worker| worker.waiting(lane)),
        }
    }

    /// Prepares one input on a blocking thread once a permit is free.
    async fn prepare<I, O>(
        &self,
        input: I,
        (tower, lane): (TowerKind, Lane),
        prepare: impl FnOnce(&M, &I) -> Result<O> + Send + 'static,
    ) -> Result<O>
    where
        I: Send + 'static,
        O: Send + 'static,
    {
        let permit = self.preparation.acquire(lane).await?;
        let model = Arc::clone(&self.model);
        let name = self.info.model.clone();
        let work = move || {
            let started = Instant::now();
            let prepared = prepare(&model, &input);
            metrics::EMBEDDER_PREPROCESS_DURATION.record(started.elapsed(), &[&name, tower.as_str()]);
            drop(permit);
            prepared
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| Error::internal("preparing an input failed").with_source(error))?
    }

    fn text_worker(&self) -> Result<&Worker<M::Textual>> {
        self.texts
            .as_ref()
            .ok_or_else(|| no_tower(&self.info.model, TowerKind::Text))
    }

    /// Calls the tokenizer on a blocking thread once a permit is free.
    async fn with_tokenizer<O: Send + 'static>(
        &self,
        call: impl FnOnce(&M) -> Result<O> + Send + 'static,
    ) -> Result<O> {
        let permit = self.preparation.acquire(Lane::Interactive).await?;
        let model = Arc::clone(&self.model);
        let work = move || {
            let result = call(&model);
            drop(permit);
            result
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| Error::internal("the tokenizer failed").with_source(error))?
    }
}

/// A text on its way to another thread.
struct OwnedText {
    prompt: String,
    text: String,
    truncate: bool,
}

impl OwnedText {
    fn new(text: String, options: &TextOptions, info: &EmbedderInfo) -> Result<Self> {
        check_text(&text, info.max_text_bytes)?;
        Ok(Self {
            prompt: info.texts.prompt(&options.prompt)?.to_owned(),
            text,
            truncate: options.truncate,
        })
    }

    fn input(&self) -> TextInput<'_> {
        TextInput {
            prompt: &self.prompt,
            text: &self.text,
            truncate: self.truncate,
        }
    }
}

#[async_trait]
impl<M: Model> Embedder for Batched<M> {
    fn describe(&self) -> &EmbedderInfo {
        &self.info
    }

    fn weight_bytes(&self) -> Option<u64> {
        self.model.weight_bytes()
    }

    fn is_loaded(&self) -> bool {
        let of_images = self.images.as_ref().is_some_and(Worker::is_loaded);
        of_images || self.texts.as_ref().is_some_and(Worker::is_loaded)
    }

    async fn tokenize(&self, texts: Vec<String>, options: &TextOptions) -> Vec<Result<Vec<Token>>> {
        let one = |text: String| async move {
            self.text_worker()?;
            let text = OwnedText::new(text, options, &self.info)?;
            self.with_tokenizer(move |model| model.tokenize(text.input()))
                .await
        };
        futures::future::join_all(texts.into_iter().map(one)).await
    }

    async fn decode_tokens(&self, texts: Vec<Vec<u32>>) -> Vec<Result<String>> {
        let one = |ids: Vec<u32>| async move {
            self.text_worker()?;
            self.with_tokenizer(move |model| model.decode_tokens(&ids)).await
        };
        futures::future::join_all(texts.into_iter().map(one)).await
    }

    async fn embed_images(&self, pictures: Vec<Arc<Picture>>, lane: Lane) -> Vec<Result<Embedding>> {
        let one = |picture: Arc<Picture>| async move {
            let worker = self
                .images
                .as_ref()
                .ok_or_else(|| no_tower(&self.info.model, TowerKind::Image))?;
            worker.check_room(lane)?;
            let input = self
                .prepare(picture, (TowerKind::Image, lane), |model, picture| {
                    model.prepare_image(picture)
                })
                .await?;
            worker.submit(input, lane)?.await.map_err(|_| shut_down())?
        };
        futures::future::join_all(pictures.into_iter().map(one)).await
    }

    async fn embed_texts(
        &self,
        texts: Vec<String>,
        options: &TextOptions,
        lane: Lane,
    ) -> Vec<Result<EmbeddedText>> {
        let one = |text: String| async move {
            let worker = self.text_worker()?;
            self.info.check_text_options(options)?;
            let text = OwnedText::new(text, options, &self.info)?;
            worker.check_room(lane)?;
            let input = self
                .prepare(text, (TowerKind::Text, lane), |model, text| {
                    model.prepare_text(text.input())
                })
                .await?;
            let tokens = M::Textual::token_count(&input);
            let embedding = worker.submit(input, lane)?.await.map_err(|_| shut_down())??;
            Ok(EmbeddedText {
                embedding: options.shorten(embedding)?,
                tokens,
            })
        };
        futures::future::join_all(texts.into_iter().map(one)).await
    }

    async fn ping(&self) -> Result<()> {
        // A tower that was never needed, or was unloaded, is not loaded for the sake of a ping, but the last failure to
        // load it is reported.
        if let Some(worker) = &self.images
            && worker.check_ping()?
        {
            let picture = Arc::new(Picture::gradient(PING_SIDE_PIXELS, PING_SIDE_PIXELS));
            lucida_core::embed_image(self, picture, Lane::Interactive).await?;
        }
        if let Some(worker) = &self.texts
            && worker.check_ping()?
        {
            lucida_core::embed_text(self, "a photo".to_owned(), Lane::Interactive).await?;
        }
        Ok(())
    }
}

fn check_text(text: &str, max_bytes: usize) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::invalid("the text is empty: send at least one word")
            .with_code("empty_text")
            .with_field("text"));
    }
    if text.len() > max_bytes {
        let message = format!("the text has {} bytes; at most {max_bytes} are taken", text.len());
        return Err(Error::invalid(message)
            .with_code("text_too_long")
            .with_field("text"));
    }
    Ok(())
}

/// Returns the error of a model that lacks the tower for an input.
pub(crate) fn no_tower(model: &str, tower: TowerKind) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("model `{model}` has no {} tower", tower.as_str()),
    )
}

fn shut_down() -> Error {
    Error::unavailable("the embedder is shutting down")
}
