//! The plugin: its calls, and the shape of their failures.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Json;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use lucida_api::{Models, answered};
use lucida_core::{
    Access, BodyKind, BodyLimit, EmbedderInfo, Endpoint, Failure, Hook, Plugin, PluginHost, Result,
};
use serde_json::{Value, json};

use crate::config::ApiWeaviateConfig;

/// Answers as the inference container of Weaviate's module multi2vec-clip does.
#[derive(Debug)]
pub struct ApiWeaviatePlugin {
    config: ApiWeaviateConfig,
}

/// What the calls work with.
pub(crate) struct Service {
    pub(crate) models: Models,
    model: Option<String>,
}

impl Service {
    /// Returns the model that answers.
    pub(crate) fn model(&self) -> Result<EmbedderInfo> {
        self.models.choose(self.model.as_deref())
    }

    /// Describes the model; Weaviate shows it among its modules.
    fn meta(&self) -> Result<Value> {
        let model = self.model()?;
        Ok(json!({
            "model": model.model,
            "fingerprint": model.fingerprint,
            "dimensions": model.dimensions,
            "server": concat!("lucida ", env!("CARGO_PKG_VERSION")),
        }))
    }
}

impl ApiWeaviatePlugin {
    /// The plugin's name.
    pub const NAME: &'static str = "api-weaviate";

    /// Makes the plugin.
    #[must_use]
    pub const fn new(config: ApiWeaviateConfig) -> Self {
        Self { config }
    }
}

#[async_trait]
impl Plugin for ApiWeaviatePlugin {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn hooks(&self) -> &[Hook] {
        &[]
    }

    fn endpoints(&self, host: PluginHost) -> Vec<Endpoint> {
        let service = Arc::new(Service {
            models: Models::new(host.embeddings, &BTreeMap::new()),
            model: self.config.model.clone(),
        });
        let (vectorize, meta) = (Arc::clone(&service), service);
        let looked =
            |path: &str, access: Access, handler: MethodRouter, summary: &str, status: &str| Endpoint {
                method: Method::GET,
                path: path.to_owned(),
                access,
                body: BodyKind::None,
                handler,
                operation: json!({
                    "summary": summary,
                    "responses": { status: { "description": "The answer." } },
                }),
            };
        // It says nothing but that the server runs.
        let runs = |path| {
            let handler = get(async || StatusCode::NO_CONTENT);
            looked(
                path,
                Access::Open,
                handler,
                "Reports that the server runs.",
                "204",
            )
        };
        vec![
            Endpoint {
                method: Method::POST,
                path: "/vectorize".to_owned(),
                access: self.config.auth.to_embed(),
                body: BodyKind::Any(Some(BodyLimit {
                    max_bytes: self.config.max_body_bytes,
                    setting: format!("max_body_bytes of the plugin {}", Self::NAME),
                })),
                handler: post(async move |request: Request| answered(vectorize.vectorize(request).await)),
                operation: json!({
                    "summary": "Embeds texts and pictures, in the shapes of Weaviate's multi2vec-clip.",
                    "requestBody": { "required": true, "content": { "application/json": { "schema": {
                        "type": "object",
                        "properties": {
                            "texts": { "type": "array", "items": { "type": "string" } },
                            "images": { "type": "array", "items": { "type": "string", "contentEncoding": "base64" } },
                        },
                    } } } },
                    "responses": {
                        "200": { "description": "The vectors: `textVectors` and `imageVectors`." },
                        "default": { "description": "A failure; `error` says which." },
                    },
                }),
            },
            looked(
                "/meta",
                self.config.auth.to_look(),
                get(async move || answered(meta.meta())),
                "Describes the model.",
                "200",
            ),
            runs("/.well-known/live"),
            runs("/.well-known/ready"),
        ]
    }

    fn failure_body(&self, failure: &Failure) -> Option<Response> {
        Some(Json(json!({ "error": failure.message })).into_response())
    }
}
