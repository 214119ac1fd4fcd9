//! Upload: the form is streamed to the spool, and the pipeline takes it from there.

use axum::extract::{Extension, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use lucida_api::json;
use lucida_core::{Caller, Deadline, Photo, PhotoState, Result, clean_tags};
use lucida_library::{SpoolWriter, UploadDetails, Uploaded};
use utoipa::ToSchema;

use super::dto::{PhotoBody, UploadMetadata};
use super::multipart::{Form, duplicate, fetch, missing_file};
use super::problem::{Answer, Problem};
use super::query::Query;
use super::refusals::Refusals;
use super::state::HttpState;

/// The form of an upload.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "says in the OpenAPI document what the form has; the form is read as a stream"
)]
pub(super) struct UploadForm {
    /// The photo: JPEG, PNG, WebP, HEIC, GIF, BMP or TIFF, recognised by its bytes.
    #[schema(value_type = Option<String>, format = Binary)]
    file: Option<Vec<u8>>,
    /// Where to fetch the photo from instead, on a server with the plugin `url-ingest`.
    url: Option<String>,
    /// What the uploader says about it, as JSON.
    metadata: Option<UploadMetadata>,
}

/// Uploads a photo.
///
/// Once the answer is there the photo survives a crash of the server. It is embedded in the background, or before the
/// answer with `wait=true`.
#[utoipa::path(
    post,
    path = "/v1/photos",
    tag = "photos",
    params(("wait" = Option<bool>, Query, description = "Whether to answer when the photo is ready, or the time for that is up.")),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The same bytes are stored already: this is that photo. Its tags are merged with those of the upload, and an unknown `taken_at` is set.", body = PhotoBody),
        (status = 201, description = "The photo is ready; only with `wait=true`.", body = PhotoBody),
        (status = 202, description = "The photo is kept and will be ready soon.", body = PhotoBody),
        Refusals,
    )
)]
pub(super) async fn upload(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    Extension(deadline): Extension<Deadline>,
    mut query: Query,
    request: Request,
) -> Answer<Response> {
    let wait = query.flag("wait")?;
    query.finish("`wait`")?;
    let mut form = Form::open(request).await?;
    let (spool, details) = read_form(&mut form, &state, &deadline).await?;
    let photos = state.photos().clone();
    let keep = state.to_the_end(async move { photos.upload(&caller.user_id, spool, details).await });
    let uploaded = deadline.bound(keep).await?;
    let (photo, is_new) = match uploaded {
        Uploaded::New(photo) => (photo, true),
        Uploaded::Existing(photo) => (photo, false),
    };
    let photo = if wait && photo.state == PhotoState::Pending {
        state
            .photos()
            .wait_until_settled(&photo.id, state.options().wait_timeout.min(deadline.left()))
            .await?
    } else {
        photo
    };
    answer(photo, is_new, &state.options().base_path)
}

async fn read_form(
    form: &mut Form,
    state: &HttpState,
    deadline: &Deadline,
) -> Result<(SpoolWriter, UploadDetails)> {
    let mut file = None;
    let mut metadata: Option<Option<UploadMetadata>> = None;
    while let Some(part) = form.next().await? {
        match part.name.as_str() {
            "file" | "url" if file.is_some() => {
                return Err(duplicate(
                    "file",
                    " or `url`: upload each photo by a call of its own",
                ));
            }
            "metadata" if metadata.is_some() => return Err(duplicate("metadata", "")),
            "file" => file = Some(part.spool(state.photos()).await?),
            "url" => {
                let url = part.url().await?;
                file = Some(deadline.bound(fetch(&url, state.photos())).await?);
            }
            "metadata" => metadata = Some(json::parse_optional_object(&part.value().await?, "metadata")?),
            _ => return Err(part.unknown("`file`, `url` or `metadata`")),
        }
    }
    let (spool, filename) = file.ok_or_else(missing_file)?;
    let UploadMetadata { tags, taken_at } = metadata.flatten().unwrap_or_default();
    let tags = clean_tags("metadata.tags", tags)?;
    Ok((
        spool,
        UploadDetails {
            filename,
            taken_at,
            tags,
        },
    ))
}

fn answer(photo: Photo, is_new: bool, base_path: &str) -> Answer<Response> {
    let status = match (is_new, photo.state) {
        (false, _) => StatusCode::OK,
        (true, PhotoState::Failed) => return Err(Problem::of_failed_photo(&photo.id, photo.error.as_ref())),
        (true, PhotoState::Ready) => StatusCode::CREATED,
        (true, PhotoState::Pending | PhotoState::Deleting) => StatusCode::ACCEPTED,
    };
    let location = HeaderValue::try_from(format!("{base_path}/v1/photos/{}", photo.id));
    let mut response = (status, Json(PhotoBody::from(photo))).into_response();
    response
        .headers_mut()
        .extend(location.ok().map(|location| (LOCATION, location)));
    Ok(response)
}
