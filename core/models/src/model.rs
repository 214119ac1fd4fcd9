//! The contract of a model: synchronous towers that compute one batch, and the preparation of their inputs.

use lucida_core::{EmbedderInfo, Picture, Result, Token, no_tokenizer};

/// A model of an image and a text tower in one space.
///
/// Preparation runs on many threads at once; a tower is loaded, used and dropped on one thread of its own.
/// [`crate::Batched`] turns a model into an [`lucida_core::Embedder`].
pub trait Model: Send + Sync + 'static {
    /// The half that takes pictures.
    type Visual: Tower;
    /// The half that takes texts.
    type Textual: Tower;

    /// Returns what the model is; cheap, needs no loaded weights.
    fn describe(&self) -> EmbedderInfo;

    /// Returns the size of its weights in bytes, as [`lucida_core::Embedder::weight_bytes`] does.
    fn weight_bytes(&self) -> Option<u64> {
        None
    }

    /// Splits a text into tokens, as [`lucida_core::Embedder::tokenize`] does; the text is neither empty nor too long.
    ///
    /// # Errors
    /// `InvalidInput` for a text that the model can't take; `Unsupported` where it has no tokenizer that can be asked.
    fn tokenize(&self, _text: TextInput<'_>) -> Result<Vec<Token>> {
        Err(no_tokenizer(&self.describe().model))
    }

    /// Turns token ids back into a text, as [`lucida_core::Embedder::decode_tokens`] does.
    ///
    /// # Errors
    /// `InvalidInput` for an id that the vocabulary doesn't have; `Unsupported` as for `tokenize`.
    fn decode_tokens(&self, _ids: &[u32]) -> Result<String> {
        Err(no_tokenizer(&self.describe().model))
    }

    /// Turns a picture into the image tower's input.
    ///
    /// # Errors
    /// `InvalidInput` for a picture that the model can't take.
    fn prepare_image(&self, picture: &Picture) -> Result<<Self::Visual as Tower>::Input>;

    /// Turns a text into the text tower's input; the text is neither empty nor too long.
    ///
    /// # Errors
    /// `InvalidInput` for a text that the model can't take, and for one over its limit that isn't to be cut.
    fn prepare_text(&self, text: TextInput<'_>) -> Result<<Self::Textual as Tower>::Input>;

    /// Loads the image tower.
    ///
    /// # Errors
    /// `Unsupported` where the model has none; `Unavailable`, `InvalidInput` or `Internal`, naming the file.
    fn load_visual(&self) -> Result<Self::Visual>;

    /// Loads the text tower.
    ///
    /// # Errors
    /// `Unsupported` where the model has none; `Unavailable`, `InvalidInput` or `Internal`, naming the file.
    fn load_textual(&self) -> Result<Self::Textual>;
}

/// A text, what the model is given before it, and what happens to it beyond the model's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextInput<'a> {
    /// The prompt; may be empty.
    pub prompt: &'a str,
    /// The text.
    pub text: &'a str,
    /// Whether more tokens than the model takes are cut off, instead of refusing the text.
    pub truncate: bool,
}

impl<'a> TextInput<'a> {
    /// Returns a text without a prompt, which may be cut.
    #[must_use]
    pub const fn plain(text: &'a str) -> Self {
        Self {
            prompt: "",
            text,
            truncate: true,
        }
    }
}

/// One half of a model, in memory, used by one thread.
pub trait Tower: 'static {
    /// What it computes on, made by the model's preparation.
    type Input: Send + 'static;

    /// Computes one batch: a vector for each input, in order. The vectors need not have unit length.
    ///
    /// # Errors
    /// Per item, `Internal` where the computation failed.
    fn embed(&mut self, batch: &[Self::Input]) -> Vec<Result<Vec<f32>>>;

    /// Returns how much of a batch's budget an input takes, at least 1.
    fn cost(_input: &Self::Input) -> usize {
        1
    }

    /// Returns how many tokens a text has, special tokens and the prompt counted; `None` where that is unknown.
    fn token_count(_input: &Self::Input) -> Option<usize> {
        None
    }
}
