//! The only place where a failure becomes an HTTP answer: RFC 9457 `application/problem+json`.
//!
//! A handler returns a [`Problem`], which is put into the response's extensions; [`Problem::write`] writes the body
//! once the request's id is known.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use lucida_core::{Error, ErrorKind, Failure, PhotoError, PhotoId};
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::{debug, error, warn};
use utoipa::ToSchema;

use super::codes::STATUS_BY_CODE;
use super::left_out::plugin_of;
use super::request_id::RequestId;

/// The media type of every failure.
pub(super) const CONTENT_TYPE_PROBLEM: &str = "application/problem+json";

/// How much of a foreign failure's text becomes the detail of a problem, in bytes.
const MAX_FOREIGN_TEXT_BYTES: usize = 4096;

/// What a handler returns.
pub(super) type Answer<T> = Result<T, Problem>;

/// A failure on its way to the client.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    inner: Arc<Inner>,
}

#[derive(Debug, Clone)]
struct Inner {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    field: Option<String>,
    retry_after: Option<Duration>,
    extensions: Map<String, Value>,
    /// The whole story, for the log only.
    cause: Option<String>,
}

/// The body of every failure, as RFC 9457 has it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:lucida:problem:truncated_image",
    "title": "Truncated image",
    "status": 422,
    "detail": "the file ends before its picture does: upload it again from a whole copy",
    "code": "truncated_image",
    "field": "file",
    "request_id": "0190b4f27c6e7d1a9f3c5b2e8a4d6071"
}))]
pub(super) struct ProblemBody {
    /// Names the kind of problem: `urn:lucida:problem:` and the code.
    #[serde(rename = "type")]
    type_uri: String,
    /// The code as words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What is wrong, and what to do about it.
    detail: String,
    /// What is wrong, for programs.
    code: String,
    /// The field, part or parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The id that the server's log has too.
    request_id: String,
    /// More, by code: `photo_id` of a photo that failed, `parts` of a server that is not ready. The calls of OpenAI's API have
    /// `error`, as its clients expect it.
    #[serde(flatten)]
    extensions: Map<String, Value>,
}

/// Why one item of several failed; it stands in the item's place.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ItemProblem {
    /// The HTTP status that the item alone would have got.
    status: u16,
    /// What is wrong, for programs.
    code: String,
    /// What is wrong, and what to do about it.
    detail: String,
    /// After how many seconds the input may be sent again, where that helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_secs: Option<u64>,
}

