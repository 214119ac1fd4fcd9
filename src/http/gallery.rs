//! The gallery: static files that are compiled in. All data come from the API.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, REFERRER_POLICY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::conditional::is_fresh;
use super::state::HttpState;

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
);

struct Asset {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    etag: String,
}

const PAGE: &str = "index.html";

macro_rules! assets {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("gallery/", $name)).as_slice())),*]
    };
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let files = assets![
        "index.html",
        "style.css",
        "app.js",
        "api.js",
        "photos.js",
        "lightbox.js",
        "uploads.js"
    ];
    files
        .into_iter()
        .map(|(name, bytes)| asset(name, bytes))
        .collect()
});

fn asset(name: &'static str, bytes: &'static [u8]) -> Asset {
    let content_type = match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some(_) | None => "application/octet-stream",
    };
    // Weak, since the same file may go out compressed.
    let etag = format!("W/\"{}\"", &blake3::hash(bytes).to_hex()[..16]);
    Asset {
        name,
        content_type,
        bytes,
        etag,
    }
}

/// Returns the gallery's routes, which need no key: the page asks for one when the API wants it.
pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/", get(page))
        .route("/gallery/{file}", get(file))
}

async fn page(headers: HeaderMap) -> Response {
    serve(PAGE, &headers)
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    serve(&name, &headers)
}

fn serve(name: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let head = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (
            ETAG,
            HeaderValue::try_from(&asset.etag).unwrap_or(HeaderValue::from_static("")),
        ),
    ];
    if is_fresh(headers, &asset.etag) {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, [(CONTENT_TYPE, asset.content_type)], asset.bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_gallery_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/gallery");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| {
                [".html", ".css", ".js"]
                    .iter()
                    .any(|ending| name.ends_with(ending))
            })
            .collect();
        let mut served: Vec<_> = ASSETS.iter().map(|asset| asset.name.to_owned()).collect();
        files.sort();
        served.sort();
        assert_eq!(served, files);
    }
}
