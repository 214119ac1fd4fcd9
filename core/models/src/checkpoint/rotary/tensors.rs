//! The tensors of encoders that turn queries and keys by their places, by the names that each family gives them.

use lucida_core::Result;

use super::config::RotaryConfig;
use crate::checkpoint::tower::{
    Attention, Encoder, EncoderLayer, HeadNorms, LayerNorm, Linear, NormKind, NormPlacement, OutputNorms,
    Places, TextFamily, TokenEmbedding,
};
use crate::checkpoint::weights::Weights;

impl RotaryConfig {
    /// Returns the family.
    pub(in crate::checkpoint) const fn family(&self) -> TextFamily {
        self.family
    }

    /// Locates the tensors of the embedding, of the encoder, and of the norm behind it.
    ///
    /// # Errors
    /// `Internal`, naming the tensor that is missing or of another shape.
    pub(in crate::checkpoint) fn locate(
        &self,
        weights: &Weights,
    ) -> Result<(TokenEmbedding, Encoder, Option<LayerNorm>)> {
        let names = Names::of(self.family);
        // A checkpoint of a task's model keeps the encoder one level down.
        let prefix = ["", "model.", "new.", "bert."]
            .into_iter()
            .find(|prefix| weights.contains(&format!("{prefix}{}.weight", names.tokens)))
            .unwrap_or_default();
        let located = Located {
            config: self,
            weights,
            prefix,
        };
        let types = (self.types > 0).then(|| {
            weights.get(
                &format!("{prefix}embeddings.token_type_embeddings.weight"),
                &[self.types, self.hidden],
            )
        });
        #[expect(clippy::cast_precision_loss, reason = "a hidden size is exact in f32")]
        let scale = (self.family == TextFamily::Gemma3).then(|| (self.hidden as f32).sqrt());
        let embedding = TokenEmbedding {
            tokens: weights.get(
                &format!("{prefix}{}.weight", names.tokens),
                &[self.vocabulary, self.hidden],
            )?,
            scale,
            positions: None,
            first_position: 0,
            types: types.transpose()?,
            norm: names.norm.map(|name| located.norm(name)).transpose()?,
        };
        let layers = (0..self.places.len()).map(|index| located.layer(index));
        let encoder = Encoder {
            layers: layers.collect::<Result<_>>()?,
            heads: self.heads,
            norm_placement: match self.family {
                TextFamily::NomicBert | TextFamily::Gte | TextFamily::Plain => NormPlacement::After,
                TextFamily::ModernBert | TextFamily::Qwen3 | TextFamily::Gemma3 => NormPlacement::Before,
            },
            activation: self.activation,
            causal: self.causal,
            bias: None,
        };
        let last = names.last.map(|name| located.norm(name)).transpose()?;
        Ok((embedding, encoder, last))
    }
}

/// The names of the tensors outside the layers.
struct Names {
    tokens: &'static str,
    norm: Option<&'static str>,
    last: Option<&'static str>,
}

impl Names {
    const fn of(family: TextFamily) -> Self {
        let (tokens, norm, last) = match family {
            TextFamily::ModernBert => (
                "embeddings.tok_embeddings",
                Some("embeddings.norm"),
                Some("final_norm"),
            ),
            TextFamily::NomicBert => ("embeddings.word_embeddings", Some("emb_ln"), None),
            TextFamily::Gte | TextFamily::Plain => {
                ("embeddings.word_embeddings", Some("embeddings.LayerNorm"), None)
            }
            TextFamily::Qwen3 | TextFamily::Gemma3 => ("embed_tokens", None, Some("norm")),
        };
        Self { tokens, norm, last }
    }
}

/// Where the tensors of an encoder are.
struct Located<'a> {
    config: &'a RotaryConfig,
    weights: &'a Weights,
    prefix: &'a str,
}