impl Problem {
    /// Makes the problem of a photo that was given up.
    pub(super) fn of_failed_photo(id: &PhotoId, error: Option<&PhotoError>) -> Self {
        let (code, detail) = match error {
            Some(error) => (error.code.clone(), error.message.clone()),
            None => ("internal".to_owned(), "the photo was given up".to_owned()),
        };
        let mut inner = Inner::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
        inner
            .extensions
            .insert("photo_id".to_owned(), id.to_string().into());
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Makes the problem of a server whose parts are not all well; `parts` says which.
    pub(super) fn not_ready(detail: String, parts: Value) -> Self {
        let mut inner = Inner::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail);
        inner.retry_after = Some(default_wait(ErrorKind::Unavailable));
        inner.extensions.insert("parts".to_owned(), parts);
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Finds the problem of an answer: ours, an [`Error`] that a plugin put into the extensions, or a failure that is
    /// only a status and, at most, a line of text, as the router and extractors give.
    pub(super) async fn found_in(response: Response) -> (Option<Self>, Response) {
        if let Some(problem) = response.extensions().get::<Self>().cloned() {
            return (Some(problem), response);
        }
        if let Some(error) = response.extensions().get::<Arc<Error>>() {
            let problem = Self::from(&**error);
            let response = problem.clone().into_response();
            return (Some(problem), response);
        }
        if !is_bare_failure(&response) {
            return (None, response);
        }
        let (head, body) = response.into_parts();
        let text = to_bytes(body, MAX_FOREIGN_TEXT_BYTES).await.unwrap_or_default();
        let problem = Self::of_status(head.status, &String::from_utf8_lossy(&text));
        (Some(problem), Response::from_parts(head, Body::empty()))
    }

    /// Attaches the problem to the answer that it was found in.
    pub(super) fn attached_to(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }

    /// Names the path in a failure of the router's, which knew none.
    pub(super) fn at(self, path: &str) -> Self {
        let detail = match (&*self.inner.code, self.inner.detail.is_empty()) {
            ("not_found", true) => match plugin_of(path) {
                Some(plugin) => format!(
                    "nothing found at `{path}`, a call of the plugin `{plugin}`: add `[[plugins]]` with `type = \"{plugin}\"` to \
                     the configuration"
                ),
                None => format!("nothing found at `{path}`: /docs lists every call"),
            },
            ("method_not_allowed", true) => {
                format!("`{path}` doesn't allow this method: the header `allow` lists those that it does")
            }
            _ => return self,
        };
        let mut inner = (*self.inner).clone();
        inner.detail = detail;
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Adds members to the body. Those of the problem stay, so that one body serves the clients of two APIs.
    pub(super) fn with_members(self, members: Map<String, Value>) -> Self {
        let mut inner = (*self.inner).clone();
        inner.extensions.extend(members);
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.inner.status
    }

    /// Returns the problem in the form that plugins write their clients' failures from.
    pub(super) fn failure(&self) -> Failure {
        let Inner {
            status,
            code,
            detail,
            field,
            retry_after,
            ..
        } = &*self.inner;
        Failure {
            status: *status,
            code: code.to_string(),
            message: detail.clone(),
            field: field.clone(),
            retry_after: *retry_after,
        }
    }

    fn of_status(status: StatusCode, text: &str) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("not_found", String::new()),
            StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", String::new()),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", text.to_owned()),
            StatusCode::PAYLOAD_TOO_LARGE => ("payload_too_large", "the body is too large".to_owned()),
            status if status.is_server_error() => ("internal", String::new()),
            _ => ("invalid_input", text.to_owned()),
        };
        let mut inner = Inner::new(status, code, detail);
        let is_routers = matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
        if inner.detail.is_empty() && !is_routers {
            inner.detail = if status.is_server_error() {
                INTERNAL_DETAIL
            } else {
                "the request is not valid"
            }
            .to_owned();
        }
        inner.cause = (!text.is_empty()).then(|| text.to_owned());
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Makes the problem of a handler that panicked.
    pub(super) fn of_panic(message: &str) -> Self {
        let mut inner = Inner::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", INTERNAL_DETAIL);
        inner.cause = Some(format!("panic: {message}"));
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Returns whether the same request may succeed later.
    pub(super) fn is_transient(&self) -> bool {
        self.inner.retry_after.is_some()
    }

    pub(super) fn for_item(&self) -> ItemProblem {
        let Inner {
            status,
            code,
            detail,
            retry_after,
            ..
        } = &*self.inner;
        ItemProblem {
            status: status.as_u16(),
            code: code.to_string(),
            detail: detail.clone(),
            retry_after_secs: retry_after.map(whole_seconds),
        }
    }

    /// Writes the failure to the log, once, where it is handled.
    pub(super) fn log(&self) {
        let Inner {
            status,
            code,
            detail,
            cause,
            ..
        } = &*self.inner;
        let cause = cause.as_ref().unwrap_or(detail);
        match status.as_u16() {
            503 => warn!(status = 503, %code, error = %cause, "request refused for now"),
            429 => debug!(status = 429, %code, error = %cause, "request refused for now"),
            500.. => error!(status = status.as_u16(), %code, error = %cause, "request failed"),
            _ => debug!(status = status.as_u16(), %code, error = %cause, "request refused"),
        }
    }

    /// Writes the body into the response that the problem came with.
    pub(super) fn write(&self, response: Response, request_id: &RequestId) -> Response {
        let Inner {
            status,
            code,
            detail,
            field,
            extensions,
            ..
        } = &*self.inner;
        let body = ProblemBody {
            type_uri: format!("urn:lucida:problem:{code}"),
            title: title(code),
            status: status.as_u16(),
            detail: detail.clone(),
            code: code.to_string(),
            field: field.clone(),
            request_id: request_id.to_string(),
            extensions: extensions.clone(),
        };
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let (mut head, _) = response.into_parts();
        head.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_PROBLEM));
        head.headers.remove(axum::http::header::CONTENT_LENGTH);
        Response::from_parts(head, Body::from(bytes))
    }
}

/// Returns whether an answer is a failure that has nothing but a status and perhaps a text.
fn is_bare_failure(response: &Response) -> bool {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return false;
    }
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_none_or(|kind| kind.starts_with(b"text/plain"))
}

const INTERNAL_DETAIL: &str =
    "the server failed on this request: its log says why, under the `request_id` that is given here";

