//! OpenAI's embeddings: `/embeddings` below a base address that ends with `/v1`.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lucida_core::{Modalities, Result, TextInfo};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{RemoteModel, Speak, TextForm, Vector, no_images};
use crate::client::Client;
use crate::error::malformed;
use crate::picture::PictureFile;

/// Speaks to a server with OpenAI's API.
pub(super) struct Openai {
    pub(super) client: Client,
    pub(super) model: String,
    /// The length of the vectors that is asked for.
    pub(super) dimensions: Option<usize>,
    pub(super) takes_images: bool,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vector,
}

impl Openai {
    async fn embed(&self, input: Value, count: usize, is_image: bool) -> Result<Vec<Result<Vector>>> {
        let mut body = json!({ "model": self.model, "input": input, "encoding_format": "float" });
        if let Some(dimensions) = self.dimensions {
            body["dimensions"] = dimensions.into();
        }
        if is_image {
            body["modality"] = "image".into();
        }
        let answer: Answer = self
            .client
            .ask(self.client.post("/embeddings").json(&body))
            .await?;
        let mut vectors: Vec<Option<Vector>> = vec![None; count];
        for item in answer.data {
            match vectors.get_mut(item.index) {
                Some(place @ None) => *place = Some(item.embedding),
                Some(Some(_)) | None => {
                    let what = format!("a vector for the input {}", item.index);
                    return Err(malformed(self.client.server(), &what));
                }
            }
        }
        let missing = || malformed(self.client.server(), "no vector for an input");
        Ok(vectors
            .into_iter()
            .map(|vector| vector.ok_or_else(missing))
            .collect())
    }
}

#[async_trait]
impl Speak for Openai {
    async fn describe(&self) -> Result<RemoteModel> {
        Ok(RemoteModel {
            name: self.model.clone(),
            identity: self.model.clone(),
            fingerprint: None,
            modalities: Modalities {
                image: self.takes_images,
                text: true,
            },
            max_text_bytes: None,
            texts: TextInfo::default(),
            max_items: None,
        })
    }

    /// OpenAI's API refuses texts that are too long, in any case.
    async fn texts(&self, texts: &[&str], _: &TextForm) -> Result<Vec<Result<Vector>>> {
        self.embed(json!(texts), texts.len(), false).await
    }

    async fn pictures(&self, pictures: &[PictureFile]) -> Result<Vec<Result<Vector>>> {
        if !self.takes_images {
            return Err(no_images("openai"));
        }
        let urls: Vec<_> = pictures
            .iter()
            .map(|picture| {
                format!(
                    "data:{};base64,{}",
                    picture.mime(),
                    STANDARD.encode(&picture.bytes)
                )
            })
            .collect();
        self.embed(json!(urls), urls.len(), true).await
    }
}
