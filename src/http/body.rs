//! The body of a request as its handler sees it: of a kind that the call takes, bounded, and never slower than allowed.
//!
//! The time that the server waits for the client's bytes does not count against the request's deadline.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use futures::{Stream, StreamExt, stream};
use lucida_core::{BodyKind, Deadline, Error, ErrorKind, Result};
use tokio::time::Instant;

use super::options::{HttpOptions, MIN_UPLOAD_BYTES_PER_SEC, STALL_TIMEOUT};

/// The settings that bound bodies.
const JSON_LIMIT: &str = "server.max_json_bytes";
const UPLOAD_LIMIT: &str = "server.max_upload_bytes";

/// Why a body was broken off, once it was.
#[derive(Clone, Default)]
pub(super) struct Refused(Arc<Mutex<Option<Error>>>);

impl Refused {
    fn set(&self, error: Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Takes the reason out.
    pub(super) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Refuses a body of another kind or one that announces too much, and bounds what is read of any other.
///
/// # Errors
/// `Unsupported` (`unsupported_media_type`); `InvalidInput` (`payload_too_large`), naming the setting.
pub(super) fn guard(
    request: Request,
    kind: &BodyKind,
    options: &HttpOptions,
    deadline: &Deadline,
) -> Result<(Request, Refused)> {
    let refused = Refused::default();
    let Some((max_bytes, setting)) = limit(request.headers(), kind, options)? else {
        return Ok((request, refused));
    };
    refuse_encoded(request.headers())?;
    if announced_length(request.headers()).is_some_and(|length| length > max_bytes) {
        return Err(too_large(max_bytes, setting));
    }
    let (setting, deadline, report) = (setting.to_owned(), deadline.clone(), refused.clone());
    let request = request.map(move |body| {
        let reader = Reader {
            stream: body.into_data_stream(),
            max_bytes,
            setting,
            deadline,
            read_bytes: 0,
            waited: Duration::ZERO,
            refused: report,
        };
        Body::from_stream(Paced::new(Box::pin(stream::unfold(Some(reader), Reader::step))))
    });
    Ok((request, refused))
}

/// Returns how large a body may be and the setting that says so; `None` for a call without one.
fn limit<'a>(
    headers: &HeaderMap,
    kind: &'a BodyKind,
    options: &HttpOptions,
) -> Result<Option<(u64, &'a str)>> {
    let json = (options.max_json_bytes, JSON_LIMIT);
    let form = (options.max_upload_bytes, UPLOAD_LIMIT);
    let refuse =
        |message: &str| Err(Error::new(ErrorKind::Unsupported, message).with_code("unsupported_media_type"));
    match kind {
        BodyKind::None => Ok(None),
        BodyKind::AnyJson => Ok(Some(json)),
        BodyKind::Json if is_json(headers) => Ok(Some(json)),
        BodyKind::Json => refuse("the body must be JSON: send the header `content-type: application/json`"),
        BodyKind::Form | BodyKind::JsonOrForm if is_form(headers) => Ok(Some(form)),
        BodyKind::Form => {
            refuse("the body must be a form: send `multipart/form-data` with a part named `file`")
        }
        BodyKind::JsonOrForm if is_json(headers) => Ok(Some(json)),
        BodyKind::JsonOrForm => refuse(
            "the body must be JSON (`content-type: application/json`) or a form (`multipart/form-data`)",
        ),
        BodyKind::Any(None) => Ok(Some(form)),
        BodyKind::Any(Some(limit)) => Ok(Some((limit.max_bytes, limit.setting.as_str()))),
    }
}

fn media_type(headers: &HeaderMap) -> String {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// Returns whether a request says that its body is a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers) == "multipart/form-data"
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Refuses a compressed body: what it grows to is not bounded by what is sent.
fn refuse_encoded(headers: &HeaderMap) -> Result<()> {
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

fn stalled() -> Error {
    Error::invalid("the body did not come in time: send it faster, or in one piece")
        .with_code("upload_stalled")
}

fn too_large(max_bytes: u64, setting: &str) -> Error {
    Error::invalid(format!("the body is larger than {max_bytes} bytes ({setting})"))
        .with_code("payload_too_large")
}

/// A body being read.
struct Reader {
    stream: BodyDataStream,
    max_bytes: u64,
    setting: String,
    deadline: Deadline,
    read_bytes: u64,
    waited: Duration,
    refused: Refused,
}

impl Reader {
    async fn step(reader: Option<Self>) -> Option<(Result<Bytes, axum::BoxError>, Option<Self>)> {
        let mut reader = reader?;
        match reader.next().await {
            Ok(piece) => Some((Ok(piece?), Some(reader))),
            Err(error) => Some((Err(error), None)),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, axum::BoxError> {
        let started = Instant::now();
        let came = tokio::time::timeout(STALL_TIMEOUT, self.stream.next());
        let came = self.deadline.paused(came).await;
        self.waited += started.elapsed();
        let allowed = STALL_TIMEOUT + Duration::from_secs(self.read_bytes / MIN_UPLOAD_BYTES_PER_SEC);
        let Some(came) = came.ok().filter(|_| self.waited <= allowed) else {
            return Err(self.refuse(stalled()));
        };
        let Some(piece) = came.transpose()? else {
            return Ok(None);
        };
        self.read_bytes += piece.len() as u64;
        if self.read_bytes > self.max_bytes {
            return Err(self.refuse(too_large(self.max_bytes, &self.setting)));
        }
        Ok(Some(piece))
    }

    fn refuse(&self, error: Error) -> axum::BoxError {
        let told = error.message().to_owned();
        self.refused.set(error);
        told.into()
    }
}

/// A stream that gives one item each time that its reader is woken. Readers of forms take all that they can get before
/// they look at any of it, which a fast client could make the whole body.
struct Paced<S> {
    inner: S,
    has_given: bool,
}

impl<S> Paced<S> {
    const fn new(inner: S) -> Self {
        Self {
            inner,
            has_given: false,
        }
    }
}

impl<S: Stream + Unpin> Stream for Paced<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        if std::mem::take(&mut self.has_given) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.inner).poll_next(context);
        self.has_given = matches!(polled, Poll::Ready(Some(_)));
        polled
    }
}
