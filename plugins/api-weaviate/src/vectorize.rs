//! The call `/vectorize`.

use axum::extract::Request;
use lucida_api::{ApiRequest, Input, MAX_INPUTS, check_text, embed, picture_in_base64};
use lucida_core::{Embedding, Error, Result, TextOptions};
use serde::{Deserialize, Serialize};

use crate::plugin::Service;

/// The body of a request; a list that Weaviate has nothing for is null.
#[derive(Debug, Deserialize)]
struct VectorizeRequest {
    #[serde(default)]
    texts: Option<Vec<String>>,
    #[serde(default)]
    images: Option<Vec<String>>,
}

/// The vectors of a request's texts and pictures.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Vectors {
    text_vectors: Vec<Embedding>,
    image_vectors: Vec<Embedding>,
}

impl Service {
    /// Embeds texts and pictures: one vector for each, in order.
    ///
    /// # Errors
    /// Those of the first input that failed, with its place: Weaviate takes vectors by their places, so none may be missing.
    pub(crate) async fn vectorize(&self, request: Request) -> Result<Vectors> {
        let request = ApiRequest::read(request).await?;
        let asked: VectorizeRequest = request.object()?;
        let (texts, images) = (asked.texts.unwrap_or_default(), asked.images.unwrap_or_default());
        let count = texts.len() + images.len();
        if count > MAX_INPUTS {
            let message = format!("the request has {count} texts and images; up to {MAX_INPUTS} are allowed");
            return Err(Error::invalid(message).with_code("invalid_field"));
        }
        let model = self.model()?;
        let text_count = texts.len();
        let (mut inputs, mut fields) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (place, text) in texts.into_iter().enumerate() {
            let field = format!("texts[{place}]");
            check_text(&field, &text, model.max_text_bytes)?;
            inputs.push(Input::Text(text));
            fields.push(field);
        }
        for (place, image) in images.into_iter().enumerate() {
            let field = format!("images[{place}]");
            inputs.push(Input::Picture(picture_in_base64(&field, &image)?));
            fields.push(field);
        }
        let embeddings = self.models.embeddings();
        let options = TextOptions::default();
        let results = embed(embeddings, &model, inputs, &options, &request.deadline).await?;
        let results = results.into_iter().zip(fields);
        let vectors = results.map(|(result, field)| match result {
            Ok(embedded) => Ok(embedded.embedding),
            // Weaviate shows its user the message alone.
            Err(error) => Err(error
                .map_message(|message| format!("{field}: {message}"))
                .with_field(field)),
        });
        let mut text_vectors = vectors.collect::<Result<Vec<_>>>()?;
        let image_vectors = text_vectors.split_off(text_count);
        Ok(Vectors {
            text_vectors,
            image_vectors,
        })
    }
}
