//! Embeddings by model name, for plugins that speak the API of another product.

use async_trait::async_trait;
use bytes::Bytes;

use crate::deadline::Deadline;
use crate::embedder::{EmbeddedText, EmbedderInfo, Embedding, Token};
use crate::error::Result;
use crate::text::TextOptions;

/// The models of the server, behind the queues, lanes and limits that its own calls have.
#[async_trait]
pub trait Embeddings: Send + Sync {
    /// Returns the models that can be asked, the configured one first.
    fn models(&self) -> Vec<EmbedderInfo>;

    /// Returns the size of a model's weights in bytes, as [`crate::Embedder::weight_bytes`] does; `None` for an unknown model.
    fn weight_bytes(&self, model: &str) -> Option<u64>;

    /// Embeds texts with the model of that name: one result for each, in order. Any number is taken; they enter the
    /// model's queue as there is room.
    ///
    /// # Errors
    /// `NotFound` (`model_not_found`) for an unknown model; `InvalidInput` for options that the model doesn't allow;
    /// `Overloaded` when the queue has no room for the request. Per item: `Timeout` at the deadline, and those of
    /// [`crate::Embedder::embed_texts`].
    async fn texts(
        &self,
        model: &str,
        texts: Vec<String>,
        options: &TextOptions,
        deadline: &Deadline,
    ) -> Result<Vec<Result<EmbeddedText>>>;

    /// Splits texts into the tokens that the model of that name sees of them: one result for each, in order.
    ///
    /// # Errors
    /// `NotFound` (`model_not_found`) for an unknown model; `Timeout` at the deadline. Per item: those of
    /// [`crate::Embedder::tokenize`].
    async fn tokenize(
        &self,
        model: &str,
        texts: Vec<String>,
        options: &TextOptions,
        deadline: &Deadline,
    ) -> Result<Vec<Result<Vec<Token>>>>;

    /// Turns texts that a client has split by the model's own tokenizer back into texts: one result for each, in order.
    ///
    /// # Errors
    /// `NotFound` (`model_not_found`) for an unknown model; `Timeout` at the deadline. Per item: those of
    /// [`crate::Embedder::decode_tokens`].
    async fn decode_tokens(
        &self,
        model: &str,
        texts: Vec<Vec<u32>>,
        deadline: &Deadline,
    ) -> Result<Vec<Result<String>>>;

    /// Decodes a picture file and embeds it with the model of that name.
    ///
    /// # Errors
    /// `NotFound` (`model_not_found`) for an unknown model; those of decoding, which are the picture's; `Overloaded`
    /// and `Timeout`; those of [`crate::Embedder::embed_images`].
    async fn picture(&self, model: &str, file: Bytes, deadline: &Deadline) -> Result<EmbeddedPicture>;
}

/// A picture's vector and size.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddedPicture {
    /// The unit vector.
    pub embedding: Embedding,
    /// The width in pixels as the file stores it, before EXIF orientation.
    pub stored_width: u32,
    /// The height in pixels as the file stores it, before EXIF orientation.
    pub stored_height: u32,
}
