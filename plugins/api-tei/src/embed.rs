//! The call `/embed`.

use axum::extract::Request;
use lucida_api::field::invalid;
use lucida_api::{ApiRequest, check_text};
use lucida_core::{Deadline, EmbedderInfo, Embedding, Error, PromptFields, Result, TextOptions};
use serde::Deserialize;
use serde_json::Value;

use crate::inputs::{Inputs, TextInput};
use crate::plugin::Service;

/// The body of a request; fields of later versions are ignored, as text-embeddings-inference does.
#[derive(Debug, Deserialize)]
struct EmbedRequest {
    #[serde(default)]
    inputs: Value,
    #[serde(default)]
    truncate: Option<bool>,
    #[serde(default)]
    truncation_direction: Option<String>,
    #[serde(default)]
    normalize: Option<bool>,
    #[serde(default)]
    prompt_name: Option<String>,
    #[serde(default)]
    dimensions: Option<usize>,
}

impl Service {
    /// Embeds texts: one vector for each, in order.
    ///
    /// # Errors
    /// Those of the first input that failed, with its place; the client takes nothing else.
    pub(crate) async fn embed(&self, request: Request) -> Result<Vec<Embedding>> {
        let request = ApiRequest::read(request).await?;
        let asked: EmbedRequest = request.object()?;
        let model = self.model()?;
        if asked.normalize == Some(false) {
            let message = "`normalize` is false, and vectors have unit length here: leave it out";
            return Err(invalid("normalize", message));
        }
        let truncate = asked.truncate.unwrap_or(self.config.auto_truncate);
        check_direction(asked.truncation_direction.as_deref(), truncate)?;
        let options = TextOptions {
            prompt: PromptFields {
                prompt_name: asked.prompt_name.as_deref(),
                ..PromptFields::default()
            }
            .choose()?,
            dimensions: asked.dimensions,
            truncate,
        };
        let inputs = Inputs::read("inputs", &asked.inputs)?;
        self.check_batch(inputs.items.len())?;
        let place = |index: usize| {
            if inputs.is_batch {
                format!("inputs[{index}]")
            } else {
                "inputs".to_owned()
            }
        };
        let texts = self
            .texts_of(&model, &inputs.items, place, &request.deadline)
            .await?;
        let results = self
            .models
            .embeddings()
            .texts(&model.model, texts, &options, &request.deadline)
            .await?;
        let results = results.into_iter().enumerate().map(|(index, result)| {
            let text = result.map_err(|error| error.with_field(place(index)))?;
            Ok(text.embedding)
        });
        results.collect()
    }

    /// Refuses more inputs than the settings allow, with the status of a body that is too large.
    pub(crate) fn check_batch(&self, count: usize) -> Result<()> {
        let most = self.config.max_client_batch_size;
        if count <= most {
            return Ok(());
        }
        // In the words of text-embeddings-inference, which clients may look for.
        let message =
            format!("batch size {count} > maximum allowed batch size {most} (max_client_batch_size)");
        Err(Error::invalid(message)
            .with_code("payload_too_large")
            .with_field("inputs"))
    }

    /// Decodes token ids, and checks all texts.
    pub(crate) async fn texts_of(
        &self,
        model: &EmbedderInfo,
        inputs: &[TextInput],
        place: impl Fn(usize) -> String,
        deadline: &Deadline,
    ) -> Result<Vec<String>> {
        let ids = inputs.iter().filter_map(|input| match input {
            TextInput::Tokens(ids) => Some(ids.clone()),
            TextInput::Text(_) => None,
        });
        let ids: Vec<_> = ids.collect();
        let mut decoded = Vec::new().into_iter();
        if !ids.is_empty() {
            let texts = self
                .models
                .embeddings()
                .decode_tokens(&model.model, ids, deadline);
            decoded = texts.await?.into_iter();
        }
        let texts = inputs.iter().enumerate().map(|(index, input)| {
            let field = place(index);
            let text = match input {
                TextInput::Text(text) => text.clone(),
                TextInput::Tokens(_) => decoded
                    .next()
                    .unwrap_or_else(|| Err(Error::internal("the tokenizer gave no result")))
                    .map_err(|error| error.with_field(field.clone()))?,
            };
            check_text(&field, &text, model.max_text_bytes)?;
            Ok(text)
        });
        texts.collect()
    }
}

/// Refuses to cut the beginnings of texts: models cut the ends.
fn check_direction(direction: Option<&str>, truncate: bool) -> Result<()> {
    match direction {
        None => Ok(()),
        Some(direction) if direction.eq_ignore_ascii_case("right") => Ok(()),
        Some(direction) if direction.eq_ignore_ascii_case("left") => {
            if truncate {
                let message =
                    "`truncation_direction` is `left`, and texts are cut at their end here: leave it out";
                return Err(invalid("truncation_direction", message));
            }
            Ok(())
        }
        Some(direction) => {
            let message = format!("`truncation_direction` is `{direction}`; expected `right`");
            Err(invalid("truncation_direction", message))
        }
    }
}
