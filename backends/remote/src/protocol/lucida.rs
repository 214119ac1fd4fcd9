//! Lucida's own API: `/v1/models`, `/embed/text`, `/embed/image`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use lucida_core::{Error, Fingerprint, Matryoshka, Modalities, Result, TextInfo};
use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use serde_json::json;

use super::{FarPrompt, RemoteModel, Speak, TextForm, Vector};
use crate::client::Client;
use crate::error::{Refusal, malformed};
use crate::picture::PictureFile;

/// Speaks to another Lucida.
pub(super) struct Lucida {
    pub(super) client: Client,
    /// The model by its name there; the library's own without one.
    pub(super) model: Option<String>,
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    fingerprint: String,
    modalities: Vec<String>,
    max_text_bytes: usize,
    #[serde(default)]
    configured: bool,
    #[serde(default)]
    role: String,
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    prompts: BTreeMap<String, String>,
    #[serde(default)]
    default_prompt: Option<String>,
    #[serde(default)]
    shorter_dimensions: Option<ShorterDimensions>,
}

/// The lengths that a model's vectors may be cut to.
#[derive(Deserialize)]
#[serde(untagged)]
enum ShorterDimensions {
    Lengths(Vec<usize>),
    /// `any`.
    Word(String),
}

impl Model {
    /// Returns whether `/embed` calls can name it: those of earlier models can't.
    fn can_be_asked(&self) -> bool {
        self.configured || self.role == "named"
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Many { embeddings: Vec<Item> },
    One { embedding: Vector },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Vector(Vector),
    Failed { error: Problem },
}

#[derive(Deserialize)]
struct Problem {
    status: u16,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    retry_after_secs: Option<u64>,
}

impl Lucida {
    fn results(&self, answer: Answer) -> Vec<Result<Vector>> {
        let item = |item| match item {
            Item::Vector(vector) => Ok(vector),
            Item::Failed { error } => {
                let refusal = Refusal {
                    status: StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                    retry_after: error.retry_after_secs.map(std::time::Duration::from_secs),
                    detail: error.detail,
                };
                Err(refusal.into_error(self.client.server()))
            }
        };
        match answer {
            Answer::Many { embeddings } => embeddings.into_iter().map(item).collect(),
            Answer::One { embedding } => vec![Ok(embedding)],
        }
    }
}

#[async_trait]
impl Speak for Lucida {
    async fn describe(&self) -> Result<RemoteModel> {
        let models: Models = self.client.ask(self.client.get("/v1/models")).await?;
        let names: Vec<_> = models
            .data
            .iter()
            .filter(|model| model.can_be_asked())
            .map(|model| format!("`{}`", model.id))
            .collect();
        let found = models.data.into_iter().find(|model| match &self.model {
            Some(name) => model.can_be_asked() && model.id == *name,
            None => model.configured,
        });
        let Some(model) = found else {
            let Some(name) = &self.model else {
                return Err(malformed(
                    self.client.server(),
                    "a list of models without a configured one",
                ));
            };
            let there = names.join(", ");
            let message = format!(
                "`{name}` is not a model of {}: it has {there}",
                self.client.server()
            );
            return Err(Error::config("model", message));
        };
        let takes = |modality: &str| model.modalities.iter().any(|taken| taken == modality);
        Ok(RemoteModel {
            modalities: Modalities {
                image: takes("image"),
                text: takes("text"),
            },
            identity: model.fingerprint.clone(),
            fingerprint: Some(Fingerprint::from_stored(model.fingerprint)),
            max_text_bytes: Some(model.max_text_bytes),
            texts: TextInfo {
                max_tokens: model.max_tokens,
                prompts: model.prompts,
                default_prompt: model.default_prompt,
                matryoshka: match model.shorter_dimensions {
                    None => Matryoshka::None,
                    Some(ShorterDimensions::Lengths(lengths)) => Matryoshka::Lengths(lengths),
                    Some(ShorterDimensions::Word(word)) if word == "any" => Matryoshka::Any,
                    Some(ShorterDimensions::Word(_)) => Matryoshka::None,
                },
            },
            max_items: None,
            name: model.id,
        })
    }

    fn takes_prompts(&self) -> bool {
        true
    }

    async fn texts(&self, texts: &[&str], form: &TextForm) -> Result<Vec<Result<Vector>>> {
        let mut body = json!({ "texts": texts, "model": self.model });
        // Left out where it says nothing, so that earlier versions take the request.
        if !form.truncate {
            body["truncate"] = false.into();
        }
        match &form.prompt {
            FarPrompt::Default => {}
            FarPrompt::Named(name) => body["prompt_name"] = name.as_str().into(),
            FarPrompt::Text(text) => body["prompt"] = text.as_str().into(),
        }
        let answer = self
            .client
            .ask(self.client.post("/embed/text").json(&body))
            .await?;
        Ok(self.results(answer))
    }

    async fn pictures(&self, pictures: &[PictureFile]) -> Result<Vec<Result<Vector>>> {
        let mut form = Form::new();
        if let Some(model) = &self.model {
            form = form.text("model", model.clone());
        }
        for picture in pictures {
            let part = Part::stream(picture.bytes.clone()).file_name("picture");
            form = form.part("file", part);
        }
        let answer = self
            .client
            .ask(self.client.post("/embed/image").multipart(form))
            .await?;
        Ok(self.results(answer))
    }
}
