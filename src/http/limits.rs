//! How many requests are worked on at once, and for how long.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use lucida_core::{Error, ErrorKind, Result};
use tokio::sync::OwnedSemaphorePermit;

use super::problem::Problem;
use super::state::HttpState;

/// Lets a request in when there is room; its place is free again when the answer's body has been sent. A refusal reads
/// nothing of the request's body, so that a crowd costs those who are in no more than it must.
pub(super) async fn admit(State(state): State<HttpState>, request: Request, next: Next) -> Response {
    let Ok(permit) = std::sync::Arc::clone(state.permits()).try_acquire_owned() else {
        let most = state.options().max_concurrent_requests;
        let busy = Error::overloaded(
            format!("{most} requests are being worked on: try again in a second"),
            Duration::from_secs(1),
        );
        return Problem::from(busy.with_code("server_busy")).into_response();
    };
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

/// Answers for a handler that takes too long. An answer's body may take as long as its reader needs.
pub(super) async fn in_time(State(state): State<HttpState>, request: Request, next: Next) -> Response {
    match within(state.options().request_timeout, async {
        Ok(next.run(request).await)
    })
    .await
    {
        Ok(response) => response,
        Err(error) => Problem::from(error).into_response(),
    }
}

/// Does work for a bounded time.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let seconds = limit.as_secs_f32();
        Err(Error::new(
            ErrorKind::Timeout,
            format!("the request took longer than {seconds} s: try again"),
        ))
    })
}
