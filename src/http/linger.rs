//! Reads on a body that an answer did not wait for.
//!
//! A refusal is often ready long before the client has sent its whole upload. Were the connection closed at once,
//! the client's unread bytes would reset it, and the answer could be lost on the way. So the rest is read and thrown
//! away in the background, for a bounded time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt;
use http_body::{Frame, SizeHint};

/// How long the rest of a body is read in all, and how long without any byte.
const AT_MOST: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_secs(2);

/// Lets every request's body linger.
pub(super) async fn linger(request: Request, next: Next) -> Response {
    // A client that waits for leave to send has nothing on the way.
    let waits_for_leave = request.headers().contains_key(EXPECT);
    let request = request.map(|inner| {
        if inner.is_end_stream() {
            return inner;
        }
        Body::new(Lingering {
            inner,
            begun: !waits_for_leave,
            ended: false,
        })
    });
    next.run(request).await
}

struct Lingering {
    inner: Body,
    /// Whether the client has begun to send.
    begun: bool,
    ended: bool,
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.begun = true;
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.ended = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.ended || !self.begun || self.inner.is_end_stream() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let mut rest = std::mem::take(&mut self.inner).into_data_stream();
        runtime.spawn(async move {
            let read_on =
                async { while let Ok(Some(Ok(_))) = tokio::time::timeout(IDLE, rest.next()).await {} };
            // Whether it came to its end or not, nobody waits for it.
            let _ = tokio::time::timeout(AT_MOST, read_on).await;
        });
    }
}
