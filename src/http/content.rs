//! The bytes of photos: originals with ranges, and previews.

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use lucida_core::{Blob, Caller, Error, Photo, Result};
use lucida_library::best_preview;
use tracing::error;

use super::auth::KEY_HEADER;
use super::conditional::{Wanted, is_fresh, wanted};
use super::photos::PhotoPath;
use super::problem::{Answer, Problem};
use super::query::Query;
use super::refusals::Refusals;
use super::state::HttpState;

/// A photo's bytes never change under its id, but the photo may go.
const CACHING: HeaderValue = HeaderValue::from_static("private, max-age=3600");

/// Whatever a file holds, a browser that opens it must not run it.
const SANDBOX: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");

/// The size that a caller gets who names none, in pixels of the longer side.
pub(super) const DEFAULT_PREVIEW_PIXELS: usize = 320;

/// The largest size that can be asked for.
pub(super) const MAX_PREVIEW_PIXELS: usize = 8192;

/// Returns a photo's original bytes.
#[utoipa::path(
    get,
    path = "/v1/photos/{id}/content",
    tag = "photos",
    params(
        ("id" = String, Path, description = "The photo's id."),
        ("range" = Option<String>, Header, description = "A single range of bytes.", example = "bytes=0-1023"),
        ("if-none-match" = Option<String>, Header, description = "The ETag of what the client has."),
    ),
    responses(
        (status = 200, description = "The original.", content_type = "image/*", body = [u8]),
        (status = 206, description = "The range of the original.", content_type = "image/*", body = [u8]),
        (status = 304, description = "The client has it already."),
        (status = 416, description = "The range begins behind the end.", body = super::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "The store has lost the original (`blob_missing`) or has it in another size (`blob_damaged`).", body = super::problem::ProblemBody, content_type = "application/problem+json"),
        Refusals,
    )
)]
pub(super) async fn original(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    PhotoPath(id): PhotoPath,
    query: Query,
    method: Method,
    headers: HeaderMap,
) -> Answer<Response> {
    query.finish("none")?;
    let photo = state.photos().photo(&caller.user_id, &id).await?;
    let etag = format!("\"{}\"", photo.hash);
    let mut head = head(&etag, &photo.content_type)?;
    head.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    head.insert(CONTENT_DISPOSITION, disposition(&photo)?);
    if is_fresh(&headers, &etag) {
        return Ok(not_modified(head));
    }
    let size = photo.size_bytes;
    let (status, range) = match wanted(&headers, &etag, size) {
        Wanted::Whole => (StatusCode::OK, None),
        Wanted::Part(range) => {
            let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            head.insert(CONTENT_RANGE, header(content_range)?);
            (StatusCode::PARTIAL_CONTENT, Some(range))
        }
        Wanted::Nothing => return out_of_range(size),
    };
    let length = range.as_ref().map_or(size, |range| range.end - range.start);
    head.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if method == Method::HEAD {
        state.photos().check_content(&photo).await?;
        return Ok((status, head).into_response());
    }
    let blob = state.photos().content(&photo, range).await?;
    Ok((status, head, body(blob)).into_response())
}

/// Returns a preview of a photo.
///
/// The smallest stored preview of at least the wanted size, else the largest one.
#[utoipa::path(
    get,
    path = "/v1/photos/{id}/thumbnail",
    tag = "photos",
    params(
        ("id" = String, Path, description = "The photo's id."),
        ("size" = Option<usize>, Query, description = "The wanted length of the longer side in pixels."),
    ),
    responses(
        (status = 200, description = "The preview.", content_type = "image/*", body = [u8]),
        (status = 304, description = "The client has it already."),
        Refusals,
    )
)]
pub(super) async fn thumbnail(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    PhotoPath(id): PhotoPath,
    mut query: Query,
    method: Method,
    headers: HeaderMap,
) -> Answer<Response> {
    let size = query
        .number("size", 1..=MAX_PREVIEW_PIXELS)?
        .unwrap_or(DEFAULT_PREVIEW_PIXELS);
    query.finish("`size`")?;
    let photo = state.photos().photo(&caller.user_id, &id).await?;
    let (name, preview) = best_preview(&photo, size).ok_or_else(|| {
        Error::not_found(
            "the photo has no preview: there is one once it is ready, if the plugin `thumbnail` is on",
        )
        .with_code("no_thumbnail")
    })?;
    let etag = format!(
        "\"{}-{}-{}\"",
        photo.hash,
        name.rsplit('/').next().unwrap_or_default(),
        preview.size_bytes
    );
    let mut head = head(&etag, &preview.content_type)?;
    if is_fresh(&headers, &etag) {
        return Ok(not_modified(head));
    }
    head.insert(CONTENT_LENGTH, HeaderValue::from(preview.size_bytes));
    if method == Method::HEAD {
        return Ok(head.into_response());
    }
    let (_, blob) = state.photos().derived(&photo, name).await?;
    Ok((head, body(blob)).into_response())
}

fn head(etag: &str, content_type: &str) -> Result<HeaderMap> {
    // What a cache of the browser holds is for the key that asked.
    let vary = format!("{KEY_HEADER}, {}", AUTHORIZATION.as_str());
    let pairs: [(HeaderName, HeaderValue); 5] = [
        (CONTENT_TYPE, header(content_type.to_owned())?),
        (ETAG, header(etag.to_owned())?),
        (CACHE_CONTROL, CACHING),
        (CONTENT_SECURITY_POLICY, SANDBOX),
        (VARY, header(vary)?),
    ];
    Ok(pairs.into_iter().collect())
}

fn header(text: String) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|error| Error::internal("making a header failed").with_source(error))
}

fn not_modified(mut head: HeaderMap) -> Response {
    head.remove(CONTENT_TYPE);
    head.remove(CONTENT_DISPOSITION);
    (StatusCode::NOT_MODIFIED, head).into_response()
}

fn out_of_range(size_bytes: u64) -> Answer<Response> {
    let message = format!("the range begins behind the photo's {size_bytes} bytes");
    let refused = Error::invalid(message)
        .with_code("range_not_satisfiable")
        .with_field("range");
    let mut response = Problem::from(refused).into_response();
    response
        .headers_mut()
        .insert(CONTENT_RANGE, header(format!("bytes */{size_bytes}"))?);
    Ok(response)
}

fn body(blob: Blob) -> Body {
    // The head is on its way already: all that can be done is to break off and to log why.
    Body::from_stream(
        blob.stream
            .inspect_err(|error| error!(%error, "breaking off a photo's bytes")),
    )
}

/// Names the file for a browser that saves it: in ASCII for old ones, and in UTF-8.
fn disposition(photo: &Photo) -> Result<HeaderValue> {
    let name = photo.filename.as_deref().unwrap_or("photo");
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' {
                c
            } else {
                '_'
            }
        })
        .collect();
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    header(format!(
        "inline; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
    ))
}
