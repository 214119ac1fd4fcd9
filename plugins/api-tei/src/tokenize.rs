//! The calls `/tokenize` and `/decode`.

use axum::extract::Request;
use lucida_api::ApiRequest;
use lucida_api::field::invalid;
use lucida_core::{PromptFields, Result, TextOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::inputs::{Inputs, TextInput};
use crate::plugin::Service;

/// Texts to split.
#[derive(Debug, Deserialize)]
struct TokenizeRequest {
    #[serde(default)]
    inputs: Value,
    #[serde(default)]
    add_special_tokens: Option<bool>,
    #[serde(default)]
    prompt_name: Option<String>,
}

/// Token ids to turn into texts.
#[derive(Debug, Deserialize)]
struct DecodeRequest {
    #[serde(default)]
    ids: Value,
    #[serde(default)]
    skip_special_tokens: Option<bool>,
}

/// A token. Its place in the text is not known here.
#[derive(Debug, Serialize)]
pub(crate) struct SimpleToken {
    id: u32,
    text: String,
    special: bool,
    start: Option<usize>,
    stop: Option<usize>,
}

impl Service {
    /// Splits texts into the tokens that the model sees of them.
    ///
    /// # Errors
    /// Those of the first text that failed, with its place.
    pub(crate) async fn tokenize(&self, request: Request) -> Result<Vec<Vec<SimpleToken>>> {
        let request = ApiRequest::read(request).await?;
        let asked: TokenizeRequest = request.object()?;
        let model = self.model()?;
        let inputs = Inputs::read("inputs", &asked.inputs)?;
        self.check_batch(inputs.items.len())?;
        let mut texts = Vec::with_capacity(inputs.items.len());
        for (place, input) in inputs.items.into_iter().enumerate() {
            match input {
                TextInput::Text(text) => texts.push(text),
                TextInput::Tokens(_) => {
                    let field = format!("inputs[{place}]");
                    return Err(invalid(field, "`inputs` must be a text or a list of texts"));
                }
            }
        }
        let options = TextOptions {
            prompt: PromptFields {
                prompt_name: asked.prompt_name.as_deref(),
                ..PromptFields::default()
            }
            .choose()?,
            ..TextOptions::default()
        };
        let with_special = asked.add_special_tokens.unwrap_or(true);
        let results = self
            .models
            .embeddings()
            .tokenize(&model.model, texts, &options, &request.deadline)
            .await?;
        let results = results.into_iter().enumerate().map(|(place, tokens)| {
            let tokens = tokens.map_err(|error| error.with_field(format!("inputs[{place}]")))?;
            let tokens = tokens.into_iter().filter(|token| with_special || !token.special);
            Ok(tokens
                .map(|token| SimpleToken {
                    id: token.id,
                    text: token.text,
                    special: token.special,
                    start: None,
                    stop: None,
                })
                .collect())
        });
        results.collect()
    }

    /// Turns token ids into texts, without special tokens.
    ///
    /// # Errors
    /// Those of the first input that failed, with its place.
    pub(crate) async fn decode(&self, request: Request) -> Result<Vec<String>> {
        let request = ApiRequest::read(request).await?;
        let asked: DecodeRequest = request.object()?;
        let model = self.model()?;
        if asked.skip_special_tokens == Some(false) {
            let message =
                "`skip_special_tokens` is false, and special tokens are always left out here: leave it out";
            return Err(invalid("skip_special_tokens", message));
        }
        let inputs = Inputs::read("ids", &asked.ids)?;
        self.check_batch(inputs.items.len())?;
        let mut ids = Vec::with_capacity(inputs.items.len());
        for input in inputs.items {
            match input {
                TextInput::Tokens(tokens) => ids.push(tokens),
                TextInput::Text(_) => {
                    let message = "`ids` must be a list of token ids, or a list of such lists";
                    return Err(invalid("ids", message));
                }
            }
        }
        let texts = self
            .models
            .embeddings()
            .decode_tokens(&model.model, ids, &request.deadline);
        let texts = texts.await?.into_iter().enumerate();
        let texts =
            texts.map(|(place, text)| text.map_err(|error| error.with_field(format!("ids[{place}]"))));
        texts.collect()
    }
}
