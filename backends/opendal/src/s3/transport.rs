//! OpenDAL's requests over the HTTP client and the TLS that the workspace has anyway.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use lucida_core::{Error, Result};
use opendal::{Buffer, ErrorKind, HttpBody, HttpTransport};
use reqwest::Client;
use reqwest::header::{CONTENT_LENGTH, RANGE};

use super::config::S3Config;
use super::error::NO_ANSWER;

/// Shorter than stores keep an unused connection (MinIO: 30 s), so that none is used that is just being closed.
const IDLE: Duration = Duration::from_secs(20);
/// When a connection is asked whether the other side is still there, and when it is given up.
const KEEPALIVE: Duration = Duration::from_secs(15);
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Sends OpenDAL's requests.
#[derive(Debug)]
pub(super) struct Transport {
    client: Client,
}

impl Transport {
    /// Makes the client.
    ///
    /// # Errors
    /// `Internal` when there is no TLS.
    pub(super) fn new(config: &S3Config) -> Result<Self> {
        let client = Client::builder()
            .user_agent(concat!("lucida/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(config.connect_timeout_secs))
            .read_timeout(Duration::from_secs(config.read_timeout_secs))
            .pool_idle_timeout(IDLE)
            .tcp_keepalive(KEEPALIVE)
            .tcp_user_timeout(UNACKNOWLEDGED)
            // A signature is for one host; where a store sends to another, a setting is wrong.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::internal("making an HTTP client failed").with_source(error))?;
        Ok(Self { client })
    }
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        let head = request.method() == Method::HEAD;
        let from_start =
            (request.headers().get(RANGE)).is_none_or(|range| range.as_bytes().starts_with(b"bytes=0-"));
        let request = request.map(|body| match body.is_empty() {
            true => reqwest::Body::default(),
            false => reqwest::Body::wrap(Pieces(body)),
        });
        let request = reqwest::Request::try_from(request).map_err(disconnected)?;
        let response = self.client.execute(request).await.map_err(disconnected)?;
        if response.status() == StatusCode::OK && !from_start {
            let message = "the store sent all of an object of which a range was asked for";
            return Err(opendal::Error::new(ErrorKind::Unsupported, message));
        }
        // By it a body is known to be whole; what HEAD tells is the length of a body that doesn't come.
        let size = response
            .headers()
            .get(CONTENT_LENGTH)
            .filter(|_| !head)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let mut answer = Response::new(());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        let body = response.bytes_stream().map_ok(Buffer::from).map_err(disconnected);
        // OpenDAL takes an empty piece for the end.
        let body = body.try_filter(|piece| std::future::ready(!piece.is_empty()));
        Ok(answer.map(|()| HttpBody::new(body, size)))
    }
}

/// Makes OpenDAL's error of a connection that failed; a URL may hold more than a log should.
fn disconnected(error: reqwest::Error) -> opendal::Error {
    opendal::Error::new(ErrorKind::Unexpected, NO_ANSWER)
        .set_temporary()
        .set_source(error.without_url())
}

/// A request's body, piece by piece as it is in memory.
struct Pieces(Buffer);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}