impl Inner {
    fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            detail: detail.into(),
            field: None,
            retry_after: None,
            extensions: Map::new(),
            cause: None,
        }
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let detail = error.public_message().unwrap_or(INTERNAL_DETAIL);
        let mut inner = Inner::new(status_of(error), code_of(error), detail);
        inner.field = error.field().map(str::to_owned);
        inner.retry_after = error
            .is_transient()
            .then(|| error.retry_after().unwrap_or_else(|| default_wait(error.kind())));
        inner.cause = Some(error.to_string());
        Self {
            inner: Arc::new(inner),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.inner.status.into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.inner.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        if self.inner.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"lucida\""),
            );
        }
        response.extensions_mut().insert(self);
        response
    }
}

fn code_of(error: &Error) -> &'static str {
    let code = error.code();
    match error.kind() {
        // Core has no code of its own for these two.
        ErrorKind::Unsupported if code == ErrorKind::Unsupported.as_str() => "no_tower",
        ErrorKind::ConfigInvalid => "internal",
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::InvalidInput
        | ErrorKind::Unsupported
        | ErrorKind::PermissionDenied
        | ErrorKind::Conflict
        | ErrorKind::Overloaded
        | ErrorKind::Timeout
        | ErrorKind::Unavailable
        | ErrorKind::Internal => code,
    }
}

fn status_of(error: &Error) -> StatusCode {
    let code = code_of(error);
    if let Some((_, status)) = STATUS_BY_CODE.iter().find(|(known, _)| *known == code) {
        return *status;
    }
    match error.kind() {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::AlreadyExists | ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::InvalidInput => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Timeout | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::ConfigInvalid | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// How long a client should wait when nobody knows better.
const fn default_wait(kind: ErrorKind) -> Duration {
    match kind {
        ErrorKind::Overloaded | ErrorKind::Timeout => Duration::from_secs(1),
        ErrorKind::Unavailable => Duration::from_secs(5),
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::InvalidInput
        | ErrorKind::Unsupported
        | ErrorKind::ConfigInvalid
        | ErrorKind::PermissionDenied
        | ErrorKind::Conflict
        | ErrorKind::Internal => Duration::ZERO,
    }
}

/// Rounds a wait up to what `Retry-After` can say.
fn whole_seconds(wait: Duration) -> u64 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    seconds.clamp(1, 3600)
}

fn title(code: &str) -> String {
    let words = code.replace('_', " ");
    let mut characters = words.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(error: Error) -> u16 {
        Problem::from(error).inner.status.as_u16()
    }

    #[test]
    fn each_kind_has_its_status() {
        for (kind, expected) in [
            (ErrorKind::NotFound, 404),
            (ErrorKind::AlreadyExists, 409),
            (ErrorKind::InvalidInput, 422),
            (ErrorKind::ConfigInvalid, 500),
            (ErrorKind::PermissionDenied, 403),
            (ErrorKind::Conflict, 409),
            (ErrorKind::Overloaded, 429),
            (ErrorKind::Timeout, 503),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::Internal, 500),
        ] {
            assert_eq!(status(Error::new(kind, "x")), expected, "{kind}");
        }
    }

    #[test]
    fn a_missing_tower_is_not_a_wrong_media_type() {
        assert_eq!(
            status(Error::new(ErrorKind::Unsupported, "model `m` has no text tower")),
            422
        );
        assert_eq!(
            status(Error::new(ErrorKind::Unsupported, "x").with_code("not_an_image")),
            415
        );
    }

    #[test]
    fn what_is_transient_says_when_to_come_back() {
        for (error, expected) in [
            (Error::overloaded("full", Duration::from_millis(2100)), Some("3")),
            (
                Error::unavailable("disk is full").with_code("storage_full"),
                Some("5"),
            ),
            (Error::new(ErrorKind::Timeout, "slow"), Some("1")),
            (Error::invalid("wrong"), None),
            (Error::internal("broken"), None),
        ] {
            let response = Problem::from(error).into_response();
            let header = response
                .headers()
                .get(RETRY_AFTER)
                .map(|value| value.to_str().unwrap());
            assert_eq!(header, expected);
        }
    }

    #[test]
    fn an_internal_failure_tells_the_client_nothing() {
        let secret = Error::internal("password is hunter2").context("opening /srv/secret");
        let problem = Problem::from(secret);
        assert_eq!(problem.inner.detail, INTERNAL_DETAIL);
        assert!(problem.inner.cause.as_deref().unwrap().contains("hunter2"));
    }
}
