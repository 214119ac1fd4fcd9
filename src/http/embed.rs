//! Vectors alone: pictures and texts, one or many, with a result for each.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::response::Json;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use lucida_api::field::invalid;
use lucida_core::{
    Deadline, Embedder, EmbedderInfo, Embedding, Error, ErrorKind, PromptFields, Result, TextOptions,
};
use lucida_library::{EmbedRequest, SpoolWriter};
use serde::{Deserialize, Serialize};
use tokio_util::task::AbortOnDropHandle;
use utoipa::ToSchema;

use super::json::JsonBody;
use super::multipart::{Form, fetch, missing_file};
use super::problem::{Answer, ItemProblem, Problem};
use super::query::Query;
use super::refusals::Refusals;
use super::state::HttpState;

/// How many decoded pictures of one call wait for the model at once; the rest of the form is not read meanwhile.
const PICTURES_AT_ONCE: usize = 8;

/// A text, or several: exactly one of the first two fields.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "text": "dog on the beach" }))]
pub(super) struct TextRequest {
    /// One text.
    #[serde(default)]
    text: Option<String>,
    /// Several texts.
    #[serde(default)]
    texts: Option<Vec<String>>,
    /// The model, by a name of `GET /v1/models`; without it the library's own.
    #[serde(default)]
    model: Option<String>,
    /// The name of the prompt that is put before each text, one of the model's (`GET /v1/models`); without it, the model's
    /// default.
    #[serde(default)]
    prompt_name: Option<String>,
    /// What is put before each text, as it is written, instead of a prompt of the model; `""` is nothing, also for a model with
    /// a default prompt.
    #[serde(default)]
    prompt: Option<String>,
    /// What the texts are: `query` or `document`, for models that have a prompt for each; a model without one has nothing put
    /// before them. `search_query`, `search_document` and `passage` are read, too. Instead of `prompt_name` and `prompt`.
    #[serde(default)]
    input_type: Option<String>,
    /// The length of the vectors, for models that may be cut shorter (`GET /v1/models`); without it, the model's.
    #[serde(default)]
    dimensions: Option<usize>,
    /// Whether texts with more tokens than the model takes are cut, as they are by default; with `false` they are refused, with
    /// their count.
    #[serde(default)]
    truncate: Option<bool>,
}

impl TextRequest {
    fn options(&self) -> Result<TextOptions> {
        Ok(TextOptions {
            prompt: PromptFields {
                prompt: self.prompt.as_deref(),
                prompt_name: self.prompt_name.as_deref(),
                input_type: self.input_type.as_deref(),
            }
            .choose()?,
            dimensions: self.dimensions,
            truncate: self.truncate.unwrap_or(true),
        })
    }
}

/// The form of pictures to embed.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "says in the OpenAPI document what the form has; the form is read as a stream"
)]
pub(super) struct PictureForm {
    /// The model, by a name of `GET /v1/models`, before the first picture; without it the library's own.
    model: Option<String>,
    /// A picture; the part may be repeated.
    #[schema(value_type = Vec<String>, format = Binary)]
    file: Vec<Vec<u8>>,
    /// Where to fetch a picture from, on a server with the plugin `url-ingest`; the part may be repeated.
    url: Vec<String>,
}

/// The vector of one input, or the results of several.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Embedded {
    /// For one input.
    One {
        /// The unit vector.
        embedding: Vec<f32>,
        /// The model that made it.
        model: String,
        /// The length of the vector.
        dimensions: usize,
    },
    /// For several inputs.
    Many {
        /// One result for each input, in order.
        embeddings: Vec<ItemBody>,
        /// The model that made them.
        model: String,
        /// The length of the vectors.
        dimensions: usize,
    },
}

/// The vector of one of several inputs, or why there is none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum ItemBody {
    /// The unit vector.
    Vector(Vec<f32>),
    /// Why there is none.
    Failed {
        /// What was wrong with this input; the others are not touched by it.
        error: ItemProblem,
    },
}

/// Turns texts into vectors.
#[utoipa::path(
    post,
    path = "/embed/text",
    tag = "embed",
    request_body = TextRequest,
    responses((status = 200, description = "The vectors.", body = Embedded), Refusals)
)]
pub(super) async fn text(
    State(state): State<HttpState>,
    Extension(deadline): Extension<Deadline>,
    query: Query,
    JsonBody(asked): JsonBody<TextRequest>,
) -> Answer<Json<Embedded>> {
    query.finish("none")?;
    let options = asked.options()?;
    let (texts, is_one) = match (asked.text, asked.texts) {
        (Some(text), None) => (vec![text], true),
        (None, Some(texts)) => (texts, false),
        (None, None) => {
            let missing = Error::invalid("nothing to embed: give `text`, or several in `texts`");
            return Err(missing.with_code("missing_field").with_field("text").into());
        }
        (Some(_), Some(_)) => return Err(invalid("texts", "give either `text` or `texts`, not both").into()),
    };
    if !is_one {
        check_count("texts", texts.len(), &state)?;
    }
    let model = state.models().choose(asked.model.as_deref())?;
    let request = EmbedRequest::new(Arc::clone(&model), deadline);
    let results = request.texts(texts, &options).await?;
    let results = results
        .into_iter()
        .map(|result| result.map(|text| text.embedding))
        .collect();
    answer(results, is_one, model.describe(), &options).map(Json)
}

/// Where a picture of the form is.
enum Source {
    /// It came with the form.
    File(Box<SpoolWriter>),
    /// It has to be fetched.
    Url(String),
}

