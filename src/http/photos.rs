//! The library: list, get, edit, delete and retry photos.

use axum::extract::{Extension, FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Json;
use lucida_api::TakenRange;
use lucida_api::field::invalid;
use lucida_core::{Caller, Error, Order, PhotoFilter, PhotoId, PhotoQuery, PhotoState, Result, clean_tags};
use serde::Serialize;
use utoipa::ToSchema;

use super::cursor;
use super::dto::{PhotoBody, PhotoChanges};
use super::json::JsonBody;
use super::problem::{Answer, Problem};
use super::query::Query;
use super::refusals::Refusals;
use super::state::HttpState;

/// How many photos a page has when the caller doesn't say.
pub(super) const DEFAULT_LIMIT: usize = 50;

/// How many photos a page may have.
pub(super) const MAX_LIMIT: usize = 200;

/// The photo's id in a path; anything else is not found.
pub(super) struct PhotoPath(pub(super) PhotoId);

impl FromRequestParts<HttpState> for PhotoPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> std::result::Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|error| not_a_photo("this").with_source(error))?;
        text.parse()
            .map(Self)
            .map_err(|_| Problem::from(not_a_photo(&format!("`{text}`"))))
    }
}

/// Says that there is no such photo, in the words of a photo that is not the caller's.
fn not_a_photo(what: &str) -> Error {
    Error::not_found(format!("photo {what} not found")).with_code("photo_not_found")
}

/// A page of photos.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PhotoList {
    /// The photos, the latest upload first.
    photos: Vec<PhotoBody>,
    /// What to give as `cursor` to get the next page; null after the last.
    next_cursor: Option<String>,
}

/// Lists photos.
///
/// The latest upload comes first. Photos that come or go between two pages neither repeat nor hide another one.
#[utoipa::path(
    get,
    path = "/v1/photos",
    tag = "photos",
    params(
        ("limit" = Option<usize>, Query, description = "How many photos."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before, of the same list."),
        ("state" = Option<Vec<String>>, Query, description = "Only `pending`, `ready` or `failed` photos; may be repeated."),
        ("taken_from" = Option<String>, Query, description = "Only photos taken on or after this day, or at or after this time. A day, and a time without an offset, goes by the clock where a photo was taken; by UTC where the photo's offset is unknown. A time with an offset or `Z` is a moment.", example = "2024-06-01"),
        ("taken_to" = Option<String>, Query, description = "Only photos taken on or before this day, or before this time; written as `taken_from` is.", example = "2024-06-30"),
        ("tag" = Option<Vec<String>>, Query, description = "Only photos with this tag; repeated, with all of them."),
    ),
    responses((status = 200, description = "A page of photos.", body = PhotoList), Refusals)
)]
pub(super) async fn list(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    query: Query,
) -> Answer<Json<PhotoList>> {
    let query = read_query(query, &caller)?;
    let page = state.photos().list(&query).await?;
    let next_cursor = page.next.map(|last| cursor::write(&query.filter, &last));
    Ok(Json(PhotoList {
        photos: page.photos.into_iter().map(PhotoBody::from).collect(),
        next_cursor,
    }))
}

fn read_query(mut query: Query, caller: &Caller) -> Result<PhotoQuery> {
    let limit = query.number("limit", 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let cursor = query.one("cursor")?;
    let mut states = query
        .all("state")
        .iter()
        .map(|text| state_of(text))
        .collect::<Result<Vec<_>>>()?;
    states.sort_unstable();
    states.dedup();
    let (from, to) = (query.filter_time("taken_from")?, query.filter_time("taken_to")?);
    let range = TakenRange::new("", from, to)?;
    let tags = clean_tags("tag", query.all("tag"))?;
    query.finish("`limit`, `cursor`, `state`, `taken_from`, `taken_to` or `tag`")?;
    let filter = PhotoFilter {
        user_id: Some(caller.user_id.clone()),
        states,
        taken_from: range.taken_from,
        taken_to: range.taken_to,
        local_from: range.local_from,
        local_to: range.local_to,
        tags: tags.into_iter().collect(),
        ..PhotoFilter::default()
    };
    let after = cursor.map(|text| cursor::read(&filter, &text)).transpose()?;
    Ok(PhotoQuery {
        filter,
        order: Order::NewestFirst,
        after,
        limit,
    })
}

fn state_of(text: &str) -> Result<PhotoState> {
    match text.parse() {
        Ok(state @ (PhotoState::Pending | PhotoState::Ready | PhotoState::Failed)) => Ok(state),
        Ok(PhotoState::Deleting) | Err(_) => Err(invalid(
            "state",
            format!("`state` must be pending, ready or failed, not `{text}`"),
        )),
    }
}

/// Returns a photo.
#[utoipa::path(
    get,
    path = "/v1/photos/{id}",
    tag = "photos",
    params(("id" = String, Path, description = "The photo's id.")),
    responses((status = 200, description = "The photo.", body = PhotoBody), Refusals)
)]
pub(super) async fn get(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    PhotoPath(id): PhotoPath,
    query: Query,
) -> Answer<Json<PhotoBody>> {
    query.finish("none")?;
    let photo = state.photos().photo(&caller.user_id, &id).await?;
    Ok(Json(photo.into()))
}

/// Changes a photo's tags and the time that it was taken at.
///
/// Searches go by the change at once. A time that is forgotten, and a tag of a plugin that is removed, come back when the
/// photo is embedded anew.
#[utoipa::path(
    patch,
    path = "/v1/photos/{id}",
    tag = "photos",
    params(("id" = String, Path, description = "The photo's id.")),
    request_body = PhotoChanges,
    responses((status = 200, description = "The photo as it is now.", body = PhotoBody), Refusals)
)]
pub(super) async fn edit(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    PhotoPath(id): PhotoPath,
    query: Query,
    JsonBody(changes): JsonBody<PhotoChanges>,
) -> Answer<Json<PhotoBody>> {
    query.finish("none")?;
    let edit = changes.into_edit()?;
    let photos = state.photos().clone();
    let photo = state
        .to_the_end(async move { photos.edit(&caller.user_id, &id, &edit).await })
        .await?;
    Ok(Json(photo.into()))
}

/// Deletes a photo, with everything that was made from it.
#[utoipa::path(
    delete,
    path = "/v1/photos/{id}",
    tag = "photos",
    params(("id" = String, Path, description = "The photo's id.")),
    responses((status = 204, description = "The photo is gone."), Refusals)
)]
pub(super) async fn delete(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    PhotoPath(id): PhotoPath,
    query: Query,
) -> Answer<StatusCode> {
    query.finish("none")?;
    let photos = state.photos().clone();
    state
        .to_the_end(async move { photos.delete(&caller.user_id, &id).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tries again to embed a photo that failed.
#[utoipa::path(
    post,
    path = "/v1/photos/{id}/retry",
    tag = "photos",
    params(("id" = String, Path, description = "The photo's id.")),
    responses((status = 202, description = "The photo is pending again.", body = PhotoBody), Refusals)
)]
pub(super) async fn retry(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    PhotoPath(id): PhotoPath,
    query: Query,
) -> Answer<(StatusCode, Json<PhotoBody>)> {
    query.finish("none")?;
    let photos = state.photos().clone();
    let photo = state
        .to_the_end(async move { photos.retry(&caller.user_id, &id).await })
        .await?;
    Ok((StatusCode::ACCEPTED, Json(photo.into())))
}
