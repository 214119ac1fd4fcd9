//! What is done around every request: its id, its span, its metrics, and the body of its problem.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use lucida_core::{Error, metrics};
use tracing::{Instrument, debug, field, info_span};

use super::host;
use super::problem::Problem;
use super::request_id::{self, RequestId};
use super::state::HttpState;

/// How much of a foreign failure's text becomes the detail of a problem, in bytes.
const MAX_FOREIGN_TEXT_BYTES: usize = 4096;

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
            Ok(()) => match AssertUnwindSafe(next.run(request)).catch_unwind().await {
                Ok(response) => response,
                Err(panic) => Problem::of_panic(panic_message(&*panic)).into_response(),
            },
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

/// Writes the body of a failure: ours, one that a plugin put into the extensions, or one of the router's.
async fn with_problem_body(response: Response, path: &str, id: &RequestId) -> Response {
    let extensions = response.extensions();
    let ours = extensions.get::<Problem>().cloned();
    let problem = match (ours, extensions.get::<Arc<Error>>()) {
        (Some(problem), _) => problem,
        (None, Some(error)) => {
            let problem = Problem::from(&**error);
            let made = problem.clone().into_response();
            problem.log();
            return problem.write(made, id);
        }
        (None, None) => {
            if !is_bare_failure(&response) {
                return response;
            }
            let (head, body) = response.into_parts();
            let text = to_bytes(body, MAX_FOREIGN_TEXT_BYTES).await.unwrap_or_default();
            let problem = Problem::of_status(head.status, path, &String::from_utf8_lossy(&text));
            problem.log();
            return problem.write(Response::from_parts(head, Body::empty()), id);
        }
    };
    problem.log();
    problem.write(response, id)
}

/// Tells whether an answer is a failure that has nothing but a status and perhaps a text.
fn is_bare_failure(response: &Response) -> bool {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return false;
    }
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_none_or(|kind| kind.starts_with(b"text/plain"))
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

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of an unknown kind")
}

/// Answers what no route matches.
pub(super) async fn nothing_here() -> StatusCode {
    StatusCode::NOT_FOUND
}
