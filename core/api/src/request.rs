//! A request to a plugin's call, and its answer.

use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use lucida_core::{Deadline, Error, Refusal, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::json;

/// The most inputs of one call, as OpenAI's API has it. They enter the model's queue a few at a time, so
/// `server.max_embed_items` doesn't apply.
pub const MAX_INPUTS: usize = 2048;

/// A request of a few megabytes at most, read whole.
#[derive(Debug)]
pub struct ApiRequest {
    /// The time that it has.
    pub deadline: Deadline,
    body: Bytes,
}

impl ApiRequest {
    /// Reads a request; the server has bounded its body.
    ///
    /// # Errors
    /// `InvalidInput` (`malformed_json`) for a body that ends too early; `Internal` outside of the server.
    pub async fn read(request: Request) -> Result<Self> {
        let deadline = request.extensions().get::<Deadline>().cloned();
        let deadline = deadline.ok_or_else(|| Error::internal("the request has no deadline"))?;
        let body = to_bytes(request.into_body(), usize::MAX).await.map_err(|error| {
            Error::invalid("the body ended too early")
                .with_code("malformed_json")
                .with_source(error)
        })?;
        Ok(Self { deadline, body })
    }

    /// Reads the body as a JSON object.
    ///
    /// # Errors
    /// Those of [`json::parse_object`].
    pub fn object<T: DeserializeOwned>(&self) -> Result<T> {
        json::parse_object(&self.body, "")
    }
}

/// Writes what a handler returns: JSON, or a failure that the server gives its status and the plugin its shape.
pub fn answered<T: Serialize>(result: Result<T>) -> Response {
    match result {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => Refusal(error).into_response(),
    }
}
