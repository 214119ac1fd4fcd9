//! The path below which a reverse proxy shows the server, such as `/photos`.
//!
//! Some proxies take the prefix off before they pass a request on, and others don't, so a call is found with it and without it.
//! Links in answers have it.

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::response::Redirect;
use axum::routing::get;
use tower::ServiceExt as _;

/// Lets routes be found below a prefix, too; an empty prefix changes nothing.
pub(super) fn nest(routes: Router, base_path: &str) -> Router {
    if base_path.is_empty() {
        return routes;
    }
    let prefix = base_path.to_owned();
    let whole = format!("{base_path}/");
    let without = routes.map_request(move |mut request: Request| {
        if let Some(uri) = without_prefix(request.uri(), &prefix) {
            *request.uri_mut() = uri;
        }
        request
    });
    Router::new()
        // The page's links are relative, and to a folder.
        .route(base_path, get(move || async move { Redirect::permanent(&whole) }))
        .fallback_service(without)
}

/// Takes a prefix off a URI that has it.
fn without_prefix(uri: &Uri, prefix: &str) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(prefix)?;
    if !rest.starts_with('/') {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(rest.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_taken_off_whole_and_once() {
        for (uri, rest) in [
            ("/photos/v1/stats?a=b", Some("/v1/stats?a=b")),
            ("/photos/", Some("/")),
            ("/photos/photos/", Some("/photos/")),
            ("http://host/photos/v1/stats", Some("http://host/v1/stats")),
            ("/photosv1/stats", None),
            ("/v1/photos", None),
            ("/photos", None),
        ] {
            let found = without_prefix(&uri.parse().unwrap(), "/photos");
            assert_eq!(found.map(|uri| uri.to_string()).as_deref(), rest, "{uri}");
        }
    }
}
