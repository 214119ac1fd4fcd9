//! Models that turn pictures and texts into vectors of one space.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::id::Fingerprint;
use crate::picture::{DecodeSize, Picture};
use crate::text::{Prompt, TextInfo, TextOptions};

/// A unit vector, `(dimensions,)` f32.
pub type Embedding = Vec<f32>;

/// A text's vector, and how much of a text it was.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddedText {
    /// The unit vector.
    pub embedding: Embedding,
    /// How many tokens the model saw, special tokens and the prompt counted; `None` where that is unknown.
    pub tokens: Option<usize>,
}

/// How urgent a piece of work is: the interactive lane goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Somebody waits for the answer: a search or an `/embed` call.
    Interactive,
    /// Nobody waits: ingestion, a change of models.
    Background,
}

impl Lane {
    /// Returns the name that metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Background => "background",
        }
    }
}

/// Which half of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TowerKind {
    /// The half that takes pictures.
    Image,
    /// The half that takes texts.
    Text,
}

impl TowerKind {
    /// Returns the name that metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Text => "text",
        }
    }
}

/// What an embedder takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modalities {
    /// Whether it takes pictures.
    pub image: bool,
    /// Whether it takes texts.
    pub text: bool,
}

/// What an embedder is: enough to know whether two vectors may be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedderInfo {
    /// The model's name for people and for the `model` field of answers, such as `starter`.
    pub model: String,
    /// What makes its vectors comparable.
    pub fingerprint: Fingerprint,
    /// The length of its vectors.
    pub dimensions: usize,
    /// What it takes.
    pub modalities: Modalities,
    /// How long a text may be, in bytes, without its prompt; longer ones are refused.
    pub max_text_bytes: usize,
    /// What requests may say of texts.
    #[serde(default)]
    pub texts: TextInfo,
    /// The size of picture that is enough for the image tower.
    #[serde(default)]
    pub decode_size: DecodeSize,
}

impl EmbedderInfo {
    /// Checks that the model allows what a request says of its texts.
    ///
    /// # Errors
    /// `InvalidInput`, with the field `prompt`, `prompt_name` or `dimensions`, and what is allowed.
    pub fn check_text_options(&self, options: &TextOptions) -> Result<()> {
        self.texts.prompt(&options.prompt)?;
        if let Prompt::Text(text) = &options.prompt
            && text.len() > self.max_text_bytes
        {
            let message = format!(
                "`prompt` has {} bytes; it may have {}, the model's limit for texts",
                text.len(),
                self.max_text_bytes
            );
            return Err(Error::invalid(message)
                .with_code("text_too_long")
                .with_field("prompt"));
        }
        let Some(dimensions) = options.dimensions else {
            return Ok(());
        };
        self.texts
            .check_dimensions(dimensions, self.dimensions, &self.model)
    }
}

/// A piece of a text as a model sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its number in the model's vocabulary.
    pub id: u32,
    /// Its spelling in the vocabulary.
    pub text: String,
    /// Whether the model adds it to every text, such as `[CLS]`.
    pub special: bool,
}

