//! The tags of a user's photos.

use axum::extract::{Extension, State};
use axum::response::Json;
use lucida_api::TagsBody;
use lucida_core::Caller;

use super::problem::Answer;
use super::query::Query;
use super::refusals::Refusals;
use super::state::HttpState;

/// How many tags are listed when the caller doesn't say.
pub(super) const DEFAULT_TAGS: usize = 100;

/// The most tags that are listed.
pub(super) const MAX_LISTED_TAGS: usize = 1000;

/// Lists the tags of the caller's photos, with the number of photos that have each.
#[utoipa::path(
    get,
    path = "/v1/tags",
    tag = "photos",
    params(("limit" = Option<usize>, Query, description = "How many tags.")),
    responses((status = 200, description = "The tags, those of most photos first.", body = TagsBody), Refusals)
)]
pub(super) async fn list(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    mut query: Query,
) -> Answer<Json<TagsBody>> {
    let limit = query
        .number("limit", 1..=MAX_LISTED_TAGS)?
        .unwrap_or(DEFAULT_TAGS);
    query.finish("`limit`")?;
    let tags = state.photos().tags(&caller.user_id, limit).await?;
    Ok(Json(tags.into()))
}
