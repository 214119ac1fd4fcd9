//! The calls `/api/embed` and `/api/embeddings`.

use std::time::Instant;

use axum::extract::Request;
use lucida_api::field::invalid;
use lucida_api::{ApiRequest, Embedded, Input, MAX_INPUTS, check_text, embed};
use lucida_core::{Embedding, Result, TextOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plugin::Service;

/// The body of `/api/embed`. Ollama ignores fields that it doesn't know, and `options` and `keep_alive` are of no use here.
#[derive(Debug, Deserialize)]
struct EmbedRequest {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    truncate: Option<bool>,
    #[serde(default)]
    dimensions: Option<usize>,
}

/// The body of `/api/embeddings`, the older call.
#[derive(Debug, Deserialize)]
struct EmbeddingsRequest {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    prompt: Option<String>,
}

/// The answer of `/api/embed`; durations are nanoseconds.
#[derive(Debug, Serialize)]
pub(crate) struct EmbedAnswer {
    model: String,
    embeddings: Vec<Embedding>,
    total_duration: u64,
    load_duration: u64,
    prompt_eval_count: usize,
}

/// The answer of `/api/embeddings`.
#[derive(Debug, Serialize)]
pub(crate) struct EmbeddingsAnswer {
    embedding: Embedding,
}

impl Service {
    /// Embeds texts: one vector for each, in order; none for an empty input, by which clients ask for the model alone.
    ///
    /// # Errors
    /// Those of the first text that failed, with its place; the client takes nothing else.
    pub(crate) async fn embed(&self, request: Request) -> Result<EmbedAnswer> {
        let started = Instant::now();
        let request = ApiRequest::read(request).await?;
        let asked: EmbedRequest = request.object()?;
        let texts = texts_of(asked.input)?;
        let options = TextOptions {
            dimensions: asked.dimensions,
            truncate: asked.truncate.unwrap_or(true),
            ..TextOptions::default()
        };
        let name = asked.model.unwrap_or_default();
        let embedded = self.vectors(&name, texts, &options, &request).await?;
        let tokens = embedded.iter().map(|text| text.tokens).sum();
        Ok(EmbedAnswer {
            model: name,
            embeddings: embedded.into_iter().map(|text| text.embedding).collect(),
            total_duration: u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX),
            // How much of it was loading is not known: other requests may have waited for the same model.
            load_duration: 0,
            prompt_eval_count: tokens,
        })
    }

    /// Embeds one text, in the shape of the older call.
    ///
    /// # Errors
    /// Those of the text.
    pub(crate) async fn embed_prompt(&self, request: Request) -> Result<EmbeddingsAnswer> {
        let request = ApiRequest::read(request).await?;
        let asked: EmbeddingsRequest = request.object()?;
        let prompt = asked.prompt.filter(|prompt| !prompt.is_empty());
        let texts = prompt.map(|prompt| ("prompt".to_owned(), prompt));
        let texts = texts.into_iter().collect();
        let name = asked.model.unwrap_or_default();
        let embedded = self
            .vectors(&name, texts, &TextOptions::default(), &request)
            .await?;
        let embedding = embedded.into_iter().next().map(|text| text.embedding);
        Ok(EmbeddingsAnswer {
            embedding: embedding.unwrap_or_default(),
        })
    }

    /// Embeds texts, each with the name of its place.
    async fn vectors(
        &self,
        model: &str,
        texts: Vec<(String, String)>,
        options: &TextOptions,
        request: &ApiRequest,
    ) -> Result<Vec<Embedded>> {
        let model = self.model(model)?;
        for (field, text) in &texts {
            check_text(field, text, model.max_text_bytes)?;
        }
        let (fields, texts): (Vec<_>, Vec<_>) = texts.into_iter().unzip();
        let inputs = texts.into_iter().map(Input::Text).collect();
        let embeddings = self.models.embeddings();
        let results = embed(embeddings, &model, inputs, options, &request.deadline).await?;
        let results = results.into_iter().zip(fields);
        results
            .map(|(result, field)| result.map_err(|error| error.with_field(field)))
            .collect()
    }
}

/// Reads `input`: a text or a list of texts, each with the name of its place.
fn texts_of(input: Value) -> Result<Vec<(String, String)>> {
    let refuse = |field: &str| invalid(field, format!("`{field}` must be a text"));
    let items = match input {
        Value::Null => return Ok(Vec::new()),
        Value::String(text) if text.is_empty() => return Ok(Vec::new()),
        Value::String(text) => return Ok(vec![("input".to_owned(), text)]),
        Value::Array(items) => items,
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Err(refuse("input")),
    };
    if items.len() > MAX_INPUTS {
        let message = format!(
            "`input` has {} texts; up to {MAX_INPUTS} are allowed",
            items.len()
        );
        return Err(invalid("input", message));
    }
    let texts = items.into_iter().enumerate().map(|(place, item)| {
        let field = format!("input[{place}]");
        match item {
            Value::String(text) => Ok((field, text)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                Err(refuse(&field))
            }
        }
    });
    texts.collect()
}
