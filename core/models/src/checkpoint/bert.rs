//! The BERT, `DistilBERT` and `RoBERTa` families: from transformers' `config.json` and their tensors' names to an encoder.

use std::path::Path;

use lucida_core::Result;
use serde::Deserialize;
use serde_json::Value;

use super::activation::activation;
use super::tower::{Attention, Encoder, EncoderLayer, NormPlacement, TokenEmbedding};
use super::weights::Weights;
use super::{broken, divides, unsupported};

/// A text encoder's configuration, whichever family it is of.
#[derive(Debug, Clone)]
pub(super) struct EncoderConfig {
    family: Family,
    pub(super) hidden: usize,
    intermediate: usize,
    layers: usize,
    heads: usize,
    hidden_act: String,
    epsilon: f32,
    vocabulary: usize,
    positions: usize,
    first_position: usize,
    types: usize,
}

/// How tensors are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Bert,
    DistilBert,
}

/// `config.json` of BERT and `RoBERTa`; what is left out has the value that transformers gives it.
#[derive(Deserialize)]
struct BertFile {
    #[serde(default = "hidden")]
    hidden_size: usize,
    #[serde(default = "intermediate")]
    intermediate_size: usize,
    #[serde(default = "twelve")]
    num_hidden_layers: usize,
    #[serde(default = "twelve")]
    num_attention_heads: usize,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "epsilon")]
    layer_norm_eps: f32,
    #[serde(default = "vocabulary")]
    vocab_size: usize,
    #[serde(default = "positions")]
    max_position_embeddings: usize,
    #[serde(default = "two")]
    type_vocab_size: usize,
    pad_token_id: Option<usize>,
    position_embedding_type: Option<String>,
}

/// `config.json` of `DistilBERT`.
#[derive(Deserialize)]
struct DistilBertFile {
    #[serde(default = "hidden")]
    dim: usize,
    #[serde(default = "intermediate")]
    hidden_dim: usize,
    #[serde(default = "six")]
    n_layers: usize,
    #[serde(default = "twelve")]
    n_heads: usize,
    #[serde(default = "gelu")]
    activation: String,
    #[serde(default = "vocabulary")]
    vocab_size: usize,
    #[serde(default = "positions")]
    max_position_embeddings: usize,
}

const fn hidden() -> usize {
    768
}
const fn intermediate() -> usize {
    3072
}
const fn two() -> usize {
    2
}
const fn six() -> usize {
    6
}
const fn twelve() -> usize {
    12
}
const fn vocabulary() -> usize {
    30_522
}
const fn positions() -> usize {
    512
}
const fn epsilon() -> f32 {
    1e-12
}
fn gelu() -> String {
    "gelu".to_owned()
}

/// The models of these families, by `model_type`.
pub(super) const MODEL_TYPES: [&str; 5] = ["bert", "distilbert", "roberta", "xlm-roberta", "camembert"];

impl EncoderConfig {
    /// Reads the `config.json` of one of [`MODEL_TYPES`].
    ///
    /// # Errors
    /// `Internal`, naming the file, for a value that can't be; `Unsupported` for positions that are not absolute.
    pub(super) fn read(path: &Path, model_type: &str, config: &Value) -> Result<Self> {
        let config = if model_type == "distilbert" {
            Self::from_distilbert(parse(path, config)?)
        } else {
            Self::from_bert(path, model_type, parse(path, config)?)?
        };
        divides(path, config.hidden, config.heads)?;
        if config.max_tokens() == 0 {
            return Err(broken(path, "leaves no position for a token"));
        }
        Ok(config)
    }

    fn from_distilbert(file: DistilBertFile) -> Self {
        Self {
            family: Family::DistilBert,
            hidden: file.dim,
            intermediate: file.hidden_dim,
            layers: file.n_layers,
            heads: file.n_heads,
            hidden_act: file.activation,
            epsilon: epsilon(),
            vocabulary: file.vocab_size,
            positions: file.max_position_embeddings,
            first_position: 0,
            types: 0,
        }
    }

