//! The embeddings call of OpenAI's API, for clients that have it already.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lucida_core::{Deadline, Embedding, Error, TextOptions};
use lucida_library::EmbedRequest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::embed::check_text;
use super::json::{JsonBody, or_default};
use super::problem::Answer;
use super::query::{Query, invalid};
use super::refusals::Refusals;
use super::state::HttpState;

/// How many bytes of text a token stands for in `usage`, for a model whose tokens can't be counted.
const BYTES_PER_TOKEN: usize = 4;

/// The most texts of one call, as OpenAI's API has it. They enter the model's queue a few at a time, so `server.max_embed_items`
/// doesn't apply.
pub(super) const MAX_INPUTS: usize = 2048;

/// What an OpenAI client sends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "input": ["dog on the beach", "a red car"], "encoding_format": "float" }))]
pub(super) struct EmbeddingsRequest {
    /// A text, or several.
    #[serde(default)]
    #[schema(value_type = OneOrMany, required)]
    input: serde_json::Value,
    /// The model, by a name of `GET /v1/models`; without it the library's own.
    #[serde(default)]
    model: Option<String>,
    /// How vectors are written, numbers by default.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Option<EncodingFormat>)]
    encoding_format: EncodingFormat,
    /// The length of the vectors; if given, it must be the model's.
    #[serde(default)]
    dimensions: Option<usize>,
    /// Not used.
    #[serde(default)]
    #[expect(dead_code, reason = "clients send it, and it is of no use here")]
    user: Option<String>,
    /// Not used.
    #[serde(default)]
    #[expect(dead_code, reason = "clients send it, and it is of no use here")]
    input_type: Option<String>,
}

/// A text, or several.
#[derive(ToSchema)]
#[schema(as = EmbeddingsInput)]
#[serde(untagged)]
#[derive(Serialize)]
#[expect(dead_code, reason = "says in the OpenAPI document what `input` may be")]
pub(super) enum OneOrMany {
    /// One text.
    One(String),
    /// Several texts.
    Many(Vec<String>),
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum EncodingFormat {
    /// As numbers.
    #[default]
    Float,
    /// As base64 of little-endian f32.
    Base64,
}

/// What an OpenAI client gets.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EmbeddingsAnswer {
    /// Always `list`.
    object: &'static str,
    /// One vector for each input, in order.
    data: Vec<EmbeddingObject>,
    /// The model that made them.
    model: String,
    /// How many tokens the texts have.
    usage: Usage,
}

/// One vector.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EmbeddingObject {
    /// Always `embedding`.
    object: &'static str,
    /// The place of its input.
    index: usize,
    /// The unit vector.
    embedding: Encoded,
}

/// A vector in the wanted format.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Encoded {
    /// As numbers.
    Float(Vec<f32>),
    /// As base64 of little-endian f32.
    Base64(String),
}

/// How much text there was.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Usage {
    /// The tokens that the model sees, special ones included; for a model without a tokenizer that can be asked, an
    /// estimate of one for every four bytes.
    prompt_tokens: usize,
    /// The same.
    total_tokens: usize,
}

/// Turns texts into vectors, the way OpenAI's API does.
#[utoipa::path(
    post,
    path = "/v1/embeddings",
    tag = "embed",
    request_body = EmbeddingsRequest,
    responses((status = 200, description = "The vectors.", body = EmbeddingsAnswer), Refusals)
)]
pub(super) async fn embeddings(
    State(state): State<HttpState>,
    Extension(deadline): Extension<Deadline>,
    query: Query,
    JsonBody(asked): JsonBody<EmbeddingsRequest>,
) -> Answer<Json<EmbeddingsAnswer>> {
    query.finish("none")?;
    let model = state.models().choose(asked.model.as_deref())?;
    let info = model.describe();
    if asked.dimensions.is_some_and(|wanted| wanted != info.dimensions) {
        let message = format!(
            "`dimensions` must be {}, the length of this model's vectors",
            info.dimensions
        );
        return Err(invalid("dimensions", message).into());
    }
    let texts = texts_of(asked.input)?;
    if !(1..=MAX_INPUTS).contains(&texts.len()) {
        let message = format!("`input` has {} texts; 1 to {MAX_INPUTS} are allowed", texts.len());
        return Err(invalid("input", message).into());
    }
    for (place, text) in texts.iter().enumerate() {
        check_text(&format!("input[{place}]"), text, info.max_text_bytes)?;
    }
    let lengths: Vec<_> = texts.iter().map(String::len).collect();
    let request = EmbedRequest::new(Arc::clone(&model), deadline);
    let results = request.texts(texts, &TextOptions::default()).await?;
    let mut tokens = 0;
    let mut data = Vec::with_capacity(results.len());
    for (index, (result, length)) in results.into_iter().zip(lengths).enumerate() {
        let text = result.map_err(|error| error.with_field(format!("input[{index}]")))?;
        tokens += text.tokens.unwrap_or_else(|| length.div_ceil(BYTES_PER_TOKEN));
        data.push(EmbeddingObject {
            object: "embedding",
            index,
            embedding: encode(text.embedding, asked.encoding_format),
        });
    }
    let usage = Usage {
        prompt_tokens: tokens,
        total_tokens: tokens,
    };
    Ok(Json(EmbeddingsAnswer {
        object: "list",
        data,
        model: info.model.clone(),
        usage,
    }))
}

fn texts_of(input: serde_json::Value) -> Result<Vec<String>, Error> {
    use serde_json::Value;
    let refuse = || {
        invalid(
            "input",
            "`input` must be a text or a list of texts; token ids are not supported: send the text itself (in LangChain, \
             set `check_embedding_ctx_length=False`)",
        )
    };
    match input {
        Value::String(text) => Ok(vec![text]),
        Value::Array(items) => items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    Err(refuse())
                }
            })
            .collect(),
        Value::Null => Err(Error::invalid("missing field `input`")
            .with_code("missing_field")
            .with_field("input")),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => Err(refuse()),
    }
}

fn encode(embedding: Embedding, format: EncodingFormat) -> Encoded {
    match format {
        EncodingFormat::Float => Encoded::Float(embedding),
        EncodingFormat::Base64 => {
            let bytes: Vec<u8> = embedding.iter().flat_map(|number| number.to_le_bytes()).collect();
            Encoded::Base64(STANDARD.encode(bytes))
        }
    }
}