/// Turns pictures and texts into unit vectors of one space.
///
/// The same input gives the same vector, bit for bit, whatever else is in the call or the batch. A call with
/// nothing in it returns nothing. Implementations must not retry or time: the decorators do.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// Returns what the embedder is; cheap, needs no loaded weights.
    fn describe(&self) -> &EmbedderInfo;

    /// Returns the size of its weights in bytes, as their files have them: about what it takes in memory. `None` where it is
    /// unknown.
    fn weight_bytes(&self) -> Option<u64> {
        None
    }

    /// Returns whether any of its weights are in memory.
    fn is_loaded(&self) -> bool {
        true
    }

    /// Splits texts into the tokens that the model sees of them, special tokens and the prompt included, without padding: one
    /// result for each text, in order. Needs no loaded weights.
    ///
    /// # Errors
    /// Per item: `InvalidInput` as for `embed_texts`; `Unsupported` where the model has no tokenizer that can be asked.
    async fn tokenize(&self, texts: Vec<String>, _options: &TextOptions) -> Vec<Result<Vec<Token>>> {
        let model = &self.describe().model;
        let unsupported = |_| Err(no_tokenizer(model));
        texts.into_iter().map(unsupported).collect()
    }

    /// Turns texts that a client has split by the model's own tokenizer back into texts, without special tokens: one result
    /// for each, in order. Needs no loaded weights.
    ///
    /// # Errors
    /// Per item: `InvalidInput` for an id that the model's vocabulary doesn't have; `Unsupported` as for `tokenize`.
    async fn decode_tokens(&self, texts: Vec<Vec<u32>>) -> Vec<Result<String>> {
        let model = &self.describe().model;
        let unsupported = |_| Err(no_tokenizer(model));
        texts.into_iter().map(unsupported).collect()
    }

    /// Embeds pictures: one result for each, in order.
    ///
    /// # Errors
    /// Per item: `Unsupported` without an image tower, `Overloaded` when the lane is full, `Unavailable` when
    /// the model can't be loaded, `Internal` when the model gives no usable vector.
    async fn embed_images(&self, pictures: Vec<Arc<Picture>>, lane: Lane) -> Vec<Result<Embedding>>;

    /// Embeds texts: one result for each, in order.
    ///
    /// # Errors
    /// Per item: `InvalidInput` for an empty or too long text and for options that the model doesn't allow, `Unsupported`
    /// without a text tower, and those of `embed_images`.
    async fn embed_texts(
        &self,
        texts: Vec<String>,
        options: &TextOptions,
        lane: Lane,
    ) -> Vec<Result<EmbeddedText>>;

    /// Embeds something real with each tower that is meant to be in memory, to see that it works.
    ///
    /// # Errors
    /// `Unavailable`, naming the tower and the reason.
    async fn ping(&self) -> Result<()>;
}

/// Returns the error of a model without a tokenizer that can be asked.
#[must_use]
pub fn no_tokenizer(model: &str) -> Error {
    let message = format!("model `{model}` has no tokenizer that can be asked");
    Error::new(ErrorKind::Unsupported, message)
}

/// Embeds one picture.
///
/// # Errors
/// Those of [`Embedder::embed_images`].
pub async fn embed_image(embedder: &dyn Embedder, picture: Arc<Picture>, lane: Lane) -> Result<Embedding> {
    only(embedder.embed_images(vec![picture], lane).await)
}

/// Embeds one text with the default options.
///
/// # Errors
/// Those of [`Embedder::embed_texts`].
pub async fn embed_text(embedder: &dyn Embedder, text: String, lane: Lane) -> Result<Embedding> {
    let result = embed_text_with(embedder, text, &TextOptions::default(), lane).await;
    result.map(|text| text.embedding)
}

/// Embeds one text.
///
/// # Errors
/// Those of [`Embedder::embed_texts`].
pub async fn embed_text_with(
    embedder: &dyn Embedder,
    text: String,
    options: &TextOptions,
    lane: Lane,
) -> Result<EmbeddedText> {
    only(embedder.embed_texts(vec![text], options, lane).await)
}

/// Embeds texts with the default options: one result for each, in order.
///
/// # Errors
/// Those of [`Embedder::embed_texts`].
pub async fn embed_texts(embedder: &dyn Embedder, texts: Vec<String>, lane: Lane) -> Vec<Result<Embedding>> {
    let results = embedder.embed_texts(texts, &TextOptions::default(), lane).await;
    results
        .into_iter()
        .map(|result| result.map(|text| text.embedding))
        .collect()
}

fn only<T>(results: Vec<Result<T>>) -> Result<T> {
    let count = results.len();
    match results.into_iter().next() {
        Some(result) if count == 1 => result,
        Some(_) | None => Err(Error::internal(format!(
            "the embedder gave {count} results for one input"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_reads_the_model_that_an_older_version_recorded() {
        let stored = serde_json::json!({
            "model": "starter",
            "fingerprint": Fingerprint::derive("starter", b"weights", "1"),
            "dimensions": 384,
            "modalities": {"image": true, "text": true},
            "max_text_bytes": 16_384,
            "decode_short_side_pixels": 464,
        });
        let info: EmbedderInfo = serde_json::from_value(stored).unwrap();
        assert_eq!(info.dimensions, 384);
        assert_eq!(info.texts, TextInfo::default());
        assert_eq!(info.decode_size, DecodeSize::FULL);
    }
}
