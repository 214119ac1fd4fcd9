//! For those who look after the server: is it alive, is it ready, and its metrics.

use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use lucida_core::pipeline::{PartHealth, Readiness};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Scope;
use super::docs::Refusals;
use super::limits::within;
use super::problem::{Answer, Problem, ProblemBody};
use super::state::HttpState;

/// How long all parts together may take to answer a probe; each has a shorter limit of its own.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long ledger and queue may take to be counted for the metrics.
const GAUGES_TIMEOUT: Duration = Duration::from_secs(2);

/// That the server is alive.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`.
    status: &'static str,
    /// The server's version.
    version: &'static str,
}

/// Tells that the process answers; asks nothing of any part.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "server",
    security(()),
    responses((status = 200, description = "The server is alive.", body = Health))
)]
pub(super) async fn alive() -> Json<Health> {
    Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// How each part of the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ready {
    /// Always `ready`.
    status: &'static str,
    /// The parts.
    parts: Vec<PartBody>,
}

/// How one part is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PartBody {
    /// Which part: `storage`, `metadata`, `index`, `queue`, `embedder` or `server`.
    part: &'static str,
    /// `ok` or `failed`.
    status: &'static str,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<PartHealth> for PartBody {
    fn from(PartHealth { part, error }: PartHealth) -> Self {
        let status = if error.is_none() { "ok" } else { "failed" };
        Self { part, status, error }
    }
}

/// Tells whether every part can be reached and the model really embeds.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "server",
    security(()),
    responses(
        (status = 200, description = "Every part is well.", body = Ready),
        (status = 503, description = "A part is not; `parts` names it and its error.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn ready(State(state): State<HttpState>) -> Answer<Json<Ready>> {
    let mut readiness: Readiness =
        within(PROBE_TIMEOUT, async { Ok(state.photos().readiness().await) }).await?;
    if state.shutdown().is_cancelled() {
        readiness.parts.push(PartHealth {
            part: "server",
            error: Some("the server is stopping".to_owned()),
        });
    }
    let parts: Vec<_> = readiness.parts.into_iter().map(PartBody::from).collect();
    let failed: Vec<_> = parts
        .iter()
        .filter(|part| part.error.is_some())
        .map(|part| part.part)
        .collect();
    if failed.is_empty() {
        return Ok(Json(Ready {
            status: "ready",
            parts,
        }));
    }
    let detail = format!("not ready: {}; `parts` says why", failed.join(", "));
    Err(Problem::not_ready(
        detail,
        serde_json::to_value(parts).unwrap_or_default(),
    ))
}

/// Shows the metrics, in the text format of Prometheus. Needs a key with the scope `read` when the server has keys.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "server",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain"), Refusals)
)]
pub(super) async fn metrics(State(state): State<HttpState>, headers: HeaderMap) -> Answer<Response> {
    // Without keys anybody who reaches the server may look: there is nothing of a user's in the metrics.
    if !state.keys().is_empty() {
        state.keys().authorize(&headers, Some(Scope::Read))?;
    }
    // A part that does not answer leaves its gauges as they were, and the rest is shown all the same.
    let _ = tokio::time::timeout(GAUGES_TIMEOUT, state.photos().report_gauges()).await;
    let text = state.metrics().render();
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
