//! What is done around every request: its id, its span, its metrics, and the body of its problem.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lucida_core::metrics;
use tracing::{Instrument, debug, field, info_span};

use super::host;
use super::problem::Problem;
use super::request_id::{self, RequestId};
use super::shape::Shaped;
use super::state::HttpState;

/// The route label of requests that no route matches.
const UNMATCHED: &str = "unmatched";

/// Answers a request with its id, and counts, times and logs it.
pub(super) async fn observe(State(state): State<HttpState>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = RequestId::of(request.headers());
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let path = request.uri().path().to_owned();
    // For those behind this layer who pass the request on, such as a plugin that calls another server.
    request
        .headers_mut()
        .insert(request_id::HEADER, id.header_value());
    let span = info_span!("http.request", method, route, request_id = %id, status = field::Empty);
    let in_flight = state.count_in();

    let answer = async {
        let response = match host::check(&request) {
            Ok(()) => next.run(request).await,
            Err(error) => Problem::from(error).into_response(),
        };
        let mut response = with_problem_body(response, &path, &id).await;
        let headers = response.headers_mut();
        headers.insert(request_id::HEADER, id.header_value());
        headers
            .entry(X_CONTENT_TYPE_OPTIONS)
            .or_insert(HeaderValue::from_static("nosniff"));
        debug!(status = response.status().as_u16(), elapsed = ?started.elapsed(), "answered");
        response
    };
    let response = answer.instrument(span.clone()).await;

    drop(in_flight);
    span.record("status", response.status().as_u16());
    metrics::HTTP_REQUESTS.increment(&[route, method, response.status().as_str()]);
    metrics::HTTP_REQUEST_DURATION.record(started.elapsed(), &[route, method]);
    response
}

/// Writes the body of a failure, unless a plugin has.
async fn with_problem_body(response: Response, path: &str, id: &RequestId) -> Response {
    if response.extensions().get::<Shaped>().is_some() {
        return response;
    }
    match Problem::found_in(response).await {
        (Some(problem), response) => {
            let problem = problem.at(path);
            problem.log();
            problem.write(response, id)
        }
        (None, response) => response,
    }
}

/// Makes the method a label of a closed set.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    const NAMES: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN
        .iter()
        .zip(NAMES)
        .find(|(known, _)| *known == method)
        .map_or("OTHER", |(_, name)| name)
}

/// Answers what no route matches.
pub(super) async fn not_found() -> StatusCode {
    StatusCode::NOT_FOUND
}
