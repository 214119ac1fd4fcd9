//! The plugin: its calls, and the shape of their failures.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Json;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use jiff::Timestamp;
use lucida_api::{Models, answered};
use lucida_core::{BodyKind, Endpoint, Failure, Hook, Plugin, PluginHost};
use serde_json::{Value, json};

use crate::config::ApiOllamaConfig;

/// The version of Ollama whose calls are answered: tools compare it with the one that they need.
const OLLAMA_VERSION: &str = "0.12.0";

/// Answers as Ollama does, for embeddings.
#[derive(Debug)]
pub struct ApiOllamaPlugin {
    config: ApiOllamaConfig,
}

/// What the calls work with.
pub(crate) struct Service {
    pub(crate) models: Models,
    /// When the server was started.
    pub(crate) started: Timestamp,
}

impl ApiOllamaPlugin {
    /// The plugin's name.
    pub const NAME: &'static str = "api-ollama";

    /// Makes the plugin.
    #[must_use]
    pub const fn new(config: ApiOllamaConfig) -> Self {
        Self { config }
    }

    fn posted(&self, path: &str, handler: MethodRouter, operation: Value) -> Endpoint {
        Endpoint {
            method: Method::POST,
            path: path.to_owned(),
            access: self.config.auth.to_embed(),
            // Ollama reads JSON whatever its content type is, and its documentation sends none.
            body: BodyKind::AnyJson,
            handler,
            operation,
        }
    }

    fn got(&self, path: &str, handler: MethodRouter, summary: &str) -> Endpoint {
        Endpoint {
            method: Method::GET,
            path: path.to_owned(),
            access: self.config.auth.to_look(),
            body: BodyKind::None,
            handler,
            operation: json!({
                "summary": summary,
                "responses": { "200": { "description": "The answer." } },
            }),
        }
    }
}

#[async_trait]
impl Plugin for ApiOllamaPlugin {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn hooks(&self) -> &[Hook] {
        &[]
    }

    fn endpoints(&self, host: PluginHost) -> Vec<Endpoint> {
        let service = Arc::new(Service {
            models: Models::new(host.embeddings, &self.config.models),
            started: Timestamp::now(),
        });
        let (embed, embed_prompt) = (Arc::clone(&service), Arc::clone(&service));
        let (tags, show) = (Arc::clone(&service), service);
        vec![
            self.posted(
                "/api/embed",
                post(async move |request: Request| answered(embed.embed(request).await)),
                operation("Embeds texts, as Ollama does.", &["model", "input"]),
            ),
            self.posted(
                "/api/embeddings",
                post(async move |request: Request| answered(embed_prompt.embed_prompt(request).await)),
                operation(
                    "Embeds a text, in the shape of Ollama's older call.",
                    &["model", "prompt"],
                ),
            ),
            self.posted(
                "/api/show",
                post(async move |request: Request| answered(show.show(request).await)),
                operation("Describes a model, as Ollama does.", &["model"]),
            ),
            self.got(
                "/api/tags",
                get(async move || Json(tags.tags())),
                "Lists the models that take texts, as Ollama does.",
            ),
            self.got(
                "/api/version",
                get(async || Json(json!({ "version": OLLAMA_VERSION }))),
                "Returns the version of Ollama whose calls are answered.",
            ),
        ]
    }

    fn failure_body(&self, failure: &Failure) -> Option<Response> {
        Some(Json(json!({ "error": failure.message })).into_response())
    }
}

fn operation(summary: &str, required: &[&str]) -> Value {
    json!({
        "summary": summary,
        "requestBody": { "required": true, "content": { "application/json": { "schema": {
            "type": "object",
            "required": required,
        } } } },
        "responses": {
            "200": { "description": "The answer, in Ollama's shape." },
            "default": { "description": "A failure; `error` says which." },
        },
    })
}