/// Turns pictures into vectors.
#[utoipa::path(
    post,
    path = "/embed/image",
    tag = "embed",
    request_body(content = PictureForm, content_type = "multipart/form-data"),
    responses((status = 200, description = "The vectors.", body = Embedded), Refusals)
)]
pub(super) async fn image(
    State(state): State<HttpState>,
    Extension(deadline): Extension<Deadline>,
    query: Query,
    request: Request,
) -> Answer<Json<Embedded>> {
    query.finish("none")?;
    let mut form = Form::open(request).await?;
    let mut working = FuturesOrdered::new();
    let mut results = Vec::new();
    let (mut count, mut late) = (0, 0);
    let mut chosen = None;
    while let Some(part) = form.next().await? {
        match part.name.as_str() {
            "file" | "url" => {}
            "model" if chosen.is_some() => {
                let message = "`model` must come once, before the first `file`";
                return Err(invalid("model", message).into());
            }
            "model" => {
                let name = String::from_utf8_lossy(&part.value().await?).into_owned();
                chosen = Some(Pictures::new(Some(&name), &deadline, &state)?);
                continue;
            }
            _ => return Err(part.unknown("`file`, `url` or `model`").into()),
        }
        let pictures = match &chosen {
            Some(pictures) => pictures,
            None => chosen.insert(Pictures::new(None, &deadline, &state)?),
        };
        count += 1;
        check_file_count(count, &state)?;
        if working.len() == PICTURES_AT_ONCE
            && let Some(result) = working.next().await
        {
            keep(result, &mut results)?;
        }
        if deadline.has_passed() {
            // The rest is only counted: each input has a result.
            part.skip().await?;
            late += 1;
            continue;
        }
        let source = if part.name == "url" {
            Source::Url(part.url().await?)
        } else {
            Source::File(Box::new(part.spool(state.photos()).await?.0))
        };
        let (state, deadline, pictures) = (state.clone(), deadline.clone(), pictures.clone());
        // A task of its own goes on while the next part is read, and ends with the request.
        let one = AbortOnDropHandle::new(tokio::spawn(async move {
            let decoding = async {
                let spool = match source {
                    Source::File(spool) => *spool,
                    Source::Url(url) => fetch(&url, state.photos()).await?.0,
                };
                state.models().decode(pictures.model.describe(), spool).await
            };
            let picture = deadline.bound(decoding).await?;
            pictures.embedding.picture(picture).await
        }));
        working.push_back(async move {
            one.await
                .unwrap_or_else(|error| Err(Error::internal("embedding a picture failed").with_source(error)))
        });
    }
    let Some(pictures) = chosen.filter(|_| count > 0) else {
        return Err(missing_file().into());
    };
    while let Some(result) = working.next().await {
        keep(result, &mut results)?;
    }
    results.extend((0..late).map(|_| Err(deadline.error())));
    let options = TextOptions::default();
    answer(results, count == 1, pictures.model.describe(), &options).map(Json)
}

/// The model that a form chose, and the form's pictures on their way through it.
#[derive(Clone)]
struct Pictures {
    model: Arc<dyn Embedder>,
    embedding: Arc<EmbedRequest>,
}

impl Pictures {
    fn new(name: Option<&str>, deadline: &Deadline, state: &HttpState) -> Result<Self> {
        let model = state.models().choose(name)?;
        let embedding = EmbedRequest::new(Arc::clone(&model), deadline.clone());
        Ok(Self {
            model,
            embedding: Arc::new(embedding),
        })
    }
}

/// Keeps an input's result; overload is the answer to the whole request.
fn keep(result: Result<Embedding>, results: &mut Vec<Result<Embedding>>) -> Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::Overloaded => Err(error),
        Ok(_) | Err(_) => {
            results.push(result);
            Ok(())
        }
    }
}

/// Checks how many inputs a list has.
///
/// # Errors
/// `InvalidInput`, naming the setting.
pub(super) fn check_count(field: &str, count: usize, state: &HttpState) -> Result<()> {
    let most = state.options().max_embed_items;
    if (1..=most).contains(&count) {
        return Ok(());
    }
    let message = format!("`{field}` has {count} inputs; 1 to {most} are allowed (server.max_embed_items)");
    Err(invalid(field, message))
}

/// Checks how many files of a form there are so far.
fn check_file_count(count: usize, state: &HttpState) -> Result<()> {
    let most = state.options().max_embed_items;
    if count <= most {
        return Ok(());
    }
    let message = format!("the form has more than {most} files, the most allowed (server.max_embed_items)");
    Err(invalid("file", message))
}

fn answer(
    results: Vec<Result<Embedding>>,
    is_one: bool,
    info: &EmbedderInfo,
    options: &TextOptions,
) -> Answer<Embedded> {
    let model = info.model.clone();
    let dimensions = options.dimensions.unwrap_or(info.dimensions);
    if is_one {
        let only = results.into_iter().next();
        let embedding = only.unwrap_or_else(|| Err(Error::internal("the embedder gave no result")))?;
        return Ok(Embedded::One {
            embedding,
            model,
            dimensions,
        });
    }
    let mut failed = Vec::new();
    let mut embeddings = Vec::with_capacity(results.len());
    for result in results {
        embeddings.push(match result {
            Ok(vector) => ItemBody::Vector(vector),
            Err(error) => {
                let problem = Problem::from(error);
                let item = ItemBody::Failed {
                    error: problem.for_item(),
                };
                failed.push(problem);
                item
            }
        });
    }
    // When nothing came out and trying again may help, the whole call says so, with its `Retry-After`.
    if failed.len() == embeddings.len()
        && let Some(problem) = failed.iter().find(|problem| problem.is_transient())
    {
        return Err(problem.clone());
    }
    for problem in failed {
        problem.log();
    }
    Ok(Embedded::Many {
        embeddings,
        model,
        dimensions,
    })
}
