//! HTTP calls that a plugin adds at paths of its choice.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use serde_json::Value;

use crate::error::Error;
use crate::scope::Scope;

/// One call: a method and a path, with what the server does around it.
///
/// The handler finds the [`crate::Caller`] and the [`crate::Deadline`] in the request's extensions, and in the header
/// `x-request-id` the request's id. It may answer at the deadline for itself; a little later the server does.
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path as axum writes it, such as `/predict` or `/v1/models/{id}`.
    pub path: String,
    /// Who may call.
    pub access: Access,
    /// What the request's body may be.
    pub body: BodyKind,
    /// The handler; must answer the method.
    pub handler: MethodRouter,
    /// The call's OpenAPI operation: `summary`, `requestBody`, `responses` and so on.
    pub operation: Value,
}

/// Who may make a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Everybody who reaches the server. A plugin offers it only if its own settings say so.
    Open,
    /// A caller with one of the server's keys; on a server without keys, everybody on its own machine.
    Key {
        /// What the key must be allowed to do; any key will do without it.
        scope: Option<Scope>,
        /// Where the key may be besides `x-api-key` and `Authorization: Bearer`.
        also_in: Option<KeyPlace>,
    },
}

impl Access {
    /// Returns the access of a key with a scope, in the server's own headers.
    #[must_use]
    pub const fn scope(scope: Scope) -> Self {
        Self::Key {
            scope: Some(scope),
            also_in: None,
        }
    }
}

/// Where a client puts its key that can't send one of the server's headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// A header of this name.
    Header(String),
    /// The path's parameter of this name.
    PathParameter(String),
}

/// What the body of a request may be; the server refuses other ones before the handler sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyKind {
    /// None; one that comes is not read.
    None,
    /// JSON, up to `server.max_json_bytes`.
    Json,
    /// JSON under any content type or none, up to `server.max_json_bytes`: for clients that don't say what they send.
    AnyJson,
    /// A form with files, up to `server.max_upload_bytes`.
    Form,
    /// Either of them, each up to its own limit.
    JsonOrForm,
    /// Whatever the handler takes, up to a limit; `None` is `server.max_upload_bytes`.
    Any(Option<BodyLimit>),
}

/// A limit of a plugin's own on the body of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyLimit {
    /// The limit in bytes.
    pub max_bytes: u64,
    /// The setting that holds the limit, for the refusal.
    pub setting: String,
}

/// A failure that the client of a plugin's call gets, whoever refused it: the handler, or the server around it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The HTTP status.
    pub status: StatusCode,
    /// What is wrong, for programs.
    pub code: String,
    /// What is wrong, and what to do about it.
    pub message: String,
    /// The field that is wrong.
    pub field: Option<String>,
    /// When the same request may succeed; the server sends it as `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// An [`Error`] as the answer of a plugin's handler: the server gives it its status, and the plugin its shape.
#[derive(Debug)]
pub struct Refusal(pub Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Arc::new(self.0));
        response
    }
}
