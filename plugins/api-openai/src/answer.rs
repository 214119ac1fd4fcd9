//! What an OpenAI client gets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lucida_core::Embedding;
use serde::Serialize;

use crate::request::EncodingFormat;

/// The answer to a request.
#[derive(Debug, Serialize)]
pub(crate) struct EmbeddingsAnswer {
    object: &'static str,
    data: Vec<EmbeddingObject>,
    model: String,
    usage: Usage,
}

impl EmbeddingsAnswer {
    /// Makes the answer of a model to inputs of so many tokens.
    pub(crate) fn new(model: String, data: Vec<EmbeddingObject>, tokens: usize) -> Self {
        Self {
            object: "list",
            data,
            model,
            usage: Usage {
                prompt_tokens: tokens,
                total_tokens: tokens,
            },
        }
    }
}

/// One vector.
#[derive(Debug, Serialize)]
pub(crate) struct EmbeddingObject {
    object: &'static str,
    index: usize,
    embedding: Encoded,
}

impl EmbeddingObject {
    /// Makes the object of the input at `index`.
    pub(crate) fn new(index: usize, embedding: Embedding, format: EncodingFormat) -> Self {
        Self {
            object: "embedding",
            index,
            embedding: Encoded::new(embedding, format),
        }
    }
}

/// A vector in the wanted format.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Encoded {
    Float(Embedding),
    Base64(String),
}

impl Encoded {
    fn new(embedding: Embedding, format: EncodingFormat) -> Self {
        match format {
            EncodingFormat::Float => Self::Float(embedding),
            EncodingFormat::Base64 => {
                let bytes: Vec<u8> = embedding.iter().flat_map(|number| number.to_le_bytes()).collect();
                Self::Base64(STANDARD.encode(bytes))
            }
        }
    }
}

/// How much text there was.
#[derive(Debug, Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}
