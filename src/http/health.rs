//! For those who look after the server: is it alive, is it ready, and its metrics.

use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use lucida_core::Result;
use lucida_core::pipeline::{PartHealth, Readiness};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Scope;
use super::docs::Refusals;
use super::limits::within;
use super::problem::{Answer, Problem, ProblemBody};
use super::query::{Query, invalid};
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

/// The part that is not well while the process stops.
const PROCESS: &str = "server";

/// How each part of the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ready {
    /// Always `ready`.
    status: &'static str,
    /// The parts, also those that don't decide.
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
    /// What an operator should know although the part works, such as how many originals are damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl From<PartHealth> for PartBody {
    fn from(PartHealth { part, error, note }: PartHealth) -> Self {
        let status = if error.is_none() { "ok" } else { "failed" };
        Self {
            part,
            status,
            error,
            note,
        }
    }
}

/// Tells whether every part can be reached and the model really embeds.
///
/// With `?parts=metadata,index,embedder` only those decide, so that a load balancer keeps a server that can still be
/// searched while photos can't be stored; the others are listed all the same. A process that is stopping is never
/// ready. A part may take 3 seconds to answer: give a probe 5.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "server",
    security(()),
    params(
        ("parts" = Option<String>, Query, description = "Which parts decide: some of `storage`, `metadata`, `index`, `queue` and `embedder`, with commas; all by default.", example = "metadata,index,embedder"),
    ),
    responses(
        (status = 200, description = "Every part that decides is well.", body = Ready),
        (status = 422, description = "There is no such part; `detail` lists them.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "A part that decides is not well; `parts` names it and its error.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn ready(State(state): State<HttpState>, mut query: Query) -> Answer<Json<Ready>> {
    let wanted = query.one("parts")?;
    query.finish("`parts`")?;
    let mut readiness: Readiness =
        within(PROBE_TIMEOUT, async { Ok(state.photos().readiness().await) }).await?;
    let mut deciding = deciding(wanted.as_deref(), &readiness.parts)?;
    if state.shutdown().is_cancelled() {
        deciding.push(PROCESS);
        readiness.parts.push(PartHealth {
            part: PROCESS,
            error: Some("this process is stopping".to_owned()),
            note: None,
        });
    }
    let parts: Vec<_> = readiness.parts.into_iter().map(PartBody::from).collect();
    let failed: Vec<_> = parts
        .iter()
        .filter(|part| part.error.is_some() && deciding.contains(&part.part))
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

/// Reads which parts decide, with commas between them; all of them where nothing is said.
fn deciding(wanted: Option<&str>, parts: &[PartHealth]) -> Result<Vec<&'static str>> {
    let known: Vec<_> = parts.iter().map(|part| part.part).collect();
    let Some(wanted) = wanted else {
        return Ok(known);
    };
    let find = |name: &str| {
        known.iter().copied().find(|part| *part == name).ok_or_else(|| {
            let message = format!("there is no part `{name}`: `parts` takes {}", known.join(", "));
            invalid("parts", message)
        })
    };
    wanted.split(',').map(str::trim).map(find).collect()
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
