//! How many requests are worked on at once, for how long, and how large their bodies may be.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use lucida_core::{Deadline, Error, ErrorKind, Result};
use tokio::sync::OwnedSemaphorePermit;

use super::problem::Problem;
use super::state::HttpState;

/// Lets a request in when there is room, and sets its deadline; its place is free again when the answer's body has been
/// sent. A refusal reads nothing of the request's body, so that a crowd costs those who are in no more than it must.
pub(super) async fn admit(State(state): State<HttpState>, mut request: Request, next: Next) -> Response {
    let Ok(permit) = std::sync::Arc::clone(state.permits()).try_acquire_owned() else {
        let most = state.options().max_concurrent_requests;
        let busy = Error::overloaded(
            format!(
                "{most} requests are being worked on (server.max_concurrent_requests): try again in a second"
            ),
            Duration::from_secs(1),
        );
        return Problem::from(busy.with_code("server_busy")).into_response();
    };
    let deadline = Deadline::after(state.options().request_timeout);
    request.extensions_mut().insert(deadline);
    next.run(request).await.map(|inner| {
        Body::new(Holding {
            inner,
            _permit: permit,
        })
    })
}

/// A body that keeps its request's place.
struct Holding {
    inner: Body,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for Holding {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Answers for a handler that has not answered at its request's deadline. An answer's body may take as long as its
/// reader needs.
pub(super) async fn in_time(State(state): State<HttpState>, request: Request, next: Next) -> Response {
    let deadline = request_deadline(request.extensions(), &state);
    match deadline.bound(async { Ok(next.run(request).await) }).await {
        Ok(response) => response,
        Err(error) => Problem::from(error).into_response(),
    }
}

/// Returns the deadline that [`admit`] has set.
pub(super) fn request_deadline(extensions: &Extensions, state: &HttpState) -> Deadline {
    let set = extensions.get::<Deadline>().cloned();
    set.unwrap_or_else(|| Deadline::after(state.options().request_timeout))
}

/// Returns the length that a body is announced with.
pub(super) fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Refuses a compressed body: what it grows to is not bounded by what is sent.
///
/// # Errors
/// `Unsupported`.
pub(super) fn refuse_encoded(headers: &HeaderMap) -> Result<()> {
    let mut encodings = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .map(|encoding| String::from_utf8_lossy(encoding.as_bytes()));
    match encodings.find(|encoding| !encoding.trim().eq_ignore_ascii_case("identity")) {
        None => Ok(()),
        Some(encoding) => {
            let message = format!(
                "the body is encoded as `{encoding}`: send it as it is, without the header `content-encoding`"
            );
            Err(Error::new(ErrorKind::Unsupported, message).with_code("unsupported_media_type"))
        }
    }
}

pub(super) fn stalled() -> Error {
    Error::invalid("the body did not come in time: send it faster, or in one piece")
        .with_code("upload_stalled")
}

pub(super) fn too_large(max_bytes: u64, setting: &str) -> Error {
    Error::invalid(format!("the body is larger than {max_bytes} bytes ({setting})"))
        .with_code("payload_too_large")
}
