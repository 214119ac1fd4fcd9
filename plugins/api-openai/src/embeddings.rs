//! The call `/v1/embeddings`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Request;
use lucida_api::field::invalid;
use lucida_api::{ApiRequest, Input, Models, check_text, embed};
use lucida_core::{Deadline, EmbedderInfo, Error, ErrorKind, Fetcher, PromptFields, Result, TextOptions};

use crate::answer::{EmbeddingObject, EmbeddingsAnswer};
use crate::config::PLUGIN_NAME;
use crate::config::TokenIds;
use crate::fetch::{PictureUrl, fetch_all};
use crate::inputs::{Content, RequestInput, inputs_of};
use crate::request::EmbeddingsRequest;

/// What the call works with.
#[derive(Clone)]
pub(crate) struct Answerer {
    pub(crate) models: Models,
    pub(crate) token_ids: TokenIds,
    /// What fetches pictures by URL, where the server has such a plugin.
    pub(crate) fetcher: Option<Arc<dyn Fetcher>>,
}

impl Answerer {
    /// Answers a request.
    ///
    /// # Errors
    /// Those of the first input that failed, with its place; the client takes nothing else.
    pub(crate) async fn answer(&self, request: Request) -> Result<EmbeddingsAnswer> {
        let request = ApiRequest::read(request).await?;
        let asked: EmbeddingsRequest = request.object()?;
        let model = self.models.choose(asked.model.as_deref())?;
        let options = TextOptions {
            prompt: PromptFields {
                prompt: asked.prompt.as_deref(),
                prompt_name: asked.prompt_name.as_deref(),
                input_type: asked.input_type.as_deref(),
            }
            .choose()?,
            dimensions: asked.dimensions,
            ..TextOptions::default()
        };
        model.check_text_options(&options)?;
        let inputs = inputs_of(&asked)?;
        let fields: Vec<_> = inputs.iter().map(|input| input.field.clone()).collect();
        let inputs = self.prepared(&model, inputs, &request.deadline).await?;
        let results = embed(
            self.models.embeddings(),
            &model,
            inputs,
            &options,
            &request.deadline,
        )
        .await?;
        let (mut data, mut tokens) = (Vec::with_capacity(results.len()), 0);
        for (index, (result, field)) in results.into_iter().zip(fields).enumerate() {
            let embedded = result.map_err(|error| error.with_field(field))?;
            tokens += embedded.tokens;
            data.push(EmbeddingObject::new(
                index,
                embedded.embedding,
                asked.encoding_format,
            ));
        }
        Ok(EmbeddingsAnswer::new(model.model, data, tokens))
    }

    /// Decodes token ids, checks all texts, and fetches pictures.
    async fn prepared(
        &self,
        model: &EmbedderInfo,
        inputs: Vec<RequestInput>,
        deadline: &Deadline,
    ) -> Result<Vec<Input>> {
        if self.token_ids == TokenIds::Refuse
            && let Some(input) = inputs
                .iter()
                .find(|input| matches!(input.content, Content::Tokens(_)))
        {
            return Err(unread(&input.field));
        }
        let ids = inputs.iter().filter_map(|input| match &input.content {
            Content::Tokens(ids) => Some(ids.clone()),
            Content::Text(_) | Content::Picture(_) | Content::Url(_) => None,
        });
        let ids: Vec<_> = ids.collect();
        let mut decoded = if ids.is_empty() {
            Vec::new().into_iter()
        } else {
            let decoded = self
                .models
                .embeddings()
                .decode_tokens(&model.model, ids, deadline);
            decoded.await?.into_iter()
        };
        let mut prepared = Vec::with_capacity(inputs.len());
        let mut urls = Vec::new();
        for RequestInput { field, content } in inputs {
            let text = match content {
                Content::Picture(file) => {
                    prepared.push(Input::Picture(file));
                    continue;
                }
                Content::Url(url) => {
                    let index = prepared.len();
                    // Until it is fetched.
                    prepared.push(Input::Picture(Bytes::new()));
                    urls.push(PictureUrl { index, field, url });
                    continue;
                }
                Content::Text(text) => text,
                Content::Tokens(_) => {
                    let text = decoded
                        .next()
                        .unwrap_or_else(|| Err(Error::internal("the tokenizer gave no result")));
                    text.map_err(|error| undecodable(error, &field, &model.model))?
                }
            };
            check_text(&field, &text, model.max_text_bytes)?;
            prepared.push(Input::Text(text));
        }
        for (index, file) in fetch_all(self.fetcher.as_ref(), urls, deadline).await? {
            prepared[index] = Input::Picture(file);
        }
        Ok(prepared)
    }
}

/// Refuses token ids where they are not read.
fn unread(field: &str) -> Error {
    let message = format!(
        "`{field}` is token ids: send the text itself (in LangChain, set `check_embedding_ctx_length=False`), or set \
         `token_ids = \"model\"` of the plugin `{}` if they are those of the model's own tokenizer",
        PLUGIN_NAME
    );
    invalid(field, message)
}

/// Names the input in the error of token ids that the model can't read.
fn undecodable(error: Error, field: &str, model: &str) -> Error {
    if error.kind() != ErrorKind::Unsupported {
        return error.with_field(field);
    }
    let message = format!(
        "`{field}` is token ids, and model `{model}` has no tokenizer that can be asked: send the text itself"
    );
    invalid(field, message)
}
