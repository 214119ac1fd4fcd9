//! Embeddings for one request: its inputs enter the model's queue as there is room, and share one deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::sync::Notify;

use lucida_core::{
    Deadline, EmbeddedText, Embedder, Embedding, ErrorKind, Lane, Picture, Result, TextOptions, embed_image,
    embed_text_with,
};

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
    /// `InvalidInput` for options that the model doesn't allow; `Overloaded` when the queue has no room for the request. Per
    /// item: `Timeout` for those that the deadline cut off, and those of [`Embedder::embed_texts`].
    pub async fn texts(
        &self,
        texts: Vec<String>,
        options: &TextOptions,
    ) -> Result<Vec<Result<EmbeddedText>>> {
        self.embedder.describe().check_text_options(options)?;
        let working = texts.into_iter().map(|text| self.text(text, options));
        let mut working = stream::iter(working).buffered(TEXTS_AT_ONCE);
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
    pub async fn text(&self, text: String, options: &TextOptions) -> Result<EmbeddedText> {
        self.in_turn(|| embed_text_with(&*self.embedder, text.clone(), options, Lane::Interactive))
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

    async fn in_turn<T, F>(&self, embed: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
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
