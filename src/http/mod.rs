//! The HTTP surface: every route, what is done around all of them, and the loop that serves them.
//!
//! A worker has only the routes for those who look after it.
//!
//! A request passes these layers, outermost first: its id, span, metrics and the body of its problem (`observe`), its
//! own body, which is read on after an early answer (`linger`), then, on the API, its key (`auth`), its place among
//! the requests worked on (`limits`) and its time.

mod auth;
mod bounds;
mod codes;
mod conditional;
mod content;
mod cursor;
mod docs;
mod dto;
mod embed;
mod filter_time;
mod gallery;
mod health;
mod host;
mod info;
mod json;
mod limits;
mod linger;
mod multipart;
mod observe;
mod openai;
mod options;
mod photos;
mod plugins;
mod problem;
mod query;
mod request_id;
mod search;
mod serve;
mod state;
mod upload;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

pub use auth::{ApiKey, Scope};
pub(crate) use multipart::clean_filename;
pub use options::HttpOptions;
pub use serve::{serve, serve_probes};
pub use state::{HttpParts, HttpState};

/// Returns everything that the server answers.
pub fn router(state: HttpState) -> Router {
    let routes = Router::new()
        .merge(api(&state))
        .merge(watched())
        .merge(docs::routes(&state))
        .merge(gallery::routes());
    answered(routes, state)
}

/// Returns what a worker answers: health, readiness and metrics.
fn probes(state: HttpState) -> Router {
    answered(watched(), state)
}

fn watched() -> Router<HttpState> {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
}

/// Puts around routes what is done around every request.
fn answered(routes: Router<HttpState>, state: HttpState) -> Router {
    routes
        .fallback(observe::nothing_here)
        .layer(from_fn(linger::linger))
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .with_state(state)
}

/// The calls that need a key, when there are keys.
fn api(state: &HttpState) -> Router<HttpState> {
    let timed = Router::new()
        .route("/v1/embeddings", post(openai::embeddings))
        .route("/v1/models", get(info::models))
        .route(
            "/v1/photos/{id}",
            get(photos::get).patch(photos::edit).delete(photos::delete),
        )
        .route("/v1/photos/{id}/content", get(content::original))
        .route("/v1/photos/{id}/retry", post(photos::retry))
        .route("/v1/photos/{id}/thumbnail", get(content::thumbnail))
        .route("/v1/stats", get(info::stats))
        .merge(plugins::routes(state))
        .route_layer(from_fn_with_state(state.clone(), limits::in_time));
    // These answer at the deadline themselves: for each input, or with what is stored by then.
    let forms = Router::new()
        .route("/embed/image", post(embed::image))
        .route("/embed/text", post(embed::text))
        .route("/v1/photos", get(photos::list).post(upload::upload))
        .route("/v1/search", post(search::search));
    timed
        .merge(forms)
        .route_layer(from_fn_with_state(state.clone(), limits::admit))
        .route_layer(from_fn_with_state(state.clone(), auth::guard))
        // Every reader of a body has a limit of its own.
        .layer(DefaultBodyLimit::disable())
}
