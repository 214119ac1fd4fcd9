//! The plugin: its calls, and the shape of their failures.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Json;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use lucida_api::{Models, answered};
use lucida_core::{
    Access, BodyKind, EmbedderInfo, Endpoint, Error, ErrorKind, Failure, Hook, Plugin, PluginHost, Refusal,
    Result,
};
use serde_json::{Value, json};

use crate::config::ApiTeiConfig;

/// Answers as text-embeddings-inference does.
#[derive(Debug)]
pub struct ApiTeiPlugin {
    config: Arc<ApiTeiConfig>,
}

/// What the calls work with.
pub(crate) struct Service {
    pub(crate) config: Arc<ApiTeiConfig>,
    pub(crate) models: Models,
}

impl Service {
    /// Returns the model that answers.
    pub(crate) fn model(&self) -> Result<EmbedderInfo> {
        self.models.choose(self.config.model.as_deref())
    }
}

impl ApiTeiPlugin {
    /// The plugin's name.
    pub const NAME: &'static str = "api-tei";

    /// Makes the plugin.
    #[must_use]
    pub fn new(config: ApiTeiConfig) -> Self {
        Self {
            config: Arc::new(config),
        }
    }
}

#[async_trait]
impl Plugin for ApiTeiPlugin {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn hooks(&self) -> &[Hook] {
        &[]
    }

    fn endpoints(&self, host: PluginHost) -> Vec<Endpoint> {
        let service = Arc::new(Service {
            config: Arc::clone(&self.config),
            models: Models::new(host.embeddings, &BTreeMap::new()),
        });
        let path = |rest: &str| format!("{}{rest}", self.config.path);
        let embed = |rest: &str| {
            let service = Arc::clone(&service);
            Endpoint {
                method: Method::POST,
                path: path(rest),
                access: self.config.auth.to_embed(),
                body: BodyKind::Json,
                handler: post(async move |request: Request| answered(service.embed(request).await)),
                operation: operation("Embeds texts.", &["inputs"], "One vector for each text."),
            }
        };
        // Clients that are given only the server's address post to it.
        let mut endpoints: Vec<_> = ["", "/", "/embed"].map(embed).into();
        let of_info = Arc::clone(&service);
        let of_tokenize = Arc::clone(&service);
        let of_decode = Arc::clone(&service);
        endpoints.extend([
            Endpoint {
                method: Method::POST,
                path: path("/embed_all"),
                access: self.config.auth.to_embed(),
                body: BodyKind::Json,
                handler: post(async || Refusal(no_token_vectors())),
                operation: operation(
                    "Refused: Lucida gives one vector for a text, not one for each token.",
                    &["inputs"],
                    "Never.",
                ),
            },
            Endpoint {
                method: Method::POST,
                path: path("/tokenize"),
                access: self.config.auth.to_embed(),
                body: BodyKind::Json,
                handler: post(async move |request: Request| answered(of_tokenize.tokenize(request).await)),
                operation: operation(
                    "Splits texts into tokens.",
                    &["inputs"],
                    "The tokens of each text.",
                ),
            },
            Endpoint {
                method: Method::POST,
                path: path("/decode"),
                access: self.config.auth.to_embed(),
                body: BodyKind::Json,
                handler: post(async move |request: Request| answered(of_decode.decode(request).await)),
                operation: operation("Turns token ids into texts.", &["ids"], "The texts."),
            },
            Endpoint {
                method: Method::GET,
                path: path("/info"),
                access: self.config.auth.to_look(),
                body: BodyKind::None,
                handler: get(async move || answered(of_info.info())),
                operation: json!({
                    "summary": "Describes the model and the limits.",
                    "responses": { "200": { "description": "The model and the limits." } },
                }),
            },
            Endpoint {
                method: Method::GET,
                path: path("/health"),
                // It says nothing but that the server runs.
                access: Access::Open,
                body: BodyKind::None,
                handler: get(async || StatusCode::OK),
                operation: json!({
                    "summary": "Reports that the server runs.",
                    "responses": { "200": { "description": "It runs." } },
                }),
            },
        ]);
        endpoints
    }

    fn failure_body(&self, failure: &Failure) -> Option<Response> {
        Some(
            Json(json!({ "error": failure.message, "error_type": error_type(failure.status) }))
                .into_response(),
        )
    }
}

/// Returns the word that text-embeddings-inference has for a failure.
const fn error_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        429 => "Overloaded",
        503 => "Unhealthy",
        500.. => "Backend",
        _ => "Validation",
    }
}

fn no_token_vectors() -> Error {
    let message = "vectors of single tokens are not available here: `/embed` gives one vector for a text";
    Error::new(ErrorKind::Unsupported, message).with_code("no_tower")
}

fn operation(summary: &str, required: &[&str], answer: &str) -> Value {
    json!({
        "summary": summary,
        "requestBody": { "required": true, "content": { "application/json": { "schema": {
            "type": "object",
            "required": required,
        } } } },
        "responses": {
            "200": { "description": answer },
            "default": { "description": "A failure; `error` says which." },
        },
    })
}
