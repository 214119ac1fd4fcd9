//! What an OpenAI client sends.

use lucida_api::json::or_default;
use serde::Deserialize;
use serde_json::Value;

/// The body of a request. Exactly one of `input` and `messages` is given; a field that is null is absent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmbeddingsRequest {
    /// The inputs: see [`crate::inputs`].
    #[serde(default)]
    pub(crate) input: Value,
    /// One input as a chat message, in vLLM's form.
    #[serde(default)]
    pub(crate) messages: Value,
    /// The model; without it the configured one.
    #[serde(default)]
    pub(crate) model: Option<String>,
    /// What strings in `input` are, in infinity's form.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) modality: Modality,
    /// How vectors are written.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) encoding_format: EncodingFormat,
    /// The length of the vectors.
    #[serde(default)]
    pub(crate) dimensions: Option<usize>,
    /// Whether texts are queries or documents.
    #[serde(default)]
    pub(crate) input_type: Option<String>,
    /// The name of the prompt before each text.
    #[serde(default)]
    pub(crate) prompt_name: Option<String>,
    /// What is put before each text, as it is written; an empty one is nothing.
    #[serde(default)]
    pub(crate) prompt: Option<String>,
    /// Not used.
    #[serde(default)]
    #[expect(dead_code, reason = "clients send it, and it is of no use here")]
    pub(crate) user: Option<String>,
}

/// What strings are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Modality {
    /// Texts.
    #[default]
    Text,
    /// Pictures, as `data:` URIs.
    Image,
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EncodingFormat {
    /// As numbers.
    #[default]
    Float,
    /// As base64 of little-endian f32.
    Base64,
}