impl Located<'_> {
    /// Returns a norm over a row.
    fn norm(&self, name: &str) -> Result<LayerNorm> {
        self.norm_of(name, self.config.hidden)
    }

    fn norm_of(&self, name: &str, size: usize) -> Result<LayerNorm> {
        let name = format!("{}{name}", self.prefix);
        let epsilon = self.config.epsilon;
        match self.config.family {
            TextFamily::NomicBert | TextFamily::Gte | TextFamily::Plain => {
                self.weights.norm(&name, size, epsilon)
            }
            TextFamily::ModernBert => self.weights.plain_norm(&name, size, epsilon, NormKind::Centred),
            TextFamily::Qwen3 => self
                .weights
                .plain_norm(&name, size, epsilon, NormKind::RootMeanSquare),
            TextFamily::Gemma3 => {
                self.weights
                    .plain_norm(&name, size, epsilon, NormKind::RootMeanSquareFromOne)
            }
        }
    }

    fn linear(&self, name: &str, sides: [usize; 2], bias: bool) -> Result<Linear> {
        self.weights
            .linear(&format!("{}{name}", self.prefix), sides, bias)
    }

    /// Returns the parts of one matrix, each of so many rows.
    fn parts<const N: usize>(&self, name: &str, rows: usize, bias: bool) -> Result<[Linear; N]> {
        let name = format!("{}{name}", self.prefix);
        self.weights.linear_parts(&name, [rows, self.config.hidden], bias)
    }

    fn layer(&self, index: usize) -> Result<EncoderLayer> {
        let config = self.config;
        let (hidden, inner) = (config.hidden, config.inner);
        let places = config.places[index].clone();
        match config.family {
            TextFamily::ModernBert => {
                let place = format!("layers.{index}");
                let [query, key, value] = self.parts(&format!("{place}.attn.Wqkv"), hidden, false)?;
                let [up, gate] = self.parts(&format!("{place}.mlp.Wi"), inner, false)?;
                let attention_norm = (index > 0).then(|| self.norm(&format!("{place}.attn_norm")));
                Ok(EncoderLayer {
                    attention: Attention {
                        query,
                        key,
                        value,
                        output: self.linear(&format!("{place}.attn.Wo"), [hidden, hidden], false)?,
                        head_norms: None,
                    },
                    attention_norm: attention_norm.transpose()?,
                    up,
                    gate: Some(gate),
                    down: self.linear(&format!("{place}.mlp.Wo"), [hidden, inner], false)?,
                    feed_forward_norm: self.norm(&format!("{place}.mlp_norm"))?,
                    output_norms: None,
                    places,
                })
            }
            TextFamily::NomicBert => {
                let place = format!("encoder.layers.{index}");
                let [query, key, value] = self.parts(&format!("{place}.attn.Wqkv"), hidden, false)?;
                Ok(EncoderLayer {
                    attention: Attention {
                        query,
                        key,
                        value,
                        output: self.linear(&format!("{place}.attn.out_proj"), [hidden, hidden], false)?,
                        head_norms: None,
                    },
                    attention_norm: Some(self.norm(&format!("{place}.norm1"))?),
                    up: self.linear(&format!("{place}.mlp.fc12"), [inner, hidden], false)?,
                    gate: Some(self.linear(&format!("{place}.mlp.fc11"), [inner, hidden], false)?),
                    down: self.linear(&format!("{place}.mlp.fc2"), [hidden, inner], false)?,
                    feed_forward_norm: self.norm(&format!("{place}.norm2"))?,
                    output_norms: None,
                    places,
                })
            }
            TextFamily::Gte | TextFamily::Plain => {
                let place = format!("encoder.layer.{index}");
                let [query, key, value] = self.parts(&format!("{place}.attention.qkv_proj"), hidden, true)?;
                let [gate, up] = self.parts(&format!("{place}.mlp.up_gate_proj"), inner, false)?;
                Ok(EncoderLayer {
                    attention: Attention {
                        query,
                        key,
                        value,
                        output: self.linear(&format!("{place}.attention.o_proj"), [hidden, hidden], true)?,
                        head_norms: None,
                    },
                    attention_norm: Some(self.norm(&format!("{place}.attn_ln"))?),
                    up,
                    gate: Some(gate),
                    down: self.linear(&format!("{place}.mlp.down_proj"), [hidden, inner], true)?,
                    feed_forward_norm: self.norm(&format!("{place}.mlp_ln"))?,
                    output_norms: None,
                    places,
                })
            }
            TextFamily::Qwen3 | TextFamily::Gemma3 => self.decoder_layer(index, places),
        }
    }

    /// Returns a layer with the names that transformers gives to those of decoders.
    fn decoder_layer(&self, index: usize, places: Places) -> Result<EncoderLayer> {
        let config = self.config;
        let (hidden, inner, width) = (config.hidden, config.inner, config.width);
        let (asking, asked) = (config.heads * width, config.key_heads * width);
        let place = format!("layers.{index}");
        let linear = |name: &str, sides: [usize; 2]| self.linear(&format!("{place}.{name}"), sides, false);
        let head_norm = |name: &str| self.norm_of(&format!("{place}.self_attn.{name}"), width);
        let norm = |name: &str| self.norm(&format!("{place}.{name}"));
        let is_gemma = config.family == TextFamily::Gemma3;
        let output_norms = is_gemma.then(|| {
            Ok::<_, lucida_core::Error>(Box::new(OutputNorms {
                attention: norm("post_attention_layernorm")?,
                feed_forward: norm("post_feedforward_layernorm")?,
            }))
        });
        Ok(EncoderLayer {
            attention: Attention {
                query: linear("self_attn.q_proj", [asking, hidden])?,
                key: linear("self_attn.k_proj", [asked, hidden])?,
                value: linear("self_attn.v_proj", [asked, hidden])?,
                output: linear("self_attn.o_proj", [hidden, asking])?,
                head_norms: Some(Box::new(HeadNorms {
                    query: head_norm("q_norm")?,
                    key: head_norm("k_norm")?,
                })),
            },
            attention_norm: Some(norm("input_layernorm")?),
            up: linear("mlp.gate_proj", [inner, hidden])?,
            gate: Some(linear("mlp.up_proj", [inner, hidden])?),
            down: linear("mlp.down_proj", [hidden, inner])?,
            feed_forward_norm: norm(if is_gemma {
                "pre_feedforward_layernorm"
            } else {
                "post_attention_layernorm"
            })?,
            output_norms: output_norms.transpose()?,
            places,
        })
    }
}
