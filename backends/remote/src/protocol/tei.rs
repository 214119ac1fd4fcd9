//! text-embeddings-inference: `/info` and `/embed`.

use async_trait::async_trait;
use lucida_core::{Error, Modalities, Result, TextInfo};
use serde::Deserialize;
use serde_json::json;

use super::{RemoteModel, Speak, TextForm, Vector, no_images};
use crate::client::Client;
use crate::picture::PictureFile;

/// Speaks to a text-embeddings-inference server.
pub(super) struct Tei {
    pub(super) client: Client,
    /// The model that the server must have; any without one.
    pub(super) model: Option<String>,
}

#[derive(Deserialize)]
struct Info {
    model_id: String,
    #[serde(default)]
    model_sha: Option<String>,
    #[serde(default)]
    max_client_batch_size: Option<usize>,
}

#[async_trait]
impl Speak for Tei {
    async fn describe(&self) -> Result<RemoteModel> {
        let info: Info = self.client.ask(self.client.get("/info")).await?;
        if let Some(model) = self.model.as_ref().filter(|model| **model != info.model_id) {
            let server = self.client.server();
            let message = format!("is `{model}`, and {server} has `{}`", info.model_id);
            return Err(Error::config("model", message));
        }
        let sha = info.model_sha.unwrap_or_default();
        Ok(RemoteModel {
            identity: format!("{}@{sha}", info.model_id),
            name: info.model_id,
            fingerprint: None,
            modalities: Modalities {
                image: false,
                text: true,
            },
            max_text_bytes: None,
            texts: TextInfo::default(),
            max_items: info.max_client_batch_size.filter(|most| *most > 0),
        })
    }

    async fn texts(&self, texts: &[&str], form: &TextForm) -> Result<Vec<Result<Vector>>> {
        let body = json!({ "inputs": texts, "normalize": true, "truncate": form.truncate });
        let vectors: Vec<Vector> = self.client.ask(self.client.post("/embed").json(&body)).await?;
        Ok(vectors.into_iter().map(Ok).collect())
    }

    async fn pictures(&self, _: &[PictureFile]) -> Result<Vec<Result<Vector>>> {
        Err(no_images("tei"))
    }
}
