//! Search: by words, by a photo of the library, or by a picture that is sent along.

use axum::extract::{Extension, FromRequest, Request, State};
use axum::response::Json;
use lucida_api::field::{check_bounds, invalid};
use lucida_api::{check_text, json, json::Object};
use lucida_core::{Caller, Deadline, Error, PhotoId, Result, SearchInput, SearchQuery, SearchResult};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::is_form;
use super::dto::{PhotoBody, SearchFilter};
use super::json::JsonBody;
use super::multipart::{Form, duplicate, missing_file};
use super::problem::Answer;
use super::query::Query;
use super::refusals::Refusals;
use super::state::HttpState;

/// A search by words or by a photo of the library: exactly one of `text` and `photo_id`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "text": "dog on the beach", "limit": 10, "filter": { "taken_from": "2024-06-01" } }))]
pub(super) struct SearchRequest {
    /// Words.
    #[serde(default)]
    text: Option<String>,
    /// A photo of the library: photos like this one, without itself.
    #[serde(default)]
    photo_id: Option<String>,
    /// How many hits at most; the server's configuration has the default and the bound.
    #[serde(default)]
    limit: Option<usize>,
    /// Among which photos.
    #[serde(default)]
    #[schema(value_type = Option<SearchFilter>)]
    filter: Option<Object<SearchFilter>>,
}

/// The form of a search by a picture that is not in the library, and is not kept.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "says in the OpenAPI document what the form has; the form is read as a stream"
)]
pub(super) struct SearchForm {
    /// The picture.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// How many hits at most.
    limit: Option<usize>,
    /// Among which photos, as JSON.
    filter: Option<SearchFilter>,
}

/// What a search found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SearchAnswer {
    /// The photos, best first.
    hits: Vec<HitBody>,
    /// The model that compared them.
    model: String,
}

/// A photo found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HitBody {
    /// The cosine of the two vectors, -1 to 1, or what a reranking plugin made of it; higher is better.
    score: f32,
    /// The photo.
    photo: PhotoBody,
}

impl From<SearchResult> for SearchAnswer {
    fn from(result: SearchResult) -> Self {
        let hits = result.hits.into_iter().map(|hit| HitBody {
            score: hit.score,
            photo: hit.photo.into(),
        });
        Self {
            hits: hits.collect(),
            model: result.model,
        }
    }
}

/// Finds photos.
#[utoipa::path(
    post,
    path = "/v1/search",
    tag = "search",
    request_body(content(
        (SearchRequest = "application/json"),
        (SearchForm = "multipart/form-data"),
    )),
    responses((status = 200, description = "The photos found, best first.", body = SearchAnswer), Refusals)
)]
pub(super) async fn search(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    Extension(deadline): Extension<Deadline>,
    query: Query,
    request: Request,
) -> Answer<Json<SearchAnswer>> {
    query.finish("none")?;
    let (input, limit, filter) = if is_form(request.headers()) {
        read_form(request, &state, &deadline).await?
    } else {
        let JsonBody(asked) = JsonBody::<SearchRequest>::from_request(request, &state).await?;
        let input = input_of(asked.text, asked.photo_id, &state)?;
        (input, asked.limit, asked.filter.map(|filter| filter.0))
    };
    let options = state.options();
    let limit = check_bounds(
        "limit",
        limit.unwrap_or(options.default_search_limit),
        &(1..=options.max_search_limit),
        Some("search.max_limit"),
    )?;
    let filter = filter.unwrap_or_default().into_index_filter()?;
    let query = SearchQuery {
        user_id: caller.user_id,
        input,
        filter,
        limit,
    };
    let found = deadline.bound(state.photos().search(query)).await?;
    Ok(Json(found.into()))
}

fn input_of(text: Option<String>, photo_id: Option<String>, state: &HttpState) -> Result<SearchInput> {
    match (text, photo_id) {
        (Some(text), None) => {
            let most = state.photos().embedder().describe().max_text_bytes;
            check_text("text", &text, most)?;
            Ok(SearchInput::Text(text))
        }
        (None, Some(id)) => {
            let parsed = id.parse::<PhotoId>().map_err(|_| {
                let message = format!("photo `{id}` not found");
                Error::not_found(message)
                    .with_code("photo_not_found")
                    .with_field("photo_id")
            });
            parsed.map(SearchInput::Photo)
        }
        (None, None) => Err(Error::invalid(
            "nothing to search for: give `text` or `photo_id`, or send a picture as `file`",
        )
        .with_code("missing_field")
        .with_field("text")),
        (Some(_), Some(_)) => Err(invalid("photo_id", "give either `text` or `photo_id`, not both")),
    }
}

async fn read_form(
    request: Request,
    state: &HttpState,
    deadline: &Deadline,
) -> Result<(SearchInput, Option<usize>, Option<SearchFilter>)> {
    let mut form = Form::open(request).await?;
    let (mut picture, mut limit, mut filter) = (None, None, None);
    while let Some(part) = form.next().await? {
        match part.name.as_str() {
            "file" if picture.is_some() => {
                return Err(duplicate("file", ": search by one picture at a time"));
            }
            "limit" if limit.is_some() => return Err(duplicate("limit", "")),
            "filter" if filter.is_some() => return Err(duplicate("filter", "")),
            "file" => {
                let (spool, _) = part.spool(state.photos()).await?;
                picture = Some(deadline.bound(state.photos().decode_upload(spool)).await?);
            }
            "limit" => limit = Some(json::parse::<Option<usize>>(&part.value().await?, "limit")?),
            "filter" => filter = Some(json::parse_optional_object(&part.value().await?, "filter")?),
            _ => return Err(part.unknown("`file`, `limit` or `filter`")),
        }
    }
    let picture = picture.ok_or_else(missing_file)?;
    Ok((SearchInput::Picture(picture), limit.flatten(), filter.flatten()))
}
