//! For those who look after the server: is it alive, is it ready, and its metrics.

use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use lucida_api::field::invalid;
use lucida_core::{Deadline, Result};
use lucida_library::{PartHealth, Readiness};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::shown_key;
use super::problem::{Answer, Problem, ProblemBody};
use super::query::Query;
use super::refusals::Refusals;
use super::state::HttpState;

/// How long all parts together may take to answer a probe; each has a shorter limit of its own.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long metadata store and queue may take to be counted for the metrics.
const GAUGES_TIMEOUT: Duration = Duration::from_secs(2);

/// That the server is alive.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`.
    status: &'static str,
    /// The server's version.
    version: &'static str,
}

/// Reports that the process answers; asks nothing of any part.
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

/// Returns whether every part can be reached and the model really embeds.
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
pub(super) async fn ready(
    State(state): State<HttpState>,
    headers: HeaderMap,
    mut query: Query,
) -> Answer<Json<Ready>> {
    let wanted = query.one("parts")?;
    query.finish("`parts`")?;
    let mut readiness: Readiness = Deadline::after(PROBE_TIMEOUT)
        .bound(async { Ok(state.photos().readiness().await) })
        .await?;
    let mut deciding = deciding(wanted.as_deref(), &readiness.parts)?;
    if state.shutdown().is_cancelled() {
        deciding.push(PROCESS);
        readiness.parts.push(PartHealth {
            part: PROCESS,
            error: Some("this process is stopping".to_owned()),
            note: None,
        });
    }
    let mut parts: Vec<_> = readiness.parts.into_iter().map(PartBody::from).collect();
    let is_known = shown_key(&headers).is_some_and(|key| state.keys().knows(key));
    if !is_known {
        for part in &mut parts {
            part.error = part.error.as_deref().map(without_paths);
            part.note = part.note.as_deref().map(without_paths);
        }
    }
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

/// Shortens absolute paths to their last component: how the server's disk is laid out is nobody else's business, and its
/// log has them whole.
fn without_paths(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = path_start(rest) {
        let (before, path) = rest.split_at(start);
        short.push_str(before);
        let end = path_end(path, before.chars().next_back());
        let name = path[..end].trim_end_matches(['/', '\\']);
        short.push('…');
        short.push_str(name.rfind(['/', '\\']).map_or(name, |slash| &name[slash..]));
        rest = &path[end..];
    }
    short.push_str(rest);
    short
}

/// Finds where an absolute path begins: `/` or `C:\` at the start of a word; the slashes of a URL are inside of one.
fn path_start(text: &str) -> Option<usize> {
    let mut before = None;
    for (place, character) in text.char_indices() {
        let is_at_start =
            before.is_none_or(|before: char| !before.is_alphanumeric() && !"/:.-_~%\\".contains(before));
        let rest = &text.as_bytes()[place..];
        let is_drive = matches!(rest, [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
        let is_root = matches!(rest, [b'/' | b'\\', next, ..] if !next.is_ascii_whitespace());
        let after_colon = before == Some(':') && is_root && !rest.starts_with(b"//");
        if (is_at_start && (is_drive || is_root)) || after_colon {
            return Some(place);
        }
        before = Some(character);
    }
    None
}

/// Finds where a path ends: at the quote that it stands in, else behind its last word. A word of which more of a path
/// follows is inside of a path with blanks.
fn path_end(path: &str, before: Option<char>) -> usize {
    if let Some(quote @ ('`' | '"' | '\'')) = before
        && let Some(end) = path.find(quote)
    {
        return end;
    }
    let mut end = 0;
    for word in path.split_inclusive(char::is_whitespace) {
        let is_more = end == 0 || word.contains(['/', '\\']) && !word.contains("://");
        if !is_more {
            break;
        }
        end += word.len();
    }
    path[..end]
        .trim_end_matches(|end: char| end.is_whitespace() || ":,;.)".contains(end))
        .len()
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

/// Returns the metrics, in the text format of Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "server",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain"), Refusals)
)]
pub(super) async fn metrics(State(state): State<HttpState>) -> Response {
    // A part that does not answer leaves its gauges as they were, and the rest is shown all the same.
    let _ = tokio::time::timeout(GAUGES_TIMEOUT, state.photos().report_gauges()).await;
    let text = state.metrics().render();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths_are_shortened_to_their_last_component() {
        for (given, shown) in [
            (
                "opening `/srv/my photos/lucida/metadata.db`: not a database",
                "opening `…/metadata.db`: not a database",
            ),
            (
                "folder /srv/lucida/data is not writable: set storage.disk.root",
                "folder …/data is not writable: set storage.disk.root",
            ),
            (
                "can't open /srv/my photos/x.db: locked",
                "can't open …/x.db: locked",
            ),
            ("(/var/lib/lucida/)", "(…/lucida)"),
            ("path:/var/lib/lucida", "path:…/lucida"),
            (r"C:\Users\me\photos is full", r"…\photos is full"),
            (
                "http://minio:9000/bucket answers 503 and/or is slow",
                "http://minio:9000/bucket answers 503 and/or is slow",
            ),
            ("data/spool is full", "data/spool is full"),
            ("5 / 3 is not whole", "5 / 3 is not whole"),
        ] {
            assert_eq!(without_paths(given), shown);
        }
    }
}
