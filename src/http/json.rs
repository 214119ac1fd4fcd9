//! The JSON body of a call; how JSON is read is in [`lucida_api::json`].

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use lucida_api::json::parse_object;
use lucida_core::Error;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::state::HttpState;

/// A JSON body, whose kind and size were checked before.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<HttpState> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &HttpState) -> std::result::Result<Self, Problem> {
        let body = to_bytes(request.into_body(), usize::MAX).await.map_err(|error| {
            Error::invalid("the body ended too early")
                .with_code("malformed_json")
                .with_source(error)
        })?;
        Ok(Self(parse_object(&body, "")?))
    }
}
