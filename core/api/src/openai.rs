//! Failures in the shape of OpenAI's API.

use lucida_core::Failure;
use serde_json::{Value, json};

/// Writes a failure as the object `error` that OpenAI's clients read.
#[must_use]
pub fn openai_error(failure: &Failure) -> Value {
    let kind = match failure.status.as_u16() {
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    json!({
        "message": failure.message,
        "type": kind,
        "param": failure.field,
        "code": failure.code,
    })
}
