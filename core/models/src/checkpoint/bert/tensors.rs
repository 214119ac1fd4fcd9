//! The tensors of encoders of the BERT families, by the names that each gives them.

use std::path::Path;

use lucida_core::Result;

use super::config::{EncoderConfig, Family};
use crate::checkpoint::activation::activation;
use crate::checkpoint::tower::{
    Attention, DistanceBuckets, Encoder, EncoderLayer, NormPlacement, Places, ScoreBias, TokenEmbedding,
};
use crate::checkpoint::weights::Weights;

impl EncoderConfig {
    /// Locates the tensors of the embedding and of the encoder.
    ///
    /// # Errors
    /// `Internal`, naming the tensor that is missing or of another shape.
    pub(in crate::checkpoint) fn locate(
        &self,
        weights: &Weights,
        path: &Path,
    ) -> Result<(TokenEmbedding, Encoder)> {
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
    pub(in crate::checkpoint) fn locate_at(
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

/// Returns the slope of each head (Press et al. 2021, `_get_alibi_head_slopes` of jina-bert's code): powers of the same
/// fraction, and for a number of heads that is not a power of two some of the next one's in between.
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
