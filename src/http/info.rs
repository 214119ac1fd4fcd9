//! What the server runs, and what a user has in it.

use std::collections::BTreeMap;

use axum::extract::{Extension, Path, State};
use axum::response::Json;
use lucida_core::{Caller, Embedder, EmbedderInfo, Error, Matryoshka, Result, Scope};
use lucida_library::{self, ModelStatus};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Answer;
use super::query::Query;
use super::refusals::Refusals;
use super::state::HttpState;

/// The models that the library has vectors of, the one that searches use first, and those that are only served by name, in
/// the shape of OpenAI's API with more fields.
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
    /// Always 0: when a model was made is not known, and OpenAI's clients expect the field.
    created: u64,
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
    /// At how many tokens a text is cut, or refused where a request says `truncate: false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<usize>,
    /// What can be put before texts, by the names for `prompt_name`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    prompts: BTreeMap<String, String>,
    /// The prompt of requests that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    default_prompt: Option<String>,
    /// Which `dimensions` below its own a request for texts may ask for: `any`, or a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    shorter_dimensions: Option<ShorterDimensions>,
    /// The collection of its vectors, if the library has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<String>,
    /// How many vectors there are in it, of all users.
    #[serde(skip_serializing_if = "Option::is_none")]
    vectors: Option<u64>,
    /// `serving`: searches use it. `filling`: the library is being embedded by it, and searches use it once that is
    /// done. `kept`: for a way back. `named`: it is one of `[[models]]`, for requests that name it.
    role: ModelRole,
    /// Whether it is the one of the configuration, which `/embed` calls use that name no model.
    configured: bool,
    /// Whether any of its weights are in memory, for the models that `/embed` calls can name.
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded: Option<bool>,
    /// The size of its weights' files in bytes, about what it takes in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_bytes: Option<u64>,
    /// How many vectors there will be, of all users, while it is being filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    photos: Option<u64>,
    /// What keeps it from being used or its filling from going on.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// The lengths that a model's vectors may be cut to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum ShorterDimensions {
    /// `any`.
    Word(&'static str),
    /// These.
    Lengths(Vec<usize>),
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
    /// Only for requests that name it.
    Named,
}

impl ModelBody {
    fn new(info: EmbedderInfo, role: ModelRole) -> Self {
        let mut modalities = Vec::new();
        modalities.extend(info.modalities.image.then_some("image"));
        modalities.extend(info.modalities.text.then_some("text"));
        Self {
            id: info.model,
            object: "model",
            created: 0,
            owned_by: "lucida",
            fingerprint: info.fingerprint.to_string(),
            dimensions: info.dimensions,
            modalities,
            max_text_bytes: info.max_text_bytes,
            max_tokens: info.texts.max_tokens,
            prompts: info.texts.prompts,
            default_prompt: info.texts.default_prompt,
            shorter_dimensions: match info.texts.matryoshka {
                Matryoshka::None => None,
                Matryoshka::Any => Some(ShorterDimensions::Word("any")),
                Matryoshka::Lengths(lengths) => Some(ShorterDimensions::Lengths(lengths)),
            },
            collection: None,
            vectors: None,
            role,
            configured: false,
            loaded: None,
            weight_bytes: None,
            photos: None,
            problem: None,
        }
    }

    /// Adds what only the open model itself knows.
    fn with_memory(mut self, embedder: &dyn Embedder) -> Self {
        self.loaded = Some(embedder.is_loaded());
        self.weight_bytes = embedder.weight_bytes();
        self
    }

    /// Describes a model that the library has vectors of.
    fn of_library(status: ModelStatus, configured: &dyn Embedder) -> Self {
        let role = match status.role {
            lucida_library::ModelRole::Serving => ModelRole::Serving,
            lucida_library::ModelRole::Filling => ModelRole::Filling,
            lucida_library::ModelRole::Kept => ModelRole::Kept,
        };
        let body = Self {
            collection: Some(status.collection.to_string()),
            vectors: Some(status.points),
            configured: status.configured,
            photos: status.photos,
            problem: status.problem,
            ..Self::new(status.info, role)
        };
        if body.configured {
            body.with_memory(configured)
        } else {
            body
        }
    }
}

/// Returns every model.
async fn all_models(state: &HttpState) -> Result<Vec<ModelBody>> {
    let configured = state.photos().embedder();
    let of_library = state.photos().models().await?;
    let of_library = of_library
        .into_iter()
        .map(|status| ModelBody::of_library(status, &**configured));
    let named = state
        .models()
        .further()
        .iter()
        .map(|model| ModelBody::new(model.describe().clone(), ModelRole::Named).with_memory(&**model));
    Ok(of_library.chain(named).collect())
}

/// Lists the models that the library has vectors of, the one that searches use first, and those that are served by name.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "server",
    responses((status = 200, description = "The models.", body = ModelList), Refusals)
)]
pub(super) async fn models(State(state): State<HttpState>, query: Query) -> Answer<Json<ModelList>> {
    query.finish("none")?;
    Ok(Json(ModelList {
        object: "list",
        data: all_models(&state).await?,
    }))
}

/// Describes one model. A `/` in its name is written as it is, or `%2F`.
#[utoipa::path(
    get,
    path = "/v1/models/{id}",
    tag = "server",
    params(("id" = String, Path, description = "The name.")),
    responses((status = 200, description = "The model.", body = ModelBody), Refusals)
)]
pub(super) async fn model(
    State(state): State<HttpState>,
    Path(id): Path<String>,
    query: Query,
) -> Answer<Json<ModelBody>> {
    query.finish("none")?;
    let mut models = all_models(&state).await?;
    let Some(place) = models.iter().position(|model| model.id == id) else {
        let names: Vec<_> = models.iter().map(|model| format!("`{}`", model.id)).collect();
        let message = format!("model `{id}` is not known here; there is {}", names.join(", "));
        return Err(Error::not_found(message).with_code("model_not_found").into());
    };
    Ok(Json(models.swap_remove(place)))
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
        scopes: caller.scopes.into_iter().map(Scope::as_str).collect(),
        version: env!("CARGO_PKG_VERSION"),
    }))
}
