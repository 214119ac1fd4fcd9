//! The plugin: its call, and the shape of its failures.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use lucida_core::{Access, BodyKind, Endpoint, Failure, Hook, Plugin, PluginHost, Scope};
use rmcp::ErrorData;
use rmcp::model::ErrorCode;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};

use crate::calls::Calls;
use crate::config::{McpConfig, PLUGIN_NAME};
use crate::server::McpServer;

/// Where the protocol is spoken.
const PATH: &str = "/mcp";

/// Lets agents search and look at photos, over the Model Context Protocol.
#[derive(Debug)]
pub struct McpPlugin {
    config: McpConfig,
}

impl McpPlugin {
    /// The plugin's name.
    pub const NAME: &'static str = PLUGIN_NAME;

    /// Makes the plugin.
    #[must_use]
    pub const fn new(config: McpConfig) -> Self {
        Self { config }
    }
}

/// Returns how the protocol is spoken: each request is answered with JSON and is whole in itself, so that any process of
/// several may answer it and nothing is held between two.
fn transport() -> StreamableHttpServerConfig {
    StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        // Against DNS rebinding, the server in front checks `Host` and `Origin` where it has no keys. Where it has, no web page
        // knows one, and the names under which a proxy shows the server are not known here.
        .disable_allowed_hosts()
        .disable_allowed_origins()
        // The server in front bounds the body by `server.max_json_bytes`.
        .with_max_request_body_bytes(usize::MAX)
}

#[async_trait]
impl Plugin for McpPlugin {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn hooks(&self) -> &[Hook] {
        &[]
    }

    fn endpoints(&self, host: PluginHost) -> Vec<Endpoint> {
        let server = McpServer::new(Calls::new(host, self.config.read_only));
        let sessions = Arc::new(NeverSessionManager::default());
        let service = StreamableHttpService::new(move || Ok(server.clone()), sessions, transport());
        let handler = post(async move |mut request: Request| {
            // The server has read the key, and nothing else is to see or log it.
            for name in ["x-api-key", AUTHORIZATION.as_str()] {
                request.headers_mut().remove(name);
            }
            service.handle(request).await.map(Body::new)
        });
        vec![Endpoint {
            method: Method::POST,
            path: PATH.to_owned(),
            access: Access::scope(Scope::Read),
            body: BodyKind::Json,
            handler,
            operation: operation(),
        }]
    }

    fn failure_body(&self, failure: &Failure) -> Option<Response> {
        let code = if failure.status.is_server_error() {
            ErrorCode::INTERNAL_ERROR
        } else {
            ErrorCode::INVALID_REQUEST
        };
        let data = json!({ "code": failure.code });
        let error = ErrorData::new(code, failure.message.clone(), Some(data));
        // rmcp's own type leaves out an unknown id, and the official Python client (2.3) reads no error without one.
        Some(Json(json!({ "jsonrpc": "2.0", "id": null, "error": error })).into_response())
    }
}

fn operation() -> Value {
    json!({
        "summary": "Speaks the Model Context Protocol, over streamable HTTP without sessions.",
        "description": "For agents: `tools/list` says what they can do.",
        "requestBody": { "required": true, "content": { "application/json": { "schema": {
            "type": "object",
            "description": "A JSON-RPC request.",
            "required": ["jsonrpc", "method"],
            "properties": {
                "jsonrpc": { "const": "2.0" },
                "id": { "type": ["string", "integer"] },
                "method": { "type": "string" },
                "params": { "type": "object" },
            },
        } } } },
        "responses": {
            "200": { "description": "A JSON-RPC response; a tool's failure has `isError`." },
            "202": { "description": "A notification was taken." },
            "default": { "description": "A failure of the request itself, as a JSON-RPC error." },
        },
    })
}
