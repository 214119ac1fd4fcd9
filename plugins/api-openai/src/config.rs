//! The settings of the plugin.

use std::collections::BTreeMap;

use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The plugin's name in a configuration.
pub(crate) const PLUGIN_NAME: &str = "api-openai";

/// Answers as OpenAI's embeddings API does: `POST /v1/embeddings`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiOpenaiConfig {
    /// Further names of this server's models, for clients that can't send another name. Example:
    /// `{ "text-embedding-3-small" = "starter" }`
    #[serde(default)]
    pub models: BTreeMap<String, String>,
    /// What token ids in `input` are: `model` takes them as those of the model's own tokenizer, `refuse` asks for the text
    /// itself. LangChain sends ids of OpenAI's vocabulary by default, which any other tokenizer reads as other words.
    #[serde(default)]
    pub token_ids: TokenIds,
}

/// What token ids are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenIds {
    /// Not read.
    #[default]
    Refuse,
    /// Those of the model's own tokenizer.
    Model,
}

impl Settings for ApiOpenaiConfig {
    fn validate(&self) -> Result<()> {
        let empty = self.models.iter().find(|(_, model)| model.trim().is_empty());
        match empty {
            Some((name, _)) => Err(Error::config(
                format!("models.{name}"),
                "is empty; name a model of this server",
            )),
            None => Ok(()),
        }
    }
}
