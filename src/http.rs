//! The HTTP surface: every route, what is done around all of them, and the loop that serves them.
//!
//! A worker has only the routes for those who watch it.
//!
//! A request passes these layers, outermost first: its id, span, metrics and the body of its problem (`observe`), its
//! own body, which is read on after an early answer (`linger`), then the rules of its call (`entry`): key, admission,
//! deadline, and the bounds of its body. `routes` is the one table of calls.

mod auth;
mod base_path;
mod body;
mod bounds;
mod codes;
mod conditional;
mod content;
mod cors;
mod cursor;
mod docs;
mod dto;
mod embed;
mod entry;
mod gallery;
mod health;
mod host;
mod info;
mod json;
mod left_out;
mod linger;
mod multipart;
mod observe;
mod options;
mod panics;
mod photos;
mod plugins;
mod problem;
mod query;
mod refusals;
mod request_id;
mod routes;
mod search;
mod serve;
mod shape;
mod state;
mod tags;
mod tls;
mod tokenize;
mod upload;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use lucida_core::Result;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

pub(crate) use multipart::clean_filename;
pub use options::HttpOptions;
pub use serve::{serve, serve_probes, serve_tls};
pub use state::{HttpParts, HttpState};
pub use tls::{Tls, TlsFiles};

/// Returns everything that the server answers.
///
/// # Errors
/// `ConfigInvalid` for a call of a plugin that is already taken.
pub fn router(state: HttpState) -> Result<Router> {
    let calls = routes::calls();
    let plugins = plugins::endpoints(&state);
    plugins::check_collisions(&calls, &plugins)?;
    let document = docs::document(&calls, &plugins, &state);
    let routes = routes::mount(calls, &state)
        .merge(plugins::mount(plugins, &state))
        .merge(plugins::namespaces(&state))
        .merge(docs::routes(document))
        .merge(gallery::routes());
    Ok(answered(routes, state))
}

/// Returns what a worker answers: health, readiness and metrics.
fn probes(state: HttpState) -> Router {
    answered(routes::mount(routes::probes(), &state), state)
}

/// Puts around routes what is done around every request.
fn answered(routes: Router<HttpState>, state: HttpState) -> Router {
    let routes = routes
        .fallback(observe::not_found)
        // Every body is bounded by the rules of its call.
        .layer(DefaultBodyLimit::disable())
        .layer(panics::layer());
    let routes = match cors::layer(&state.options().cors_origins) {
        Some(cors) => routes.layer(cors),
        None => routes,
    };
    let base_path = state.options().base_path.clone();
    let routes = routes
        .layer(from_fn(linger::linger))
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .with_state(state);
    base_path::nest(routes, &base_path)
}
