//! Immich's answers, good and bad.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lucida_core::{Embedding, Error, Refusal};
use serde_json::{Map, Value, json};

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The results of all tasks.
    Done(Map<String, Value>),
    /// A refusal in Immich's words.
    Detail(StatusCode, Value),
    /// A failure of the server, to be written in Immich's shape.
    Refused(Error),
}

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Answer {
    /// Refuses `entries` that are not a request.
    pub(crate) fn bad_entries() -> Self {
        Self::Detail(StatusCode::UNPROCESSABLE_ENTITY, "Invalid request format.".into())
    }

    /// Refuses a form without `entries`, as FastAPI does.
    pub(crate) fn missing_entries() -> Self {
        let missing = json!([{
            "type": "missing",
            "loc": ["body", "entries"],
            "msg": "Field required",
            "input": null,
        }]);
        Self::Detail(StatusCode::UNPROCESSABLE_ENTITY, missing)
    }

    /// Refuses a form without an input.
    pub(crate) fn missing_input() -> Self {
        Self::Detail(
            StatusCode::BAD_REQUEST,
            "Either image or text must be provided".into(),
        )
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Done(results) => Json(Value::Object(results)).into_response(),
            Self::Detail(status, detail) => (status, Json(json!({ "detail": detail }))).into_response(),
            Self::Refused(error) => Refusal(error).into_response(),
        }
    }
}

/// Writes a vector as Immich does: a string that is a literal of pgvector's.
pub(crate) fn written(embedding: &Embedding) -> Result<Value, Error> {
    let text = serde_json::to_string(embedding)
        .map_err(|error| Error::internal("writing a vector failed").with_source(error))?;
    Ok(Value::String(text))
}
