//! The `config.json` of encoders of the BERT families.

use std::path::Path;

use lucida_core::Result;
use serde::Deserialize;
use serde_json::Value;

use crate::checkpoint::weights::Weights;
use crate::checkpoint::{broken, divides, unsupported};

/// A text encoder's configuration, whichever family it is of.
#[derive(Debug, Clone)]
pub(in crate::checkpoint) struct EncoderConfig {
    pub(super) family: Family,
    pub(in crate::checkpoint) hidden: usize,
    pub(super) intermediate: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) hidden_act: String,
    pub(super) epsilon: f32,
    pub(super) vocabulary: usize,
    pub(super) positions: usize,
    pub(super) first_position: usize,
    pub(super) types: usize,
    /// MPNet's distances that its layers tell apart.
    pub(super) buckets: usize,
}

/// How tensors are named, and what the layers have beyond BERT's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Bert,
    DistilBert,
    /// A learnt bias by distance besides the positions.
    Mpnet,
    /// `ALiBi` in place of positions, and gated second halves.
    JinaBert,
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
    #[serde(default = "buckets")]
    relative_attention_num_buckets: usize,
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
const fn buckets() -> usize {
    32
}
const fn epsilon() -> f32 {
    1e-12
}
fn gelu() -> String {
    "gelu".to_owned()
}

/// Says why the weights of a BERT can't be computed where its positions are neither absolute nor those of
/// jina-embeddings-v2 for English.
pub(in crate::checkpoint) fn other_positions(config: &Value) -> Option<String> {
    let kind = config.get("position_embedding_type")?.as_str()?;
    if kind == "absolute" || is_jina(config) {
        return None;
    }
    let what = if is_alibi(config) {
        "layers of another jina-bert than the one for English".to_owned()
    } else {
        format!("positions of the type `{kind}`")
    };
    Some(format!(
        "has {what}; `absolute` positions and jina-embeddings-v2-base-en's `alibi` are computed from the weights, and an \
         ONNX export in `onnx/` runs on `type = \"onnx\"`"
    ))
}

fn is_alibi(config: &Value) -> bool {
    config.get("position_embedding_type").and_then(Value::as_str) == Some("alibi")
}

/// Tells a jina-bert (`modeling_bert.py` of `jinaai/jina-bert-implementation`); those for other languages have further
/// norms in their attention, and code of another name.
fn is_jina(config: &Value) -> bool {
    let code = config.get("auto_map").map(Value::to_string).unwrap_or_default();
    is_alibi(config)
        && config.get("feed_forward_type").and_then(Value::as_str) == Some("geglu")
        && !code.contains("qk-post-norm")
}

impl EncoderConfig {
    /// Reads the `config.json` of one of [`super::MODEL_TYPES`].
    ///
    /// # Errors
    /// `Internal`, naming the file, for a value that can't be.
    pub(in crate::checkpoint) fn read(path: &Path, model_type: &str, config: &Value) -> Result<Self> {
        let config = if model_type == "distilbert" {
            Self::from_distilbert(parse(path, config)?)
        } else {
            let mut read = Self::from_bert(model_type, parse(path, config)?);
            if is_jina(config) {
                read.family = Family::JinaBert;
            }
            read
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
            buckets: 0,
        }
    }

    fn from_bert(model_type: &str, file: BertFile) -> Self {
        // RoBERTa counts positions from behind its padding's id (`create_position_ids_from_input_ids`).
        let first_position = match model_type {
            "bert" => 0,
            _ => file.pad_token_id.unwrap_or(1) + 1,
        };
        let is_mpnet = model_type == "mpnet";
        Self {
            family: if is_mpnet { Family::Mpnet } else { Family::Bert },
            hidden: file.hidden_size,
            intermediate: file.intermediate_size,
            layers: file.num_hidden_layers,
            heads: file.num_attention_heads,
            hidden_act: file.hidden_act,
            epsilon: file.layer_norm_eps,
            vocabulary: file.vocab_size,
            positions: file.max_position_embeddings,
            first_position,
            types: if is_mpnet { 0 } else { file.type_vocab_size },
            buckets: file.relative_attention_num_buckets,
        }
    }

    /// Makes the configuration of a text tower that OpenCLIP took from Hugging Face under `name`, by the shapes of its
    /// tensors. What these don't say is what every published model of its family has: heads of 64, and the epsilon.
    ///
    /// # Errors
    /// `Unsupported` for another family; `Internal`, naming the tensor that is missing.
    pub(in crate::checkpoint) fn of_open_clip(
        path: &Path,
        name: &str,
        weights: &Weights,
        prefix: &str,
    ) -> Result<Self> {
        const HEAD: usize = 64;
        let model = name.rsplit('/').next().unwrap_or(name);
        let (epsilon, first_position) = if ["xlm-roberta", "roberta", "camembert"]
            .iter()
            .any(|family| model.starts_with(family))
        {
            (1e-5, 2)
        } else if model.starts_with("bert") {
            (1e-12, 0)
        } else {
            let known = "xlm-roberta, roberta, camembert, bert";
            return Err(unsupported(
                path,
                &format!("has the text tower `{name}` of Hugging Face; these families are read: {known}"),
            ));
        };
        let side = |tensor: &str, side: usize| -> Result<usize> {
            Ok(weights
                .shape(&format!("{prefix}{tensor}"))?
                .get(side)
                .copied()
                .unwrap_or_default())
        };
        let hidden = side("embeddings.word_embeddings.weight", 1)?;
        divides(path, hidden, HEAD)?;
        let layers = (0..)
            .take_while(|index| {
                weights.contains(&format!("{prefix}encoder.layer.{index}.output.dense.weight"))
            })
            .count();
        Ok(Self {
            family: Family::Bert,
            hidden,
            intermediate: side("encoder.layer.0.intermediate.dense.weight", 0)?,
            layers,
            heads: hidden / HEAD,
            hidden_act: gelu(),
            epsilon,
            vocabulary: side("embeddings.word_embeddings.weight", 0)?,
            positions: side("embeddings.position_embeddings.weight", 0)?,
            first_position,
            types: side("embeddings.token_type_embeddings.weight", 0)?,
            buckets: 0,
        })
    }

    /// Returns how many tokens there are positions for.
    pub(in crate::checkpoint) const fn max_tokens(&self) -> usize {
        self.positions.saturating_sub(self.first_position)
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, config: &Value) -> Result<T> {
    serde_json::from_value(config.clone())
        .map_err(|error| broken(path, "has a value that can't be").with_source(error))
}
