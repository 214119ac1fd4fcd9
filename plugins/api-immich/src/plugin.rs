//! The plugin: its two calls, and the shape of their failures.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Json;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use lucida_core::{Access, BodyKind, Endpoint, Failure, Hook, Plugin, PluginHost};
use serde_json::json;

use crate::config::{ApiImmichConfig, PLUGIN_NAME};
use crate::predict::Predictor;

/// Answers as Immich's machine-learning service does.
#[derive(Debug)]
pub struct ApiImmichPlugin {
    config: ApiImmichConfig,
}

impl ApiImmichPlugin {
    /// The plugin's name.
    pub const NAME: &'static str = PLUGIN_NAME;

    /// Makes the plugin.
    #[must_use]
    pub const fn new(config: ApiImmichConfig) -> Self {
        Self { config }
    }
}

#[async_trait]
impl Plugin for ApiImmichPlugin {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn hooks(&self) -> &[Hook] {
        &[]
    }

    fn endpoints(&self, host: PluginHost) -> Vec<Endpoint> {
        let predictor = Predictor {
            embeddings: host.embeddings,
            models: Arc::new(self.config.models.clone()),
        };
        let predict = post(move |request: Request| {
            let predictor = predictor.clone();
            async move { predictor.answer(request).await }
        });
        vec![
            Endpoint {
                method: Method::GET,
                path: "/ping".to_owned(),
                // It says nothing but that the server runs.
                access: Access::Open,
                body: BodyKind::None,
                handler: get(|| async { "pong" }),
                operation: json!({
                    "summary": "Answers Immich's question whether the service runs.",
                    "responses": { "200": { "description": "The text `pong`." } },
                }),
            },
            Endpoint {
                method: Method::POST,
                path: "/predict".to_owned(),
                access: self.config.auth.to_embed(),
                body: BodyKind::Any(None),
                handler: predict,
                operation: json!({
                    "summary": "Embeds a picture or a text, in the shapes of Immich's machine-learning service.",
                    "requestBody": { "content": { "multipart/form-data": { "schema": {
                        "type": "object",
                        "required": ["entries"],
                        "properties": {
                            "entries": { "type": "string", "description": "The tasks, as JSON." },
                            "image": { "type": "string", "format": "binary" },
                            "text": { "type": "string" },
                        },
                    } } } },
                    "responses": {
                        "200": { "description": "The vector, as a string, under `clip`." },
                        "default": { "description": "A failure; `detail` says which." },
                    },
                }),
            },
        ]
    }

    fn failure_body(&self, failure: &Failure) -> Option<Response> {
        Some(Json(json!({ "detail": failure.message })).into_response())
    }
}