    fn from_bert(path: &Path, model_type: &str, file: BertFile) -> Result<Self> {
        let kind = file.position_embedding_type.as_deref().unwrap_or("absolute");
        if kind != "absolute" {
            return Err(unsupported(
                path,
                &format!("has positions of the type `{kind}`; only `absolute` ones are read"),
            ));
        }
        // RoBERTa counts positions from behind its padding's id (`create_position_ids_from_input_ids`).
        let first_position = match model_type {
            "bert" => 0,
            _ => file.pad_token_id.unwrap_or(1) + 1,
        };
        Ok(Self {
            family: Family::Bert,
            hidden: file.hidden_size,
            intermediate: file.intermediate_size,
            layers: file.num_hidden_layers,
            heads: file.num_attention_heads,
            hidden_act: file.hidden_act,
            epsilon: file.layer_norm_eps,
            vocabulary: file.vocab_size,
            positions: file.max_position_embeddings,
            first_position,
            types: file.type_vocab_size,
        })
    }

    /// Returns how many tokens there are positions for.
    pub(super) const fn max_tokens(&self) -> usize {
        self.positions.saturating_sub(self.first_position)
    }

    /// Locates the tensors of the embedding and of the encoder.
    ///
    /// # Errors
    /// `Internal`, naming the tensor that is missing or of another shape.
    pub(super) fn locate(&self, weights: &Weights, path: &Path) -> Result<(TokenEmbedding, Encoder)> {
        // A checkpoint of a task's model keeps the encoder one level down.
        let prefix = ["", "bert.", "distilbert.", "roberta."]
            .into_iter()
            .find(|prefix| weights.contains(&format!("{prefix}embeddings.word_embeddings.weight")))
            .unwrap_or_default();
        let table = |name: &str, rows: usize| {
            weights.get(&format!("{prefix}embeddings.{name}.weight"), &[rows, self.hidden])
        };
        let embedding = TokenEmbedding {
            tokens: table("word_embeddings", self.vocabulary)?,
            positions: table("position_embeddings", self.positions)?,
            first_position: self.first_position,
            types: (self.types > 0)
                .then(|| table("token_type_embeddings", self.types))
                .transpose()?,
            norm: Some(weights.norm(
                &format!("{prefix}embeddings.LayerNorm"),
                self.hidden,
                self.epsilon,
            )?),
        };
        let encoder = Encoder {
            layers: (0..self.layers)
                .map(|index| self.layer(weights, prefix, index))
                .collect::<Result<_>>()?,
            heads: self.heads,
            norm_placement: NormPlacement::After,
            activation: activation(path, &self.hidden_act)?,
            causal: false,
        };
        Ok((embedding, encoder))
    }

    fn layer(&self, weights: &Weights, prefix: &str, index: usize) -> Result<EncoderLayer> {
        let (hidden, inner) = (self.hidden, self.intermediate);
        let names = self.family.names();
        let place = format!("{prefix}{}.{index}", names.layers);
        let linear = |name: &str, shape: [usize; 2]| weights.linear(&format!("{place}.{name}"), shape, true);
        let norm = |name: &str| weights.norm(&format!("{place}.{name}"), hidden, self.epsilon);
        Ok(EncoderLayer {
            attention: Attention {
                query: linear(names.query, [hidden, hidden])?,
                key: linear(names.key, [hidden, hidden])?,
                value: linear(names.value, [hidden, hidden])?,
                output: linear(names.output, [hidden, hidden])?,
            },
            attention_norm: norm(names.attention_norm)?,
            up: linear(names.up, [inner, hidden])?,
            down: linear(names.down, [hidden, inner])?,
            feed_forward_norm: norm(names.feed_forward_norm)?,
        })
    }
}

/// The names of a layer's tensors.
struct LayerNames {
    layers: &'static str,
    query: &'static str,
    key: &'static str,
    value: &'static str,
    output: &'static str,
    attention_norm: &'static str,
    up: &'static str,
    down: &'static str,
    feed_forward_norm: &'static str,
}

impl Family {
    const fn names(self) -> LayerNames {
        match self {
            Self::Bert => LayerNames {
                layers: "encoder.layer",
                query: "attention.self.query",
                key: "attention.self.key",
                value: "attention.self.value",
                output: "attention.output.dense",
                attention_norm: "attention.output.LayerNorm",
                up: "intermediate.dense",
                down: "output.dense",
                feed_forward_norm: "output.LayerNorm",
            },
            Self::DistilBert => LayerNames {
                layers: "transformer.layer",
                query: "attention.q_lin",
                key: "attention.k_lin",
                value: "attention.v_lin",
                output: "attention.out_lin",
                attention_norm: "sa_layer_norm",
                up: "ffn.lin1",
                down: "ffn.lin2",
                feed_forward_norm: "output_layer_norm",
            },
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, config: &Value) -> Result<T> {
    serde_json::from_value(config.clone())
        .map_err(|error| broken(path, "has a value that can't be").with_source(error))
}
