//! The calls that describe models: `/api/tags` and `/api/show`.

use axum::extract::Request;
use jiff::Timestamp;
use lucida_api::ApiRequest;
use lucida_core::{EmbedderInfo, Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::plugin::Service;

/// What Ollama adds to a name without a tag.
const LATEST: &str = ":latest";

/// The body of `/api/show`; `name` is what older clients send.
#[derive(Debug, Deserialize)]
struct ShowRequest {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

/// The answer of `/api/tags`.
#[derive(Debug, Serialize)]
pub(crate) struct ModelList {
    models: Vec<ModelBody>,
}

/// A model in a list.
#[derive(Debug, Serialize)]
struct ModelBody {
    name: String,
    model: String,
    /// When this server was started: models have no time of their own here.
    modified_at: Timestamp,
    size: u64,
    digest: String,
    details: Details,
}

/// What Ollama says of a model's file; empty where Lucida has nothing like it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Details {
    parent_model: &'static str,
    format: &'static str,
    family: &'static str,
    families: Option<Vec<String>>,
    parameter_size: &'static str,
    quantization_level: &'static str,
}

/// The answer of `/api/show`.
#[derive(Debug, Serialize)]
pub(crate) struct ModelDescription {
    license: &'static str,
    modelfile: &'static str,
    parameters: &'static str,
    template: &'static str,
    details: Details,
    model_info: Map<String, Value>,
    capabilities: [&'static str; 1],
    modified_at: Timestamp,
}

impl Service {
    /// Returns the model of a name with or without a tag.
    ///
    /// # Errors
    /// `InvalidInput` (`missing_field`) without a name; `NotFound` (`model_not_found`), listing the names there are.
    pub(crate) fn model(&self, name: &str) -> Result<EmbedderInfo> {
        if name.is_empty() {
            return Err(Error::invalid("model is required")
                .with_code("missing_field")
                .with_field("model"));
        }
        self.models
            .choose(Some(name.strip_suffix(LATEST).unwrap_or(name)))
    }

    /// Lists the models that take texts.
    pub(crate) fn tags(&self) -> ModelList {
        let named = self.models.named().into_iter();
        let models = named
            .filter(|(_, model)| model.modalities.text)
            .map(|(name, model)| {
                let name = if name.contains(':') {
                    name
                } else {
                    format!("{name}{LATEST}")
                };
                ModelBody {
                    model: name.clone(),
                    name,
                    modified_at: self.started,
                    size: self
                        .models
                        .embeddings()
                        .weight_bytes(&model.model)
                        .unwrap_or_default(),
                    digest: model.fingerprint.to_string(),
                    details: Details::default(),
                }
            })
            .collect();
        ModelList { models }
    }

    /// Describes a model.
    ///
    /// # Errors
    /// Those of [`Service::model`].
    pub(crate) async fn show(&self, request: Request) -> Result<ModelDescription> {
        let asked: ShowRequest = ApiRequest::read(request).await?.object()?;
        let name = asked.model.or(asked.name).unwrap_or_default();
        let model = self.model(&name)?;
        let mut model_info = Map::from_iter([
            ("general.architecture".to_owned(), json!("lucida")),
            ("general.basename".to_owned(), json!(model.model)),
            ("lucida.embedding_length".to_owned(), json!(model.dimensions)),
        ]);
        if let Some(tokens) = model.texts.max_tokens {
            model_info.insert("lucida.context_length".to_owned(), json!(tokens));
        }
        Ok(ModelDescription {
            license: "",
            modelfile: "",
            parameters: "",
            template: "",
            details: Details::default(),
            model_info,
            capabilities: ["embedding"],
            modified_at: self.started,
        })
    }
}
