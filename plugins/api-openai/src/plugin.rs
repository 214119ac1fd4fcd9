//! The plugin: its call, and the shape of its failures.

use async_trait::async_trait;
use axum::extract::Request;
use axum::http::Method;
use axum::routing::post;
use lucida_api::{MAX_INPUTS, Models, answered, openai_error};
use lucida_core::{Access, BodyKind, Endpoint, Failure, Hook, Plugin, PluginHost, Scope};
use serde_json::{Map, Value, json};

use crate::config::{ApiOpenaiConfig, PLUGIN_NAME};
use crate::embeddings::Answerer;

/// Answers as OpenAI's embeddings API does.
#[derive(Debug)]
pub struct ApiOpenaiPlugin {
    config: ApiOpenaiConfig,
}

impl ApiOpenaiPlugin {
    /// The plugin's name.
    pub const NAME: &'static str = PLUGIN_NAME;

    /// Makes the plugin.
    #[must_use]
    pub const fn new(config: ApiOpenaiConfig) -> Self {
        Self { config }
    }
}

#[async_trait]
impl Plugin for ApiOpenaiPlugin {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn hooks(&self) -> &[Hook] {
        &[]
    }

    fn endpoints(&self, host: PluginHost) -> Vec<Endpoint> {
        let models = Models::new(host.embeddings, &self.config.models);
        let max_text_bytes = models.choose(None).map_or(0, |model| model.max_text_bytes);
        let answerer = Answerer {
            models,
            token_ids: self.config.token_ids,
            fetcher: host.fetcher,
        };
        let handler = post(move |request: Request| {
            let answerer = answerer.clone();
            async move { answered(answerer.answer(request).await) }
        });
        vec![Endpoint {
            method: Method::POST,
            path: "/v1/embeddings".to_owned(),
            access: Access::scope(Scope::Embed),
            body: BodyKind::Json,
            handler,
            operation: operation(max_text_bytes),
        }]
    }

    fn failure_members(&self, failure: &Failure) -> Map<String, Value> {
        Map::from_iter([("error".to_owned(), openai_error(failure))])
    }
}

/// Describes the call; `max_text_bytes` is the configured model's limit.
fn operation(max_text_bytes: usize) -> Value {
    // A text has no more characters than bytes.
    let text = json!({ "type": "string", "minLength": 1, "maxLength": max_text_bytes });
    let tokens = json!({ "type": "array", "minItems": 1, "items": { "type": "integer", "minimum": 0 } });
    let part = json!({
        "type": "object",
        "description": "A content part: a text, or a picture as a `data:` URI.",
        "required": ["type"],
        "properties": {
            "type": { "type": "string", "enum": ["text", "image_url"] },
            "text": text,
            "image_url": { "type": "object", "properties": { "url": { "type": "string" } } },
        },
    });
    json!({
        "tags": ["embed"],
        "summary": "Turns texts and pictures into vectors, the way OpenAI's API does.",
        "requestBody": { "required": true, "content": { "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "input": {
                        "description": "One input or several: texts, token ids, or content parts.",
                        "oneOf": [text, {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MAX_INPUTS,
                            "items": { "oneOf": [text, tokens, part] },
                        }, tokens],
                    },
                    "messages": {
                        "description": "Instead of `input`: one message whose content is a text or one content part, as \
                                        vLLM reads it.",
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 1,
                        "items": { "type": "object" },
                    },
                    "modality": {
                        "description": "What strings of `input` are: texts, or pictures as `data:` URIs, as infinity reads them.",
                        "type": "string",
                        "enum": ["text", "image"],
                        "default": "text",
                    },
                    "model": {
                        "description": "The model, by a name of `GET /v1/models`; without it the library's own.",
                        "type": "string",
                    },
                    "encoding_format": {
                        "description": "How vectors are written: numbers, or base64 of little-endian f32.",
                        "type": "string",
                        "enum": ["float", "base64"],
                        "default": "float",
                    },
                    "dimensions": {
                        "description": "The length of the vectors, for models that allow shorter ones.",
                        "type": "integer",
                        "minimum": 1,
                    },
                    "input_type": {
                        "description": "`query` or `document`: the prompt that the model has for such texts.",
                        "type": "string",
                    },
                    "prompt_name": { "description": "The prompt of the model, by its name.", "type": "string" },
                    "prompt": {
                        "description": "What is put before each text, as it is written, instead of a prompt of the model; \
                                        an empty one is nothing, also for a model with a default prompt.",
                        "type": "string",
                    },
                    "user": { "description": "Not used.", "type": "string" },
                },
            },
            "example": { "input": ["dog on the beach", "a red car"], "encoding_format": "float" },
        } } },
        "responses": {
            "200": { "description": "The vectors.", "content": { "application/json": { "schema": {
                "type": "object",
                "required": ["object", "data", "model", "usage"],
                "properties": {
                    "object": { "const": "list" },
                    "data": { "type": "array", "items": {
                        "type": "object",
                        "required": ["object", "index", "embedding"],
                        "properties": {
                            "object": { "const": "embedding" },
                            "index": { "type": "integer", "description": "The place of its input." },
                            "embedding": { "oneOf": [
                                { "type": "array", "items": { "type": "number" } },
                                { "type": "string" },
                            ] },
                        },
                    } },
                    "model": { "type": "string" },
                    "usage": {
                        "type": "object",
                        "description": "The tokens of all texts, special ones and prompts included; an estimate for a model \
                                        without a tokenizer that can be asked.",
                        "properties": {
                            "prompt_tokens": { "type": "integer" },
                            "total_tokens": { "type": "integer" },
                        },
                    },
                },
            } } } },
            "default": { "description": "A failure; `error` says which.", "content": { "application/problem+json": {
                "schema": { "$ref": "#/components/schemas/ProblemBody" },
            } } },
        },
    })
}
