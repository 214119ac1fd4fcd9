//! What browsers may do with the API from web pages of other origins.
//!
//! Calls carry a key in a header, never cookies, so credentials are allowed for no origin.

use std::time::Duration;

use axum::http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, LOCATION, RANGE, RETRY_AFTER,
};
use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::auth::KEY_HEADER;
use super::request_id;

/// How long a browser may keep the answer to a preflight.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// Returns the layer that answers preflights, without a key, and marks answers for the allowed origins; `None` without any.
pub(super) fn layer(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        // The configuration was checked: origins are ASCII.
        AllowOrigin::list(
            origins
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok()),
        )
    };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            AUTHORIZATION,
            HeaderName::from_static(KEY_HEADER),
            CONTENT_TYPE,
            IF_MODIFIED_SINCE,
            IF_NONE_MATCH,
            IF_RANGE,
            RANGE,
            request_id::HEADER,
            // Clients of the plugin `mcp` send these with every call.
            HeaderName::from_static("mcp-protocol-version"),
            HeaderName::from_static("mcp-method"),
            HeaderName::from_static("mcp-name"),
        ])
        .expose_headers([
            ACCEPT_RANGES,
            CONTENT_RANGE,
            ETAG,
            LOCATION,
            RETRY_AFTER,
            request_id::HEADER,
        ])
        .max_age(PREFLIGHT_MAX_AGE);
    Some(layer)
}
