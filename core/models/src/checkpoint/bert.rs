//! The BERT, `DistilBERT`, `RoBERTa`, MPNet and jina-bert families: from transformers' `config.json` and their tensors' names to an encoder.

use std::path::Path;

use lucida_core::Result;
use serde::Deserialize;
use serde_json::Value;

use super::activation::activation;
use super::tower::{
    Attention, DistanceBuckets, Encoder, EncoderLayer, NormPlacement, Places, ScoreBias, TokenEmbedding,
};
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
    /// MPNet's distances that its layers tell apart.
    buckets: usize,
}

/// How tensors are named, and what the layers have beyond BERT's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
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

/// The models of these families, by `model_type`.
pub(super) const MODEL_TYPES: [&str; 6] = [
    "bert",
    "distilbert",
    "roberta",
    "xlm-roberta",
    "camembert",
    "mpnet",
];

/// Says why the weights of a BERT can't be computed where its positions are neither absolute nor those of
/// jina-embeddings-v2 for English.
pub(super) fn other_positions(config: &Value) -> Option<String> {
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
    /// Reads the `config.json` of one of [`MODEL_TYPES`].
    ///
    /// # Errors
    /// `Internal`, naming the file, for a value that can't be.
    pub(super) fn read(path: &Path, model_type: &str, config: &Value) -> Result<Self> {
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
    pub(super) fn of_open_clip(path: &Path, name: &str, weights: &Weights, prefix: &str) -> Result<Self> {
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
    pub(super) const fn max_tokens(&self) -> usize {
        self.positions.saturating_sub(self.first_position)
    }

    /// Locates the tensors of the embedding and of the encoder.
    ///
    /// # Errors
    /// `Internal`, naming the tensor that is missing or of another shape.
    pub(super) fn locate(&self, weights: &Weights, path: &Path) -> Result<(TokenEmbedding, Encoder)> {
        // A checkpoint of a task's model keeps the encoder one level down.
        let prefix = ["", "bert.", "distilbert.", "roberta.", "mpnet."]
            .into_iter()
            .find(|prefix| weights.contains(&format!("{prefix}embeddings.word_embeddings.weight")))
            .unwrap_or_default();
        self.locate_at(weights, path, prefix)
    }

    /// Locates them where every name begins with `prefix`.
    ///
    /// # Errors
    /// Those of [`EncoderConfig::locate`].
    pub(super) fn locate_at(
        &self,
        weights: &Weights,
        path: &Path,
        prefix: &str,
    ) -> Result<(TokenEmbedding, Encoder)> {
        let table = |name: &str, rows: usize| {
            weights.get(&format!("{prefix}embeddings.{name}.weight"), &[rows, self.hidden])
        };
        let embedding = TokenEmbedding {
            tokens: table("word_embeddings", self.vocabulary)?,
            scale: None,
            positions: (self.family != Family::JinaBert)
                .then(|| table("position_embeddings", self.positions))
                .transpose()?,
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
            bias: self.bias(weights, prefix)?,
        };
        Ok((embedding, encoder))
    }

    /// Returns what attention adds by distance.
    fn bias(&self, weights: &Weights, prefix: &str) -> Result<Option<ScoreBias>> {
        match self.family {
            Family::Bert | Family::DistilBert => Ok(None),
            Family::JinaBert => Ok(Some(ScoreBias::Slopes(slopes(self.heads)))),
            Family::Mpnet => {
                let name = format!("{prefix}encoder.relative_attention_bias.weight");
                Ok(Some(ScoreBias::Buckets(DistanceBuckets {
                    table: weights.get(&name, &[self.buckets, self.heads])?,
                    bucket_of: bucket_of(self.buckets),
                })))
            }
        }
    }

    fn layer(&self, weights: &Weights, prefix: &str, index: usize) -> Result<EncoderLayer> {
        let (hidden, inner) = (self.hidden, self.intermediate);
        let names = self.family.names();
        let place = format!("{prefix}{}.{index}", names.layers);
        let linear = |name: &str, shape: [usize; 2]| weights.linear(&format!("{place}.{name}"), shape, true);
        let norm = |name: &str| weights.norm(&format!("{place}.{name}"), hidden, self.epsilon);
        let (up, gate) = if self.family == Family::JinaBert {
            let name = format!("{place}.{}", names.up);
            let [up, gate] = weights.linear_parts(&name, [inner, hidden], false)?;
            (up, Some(gate))
        } else {
            (linear(names.up, [inner, hidden])?, None)
        };
        Ok(EncoderLayer {
            attention: Attention {
                query: linear(names.query, [hidden, hidden])?,
                key: linear(names.key, [hidden, hidden])?,
                value: linear(names.value, [hidden, hidden])?,
                output: linear(names.output, [hidden, hidden])?,
                head_norms: None,
            },
            attention_norm: Some(norm(names.attention_norm)?),
            up,
            gate,
            down: linear(names.down, [hidden, inner])?,
            feed_forward_norm: norm(names.feed_forward_norm)?,
            output_norms: None,
            places: Places::default(),
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

/// Returns the slope of each head (Press et al. 2021, `_get_alibi_head_slopes` of jina-bert's code): powers of the same
/// fraction, and for a number of heads that is no power of two some of the next one's in between.
#[expect(clippy::cast_precision_loss, reason = "there are few heads")]
fn slopes(heads: usize) -> Vec<f32> {
    let powers = |heads: usize| (1..=heads).map(move |head| (-8.0 * head as f32 / heads as f32).exp2());
    let lower = if heads.is_power_of_two() {
        heads
    } else {
        heads.next_power_of_two() / 2
    };
    let between = powers(2 * lower).step_by(2);
    powers(lower).chain(between).take(heads).collect()
}

/// Returns the bucket of each distance (`MPNetEncoder.relative_position_bucket` of transformers): half of the buckets are
/// for tokens further on, half of each half for small distances, and the rest widens up to 128.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "distances are small, and what is rounded is not negative"
)]
fn bucket_of(buckets: usize) -> Vec<usize> {
    const FARTHEST: usize = 128;
    let half = buckets / 2;
    let exact = (half / 2).max(1);
    let of = |distance: usize| {
        if distance < exact {
            return distance;
        }
        let part = (distance as f32 / exact as f32).ln() / (FARTHEST as f64 / exact as f64).ln() as f32;
        (exact + (part * (half - exact) as f32) as usize).min(half - 1)
    };
    let before = (0..=FARTHEST).rev().map(of);
    let behind = (1..=FARTHEST).map(|distance| half + of(distance));
    before.chain(behind).collect()
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
            Self::Mpnet => LayerNames {
                layers: "encoder.layer",
                query: "attention.attn.q",
                key: "attention.attn.k",
                value: "attention.attn.v",
                output: "attention.attn.o",
                attention_norm: "attention.LayerNorm",
                up: "intermediate.dense",
                down: "output.dense",
                feed_forward_norm: "output.LayerNorm",
            },
            Self::JinaBert => LayerNames {
                layers: "encoder.layer",
                query: "attention.self.query",
                key: "attention.self.key",
                value: "attention.self.value",
                output: "attention.output.dense",
                attention_norm: "attention.output.LayerNorm",
                up: "mlp.gated_layers",
                down: "mlp.wo",
                feed_forward_norm: "mlp.layernorm",
            },
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, config: &Value) -> Result<T> {
    serde_json::from_value(config.clone())
        .map_err(|error| broken(path, "has a value that can't be").with_source(error))
}
