//! The tokens of a text, as a model sees them.

use axum::extract::{Extension, State};
use axum::response::Json;
use lucida_api::check_text;
use lucida_core::{Deadline, Error, PromptFields, TextOptions};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::embed::check_count;
use super::json::JsonBody;
use super::problem::Answer;
use super::query::Query;
use super::refusals::Refusals;
use super::state::HttpState;

/// Texts to split.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "texts": ["dog on the beach"] }))]
pub(super) struct TokenizeRequest {
    /// The texts.
    texts: Vec<String>,
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
}

/// The tokens of each text.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tokenized {
    /// The tokens of each text, in order, as far as the model sees it.
    tokens: Vec<Vec<TokenBody>>,
    /// The model whose tokens they are.
    model: String,
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenBody {
    /// Its number in the model's vocabulary.
    id: u32,
    /// Its spelling in the vocabulary.
    text: String,
    /// Whether the model adds it to every text.
    special: bool,
}

/// Splits texts into the tokens that a model sees of them, those of the prompt included, cut at its limit.
#[utoipa::path(
    post,
    path = "/tokenize",
    tag = "embed",
    request_body = TokenizeRequest,
    responses((status = 200, description = "The tokens.", body = Tokenized), Refusals)
)]
pub(super) async fn tokenize(
    State(state): State<HttpState>,
    Extension(deadline): Extension<Deadline>,
    query: Query,
    JsonBody(asked): JsonBody<TokenizeRequest>,
) -> Answer<Json<Tokenized>> {
    query.finish("none")?;
    let options = TextOptions {
        prompt: PromptFields {
            prompt: asked.prompt.as_deref(),
            prompt_name: asked.prompt_name.as_deref(),
            input_type: asked.input_type.as_deref(),
        }
        .choose()?,
        ..TextOptions::default()
    };
    let model = state.models().choose(asked.model.as_deref())?;
    model.describe().check_text_options(&options)?;
    check_count("texts", asked.texts.len(), &state)?;
    for (place, text) in asked.texts.iter().enumerate() {
        check_text(&format!("texts[{place}]"), text, model.describe().max_text_bytes)?;
    }
    let splitting = async { Ok::<_, Error>(model.tokenize(asked.texts, &options).await) };
    let mut texts = Vec::new();
    for tokens in deadline.bound(splitting).await? {
        let tokens = tokens?.into_iter().map(|token| TokenBody {
            id: token.id,
            text: token.text,
            special: token.special,
        });
        texts.push(tokens.collect());
    }
    Ok(Json(Tokenized {
        tokens: texts,
        model: model.describe().model.clone(),
    }))
}
