//! Embeddings for one request: its inputs enter the model's queue as there is room, and share one deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use tokio::sync::Notify;

use lucida_core::{
    Deadline, EmbeddedPicture, Embedder, EmbedderInfo, Embedding, Embeddings, Error, ErrorKind, Lane, Result,
    embed_image, embed_text,
    picture::{ImageHeader, Picture},
};

use crate::photos::Photos;

/// How many texts of one request are in the queue at once, at most: enough for full batches, and few enough that other
/// requests get in between.
const TEXTS_AT_ONCE: usize = 64;

/// How long an input waits for another one of its request to be done before it asks for room again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The inputs of one request on their way through an embedder, in the interactive lane.
///
/// A queue that has no room for any input of the request refuses the request, with `Overloaded`. Once one input is in
/// the queue the others wait for room, until the deadline: what one request asks for never overflows the queue.
pub struct EmbedRequest {
    embedder: Arc<dyn Embedder>,
    deadline: Deadline,
    /// How many inputs the embedder has at the moment, or is being asked to take.
    asking: AtomicUsize,
    /// Whether the embedder has answered for an input.
    is_admitted: AtomicBool,
    /// Wakes one that waits for room whenever another one is done.
    done: Notify,
}

impl EmbedRequest {
    /// Makes a request of an embedder.
    #[must_use]
    pub fn new(embedder: Arc<dyn Embedder>, deadline: Deadline) -> Self {
        Self {
            embedder,
            deadline,
            asking: AtomicUsize::new(0),
            is_admitted: AtomicBool::new(false),
            done: Notify::new(),
        }
    }

    /// Embeds texts: one result for each, in order.
    ///
    /// # Errors
    /// `Overloaded` when the queue has no room for the request. Per item: `Timeout` for those that the deadline cut
    /// off, and those of [`Embedder::embed_texts`].
    pub async fn texts(&self, texts: Vec<String>) -> Result<Vec<Result<Embedding>>> {
        let mut working = stream::iter(texts.into_iter().map(|text| self.text(text))).buffered(TEXTS_AT_ONCE);
        let mut results = Vec::new();
        while let Some(result) = working.next().await {
            match result {
                Err(error) if error.kind() == ErrorKind::Overloaded => return Err(error),
                Ok(_) | Err(_) => results.push(result),
            }
        }
        Ok(results)
    }

    /// Embeds a text.
    ///
    /// # Errors
    /// `Overloaded` when the queue has no room for the request; `Timeout` at the deadline; those of
    /// [`Embedder::embed_texts`].
    pub async fn text(&self, text: String) -> Result<Embedding> {
        self.in_turn(|| embed_text(&*self.embedder, text.clone(), Lane::Interactive))
            .await
    }

    /// Embeds a picture.
    ///
    /// # Errors
    /// `Overloaded` when the queue has no room for the request; `Timeout` at the deadline; those of
    /// [`Embedder::embed_images`].
    pub async fn picture(&self, picture: Arc<Picture>) -> Result<Embedding> {
        self.in_turn(|| embed_image(&*self.embedder, Arc::clone(&picture), Lane::Interactive))
            .await
    }

    async fn in_turn<F>(&self, embed: impl Fn() -> F) -> Result<Embedding>
    where
        F: Future<Output = Result<Embedding>>,
    {
        let work = async {
            loop {
                let asking = Asking::new(&self.asking);
                let result = embed().await;
                let others = asking.end();
                match result {
                    Err(error) if error.kind() == ErrorKind::Overloaded => {
                        if others == 0 && !self.is_admitted.load(Ordering::SeqCst) {
                            return Err(error);
                        }
                    }
                    Ok(_) | Err(_) => {
                        self.is_admitted.store(true, Ordering::SeqCst);
                        self.done.notify_one();
                        return result;
                    }
                }
                // Either way it asks again: other requests make room, too.
                let _ = tokio::time::timeout(LOOK_AGAIN, self.done.notified()).await;
            }
        };
        self.deadline.bound(work).await
    }
}

/// Counts an input that the embedder has, until it is dropped.
struct Asking<'a> {
    count: &'a AtomicUsize,
}

impl<'a> Asking<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self { count }
    }

    /// Ends the count, and returns how many others there are.
    fn end(self) -> usize {
        let before = self.count.fetch_sub(1, Ordering::SeqCst);
        std::mem::forget(self);
        before - 1
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Embeddings for Photos {
    fn models(&self) -> Vec<EmbedderInfo> {
        vec![self.parts().embedder.describe().clone()]
    }

    async fn texts(
        &self,
        model: &str,
        texts: Vec<String>,
        deadline: &Deadline,
    ) -> Result<Vec<Result<Embedding>>> {
        let embedder = self.embedder_named(model)?;
        EmbedRequest::new(embedder, deadline.clone()).texts(texts).await
    }

    async fn picture(&self, model: &str, file: Bytes, deadline: &Deadline) -> Result<EmbeddedPicture> {
        let embedder = self.embedder_named(model)?;
        let short_side_pixels = embedder.describe().decode_short_side_pixels;
        let read = move || Ok(file);
        let decoding = self.decode(Lane::Interactive, short_side_pixels, read);
        let (picture, file) = deadline.bound(decoding).await?;
        let header = ImageHeader::peek(&file)?;
        let embedding = EmbedRequest::new(embedder, deadline.clone())
            .picture(picture)
            .await?;
        Ok(EmbeddedPicture {
            embedding,
            stored_width: header.width,
            stored_height: header.height,
        })
    }
}

impl Photos {
    fn embedder_named(&self, model: &str) -> Result<Arc<dyn Embedder>> {
        let embedder = &self.parts().embedder;
        let known = &embedder.describe().model;
        if known == model {
            return Ok(Arc::clone(embedder));
        }
        let message = format!("model `{model}` is not served here; the server has `{known}`");
        Err(Error::not_found(message)
            .with_code("model_not_found")
            .with_field("model"))
    }
}
