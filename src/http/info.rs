//! What the server runs, and what a user has in it.

use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Json;
use lucida_core::{Caller, Scope};
use lucida_library::{self, ModelStatus};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::shown_key;
use super::problem::Answer;
use super::query::Query;
use super::refusals::Refusals;
use super::state::HttpState;

/// The models that the library has vectors of, the one that searches use first, in the shape of OpenAI's API with more fields.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelList {
    /// Always `list`.
    object: &'static str,
    /// The models.
    data: Vec<ModelBody>,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelBody {
    /// The name that answers have as `model`.
    id: String,
    /// Always `model`.
    object: &'static str,
    /// Always `lucida`.
    owned_by: &'static str,
    /// What makes two vectors comparable: model, weights and preprocessing.
    fingerprint: String,
    /// The length of its vectors.
    dimensions: usize,
    /// What it takes: `image`, `text`.
    modalities: Vec<&'static str>,
    /// How long a text may be, in bytes.
    max_text_bytes: usize,
    /// The collection of its vectors.
    collection: String,
    /// How many vectors there are in it, of all users.
    vectors: u64,
    /// `serving`: searches use it. `filling`: the library is being embedded by it, and searches use it once that is
    /// done. `kept`: for a way back.
    role: ModelRole,
    /// Whether it is the one of the configuration, which `/embed` calls use.
    configured: bool,
    /// How many vectors there will be, of all users, while it is being filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    photos: Option<u64>,
    /// What keeps it from being used or its filling from going on.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// What a model is to the library.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ModelRole {
    /// Searches use it.
    Serving,
    /// The library is being embedded by it.
    Filling,
    /// Kept for a way back.
    Kept,
}

impl From<ModelStatus> for ModelBody {
    fn from(status: ModelStatus) -> Self {
        let mut modalities = Vec::new();
        modalities.extend(status.info.modalities.image.then_some("image"));
        modalities.extend(status.info.modalities.text.then_some("text"));
        Self {
            id: status.info.model,
            object: "model",
            owned_by: "lucida",
            fingerprint: status.info.fingerprint.to_string(),
            dimensions: status.info.dimensions,
            modalities,
            max_text_bytes: status.info.max_text_bytes,
            collection: status.collection.to_string(),
            vectors: status.points,
            role: match status.role {
                lucida_library::ModelRole::Serving => ModelRole::Serving,
                lucida_library::ModelRole::Filling => ModelRole::Filling,
                lucida_library::ModelRole::Kept => ModelRole::Kept,
            },
            configured: status.configured,
            photos: status.photos,
            problem: status.problem,
        }
    }
}

/// Lists the models that the library has vectors of, the one that searches use first.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "server",
    responses((status = 200, description = "The models.", body = ModelList), Refusals)
)]
pub(super) async fn models(State(state): State<HttpState>, query: Query) -> Answer<Json<ModelList>> {
    query.finish("none")?;
    let models = state.photos().models().await?;
    Ok(Json(ModelList {
        object: "list",
        data: models.into_iter().map(ModelBody::from).collect(),
    }))
}

/// What a user has.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatsBody {
    /// The user's photos by state.
    photos: PhotoCounts,
    /// The jobs of all users.
    queue: JobCounts,
    /// The model that searches use.
    model: String,
    /// What the caller's key may do; everything where the server has no keys.
    scopes: Vec<&'static str>,
    /// The server's version.
    version: &'static str,
}

/// Photos by state.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PhotoCounts {
    /// Waiting to be embedded.
    pending: u64,
    /// Found by searches.
    ready: u64,
    /// Given up.
    failed: u64,
    /// On their way out.
    deleting: u64,
}

/// Jobs by state.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobCounts {
    /// Can be worked on now.
    ready: u64,
    /// Waiting for their time.
    delayed: u64,
    /// Being worked on.
    in_flight: u64,
    /// Given up.
    dead: u64,
}

/// Counts what the caller has.
#[utoipa::path(
    get,
    path = "/v1/stats",
    tag = "server",
    responses((status = 200, description = "The counts.", body = StatsBody), Refusals)
)]
pub(super) async fn stats(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    query: Query,
) -> Answer<Json<StatsBody>> {
    query.finish("none")?;
    let stats = state.photos().stats(&caller.user_id).await?;
    Ok(Json(StatsBody {
        photos: PhotoCounts {
            pending: stats.photos.pending,
            ready: stats.photos.ready,
            failed: stats.photos.failed,
            deleting: stats.photos.deleting,
        },
        queue: JobCounts {
            ready: stats.queue.ready,
            delayed: stats.queue.delayed,
            in_flight: stats.queue.in_flight,
            dead: stats.queue.dead,
        },
        model: stats.model,
        scopes: state
            .keys()
            .scopes(shown_key(&headers))
            .into_iter()
            .map(Scope::as_str)
            .collect(),
        version: env!("CARGO_PKG_VERSION"),
    }))
}
