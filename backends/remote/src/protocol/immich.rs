//! Immich's machine-learning service: `/predict`, one picture or text at a time, as Immich's server 2.7 and 3.x asks it.

use async_trait::async_trait;
use lucida_core::{Error, ErrorKind, Modalities, Result, TextInfo};
use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use serde_json::json;

use super::{RemoteModel, Speak, TextForm, Vector};
use crate::client::Client;
use crate::error::malformed;
use crate::picture::PictureFile;

/// Speaks to Immich's machine learning.
pub(super) struct Immich {
    pub(super) client: Client,
    pub(super) model: String,
}

#[derive(Deserialize)]
struct Answer {
    clip: Clip,
}

/// The vector: written as a JSON text by the service since 1.127, and as a list before.
#[derive(Deserialize)]
#[serde(untagged)]
enum Clip {
    Text(String),
    List(Vector),
}

impl Immich {
    async fn predict(&self, task: &str, form: Form) -> Result<Vector> {
        let options = match task {
            "textual" => json!({ "modelName": self.model, "options": {} }),
            _ => json!({ "modelName": self.model }),
        };
        let entries = json!({ "clip": { task: options } }).to_string();
        let form = form.text("entries", entries);
        let answer: Answer = self
            .client
            .ask(self.client.post("/predict").multipart(form))
            .await?;
        match answer.clip {
            Clip::List(vector) => Ok(vector),
            Clip::Text(text) => serde_json::from_str(&text)
                .map_err(|error| malformed(self.client.server(), "no vector in `clip`").with_source(error)),
        }
    }
}

#[async_trait]
impl Speak for Immich {
    async fn describe(&self) -> Result<RemoteModel> {
        Ok(RemoteModel {
            name: self.model.clone(),
            identity: self.model.clone(),
            fingerprint: None,
            modalities: Modalities {
                image: true,
                text: true,
            },
            max_text_bytes: None,
            texts: TextInfo::default(),
            max_items: Some(1),
        })
    }

    async fn texts(&self, texts: &[&str], form: &TextForm) -> Result<Vec<Result<Vector>>> {
        if !form.truncate {
            let message =
                "Immich's machine learning cuts texts that are too long: leave out `truncate = false`";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let mut results = Vec::with_capacity(texts.len());
        for text in texts {
            results.push(Ok(self
                .predict("textual", Form::new().text("text", (*text).to_owned()))
                .await?));
        }
        Ok(results)
    }

    async fn pictures(&self, pictures: &[PictureFile]) -> Result<Vec<Result<Vector>>> {
        let mut results = Vec::with_capacity(pictures.len());
        for picture in pictures {
            let part = Part::stream(picture.bytes.clone()).file_name("blob");
            results.push(Ok(self
                .predict("visual", Form::new().part("image", part))
                .await?));
        }
        Ok(results)
    }
}
