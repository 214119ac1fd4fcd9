//! The `config.json` of encoders that turn queries and keys by their places, whichever family they are of.

use std::path::Path;

use lucida_core::Result;
use serde_json::Value;

use crate::checkpoint::activation::activation;
use crate::checkpoint::fields::Fields;
use crate::checkpoint::tower::{Activation, Places, Rotary, TextFamily};
use crate::checkpoint::{broken, divides, unsupported};

/// The configuration of such an encoder, whichever family it is of.
#[derive(Debug, Clone)]
pub(in crate::checkpoint) struct RotaryConfig {
    pub(super) family: TextFamily,
    pub(in crate::checkpoint) hidden: usize,
    pub(super) inner: usize,
    pub(super) heads: usize,
    pub(super) key_heads: usize,
    /// The width of a head.
    pub(super) width: usize,
    pub(super) activation: Activation,
    pub(super) epsilon: f32,
    pub(super) vocabulary: usize,
    pub(super) types: usize,
    pub(in crate::checkpoint) max_tokens: usize,
    pub(super) causal: bool,
    /// Of each layer.
    pub(super) places: Vec<Places>,
}

/// What a file says of each layer: whether it sees everything, and the bases of both kinds.
struct Alternation {
    is_local: Vec<bool>,
    global_base: f32,
    local_base: f32,
    window: usize,
}

impl RotaryConfig {
    /// Reads the `config.json` of one of [`super::MODEL_TYPES`].
    ///
    /// # Errors
    /// `Internal`, naming the file and the key, for a value that can't be; `Unsupported`, naming the key, for a setting that
    /// isn't computed.
    pub(in crate::checkpoint) fn read(path: &Path, model_type: &str, config: &Value) -> Result<Self> {
        let fields = Fields::new(path, config);
        let read = match model_type {
            "modernbert" => Self::modern_bert(&fields),
            "nomic_bert" => Self::nomic_bert(&fields),
            "new" | "gte" => Self::gte(&fields),
            "qwen3" => Self::qwen3(&fields),
            _ => Self::gemma3(&fields),
        }?;
        let read = Self {
            max_tokens: read.max_tokens.min(super::ROTARY_MAX_TOKENS),
            ..read
        };
        divides(path, read.heads, read.key_heads)?;
        if read.width == 0 || !read.width.is_multiple_of(2) {
            return Err(broken(path, &format!("has heads of {} numbers", read.width)));
        }
        Ok(read)
    }

    fn modern_bert(fields: &Fields<'_>) -> Result<Self> {
        for key in ["norm_bias", "attention_bias", "mlp_bias"] {
            fields.refuse_unless(key, &Value::Bool(false))?;
        }
        let layers = fields.number(&["num_hidden_layers"], 22)?;
        let every = fields.number(&["global_attn_every_n_layers"], 3)?;
        if every == 0 {
            return Err(fields.broken("global_attn_every_n_layers"));
        }
        let alternation = Alternation {
            is_local: fields.layer_types(layers, |layer| !layer.is_multiple_of(every))?,
            global_base: fields.rotary_base("full_attention", "global_rope_theta", 160_000.0)?,
            local_base: fields.rotary_base("sliding_attention", "local_rope_theta", 10_000.0)?,
            window: fields.number(&["local_attention"], 128)? / 2,
        };
        let (hidden, heads) = (
            fields.number(&["hidden_size"], 768)?,
            fields.number(&["num_attention_heads"], 12)?,
        );
        divides(fields.path(), hidden, heads)?;
        Ok(Self {
            family: TextFamily::ModernBert,
            hidden,
            inner: fields.number(&["intermediate_size"], 1152)?,
            heads,
            key_heads: heads,
            width: hidden / heads,
            activation: fields.activation("hidden_activation", "gelu")?,
            epsilon: fields.fraction(&["norm_eps", "layer_norm_eps"], 1e-5)?,
            vocabulary: fields.number(&["vocab_size"], 50_368)?,
            types: 0,
            max_tokens: fields.number(&["max_position_embeddings"], 8192)?,
            causal: false,
            places: alternation.places(hidden / heads),
        })
    }

    fn nomic_bert(fields: &Fields<'_>) -> Result<Self> {
        for (key, read) in [
            ("prenorm", Value::Bool(false)),
            ("qkv_proj_bias", Value::Bool(false)),
            ("mlp_fc1_bias", Value::Bool(false)),
            ("mlp_fc2_bias", Value::Bool(false)),
            ("rotary_emb_interleaved", Value::Bool(false)),
            ("parallel_block", Value::Bool(false)),
            ("causal", Value::Bool(false)),
            ("use_rms_norm", Value::Bool(false)),
            ("rotary_emb_scale_base", Value::Null),
            ("activation_function", Value::from("swiglu")),
            ("rotary_emb_fraction", Value::from(1.0)),
            ("moe_every_n_layers", Value::from(0)),
        ] {
            fields.refuse_unless(key, &read)?;
        }
        let (hidden, heads) = (
            fields.number(&["n_embd", "hidden_size"], 768)?,
            fields.number(&["n_head", "num_attention_heads"], 12)?,
        );
        divides(fields.path(), hidden, heads)?;
        let positions = fields.number(&["n_positions", "max_position_embeddings"], 2048)?;
        // Beyond the trained length some of these files stretch the frequencies by the text's own length.
        let max_tokens = match fields.value("rotary_scaling_factor") {
            Some(_) => fields.number(&["max_trained_positions"], 2048)?.min(positions),
            None => positions,
        };
        let base = match fields.value("rotary_emb_base") {
            Some(_) => fields.fraction(&["rotary_emb_base"], 1000.0)?,
            None => fields.rotary_base("", "rope_theta", 1000.0)?,
        };
        let layers = fields.number(&["n_layer", "num_hidden_layers"], 12)?;
        Ok(Self {
            family: TextFamily::NomicBert,
            hidden,
            inner: fields.number(&["n_inner", "intermediate_size"], 3072)?,
            heads,
            key_heads: heads,
            width: hidden / heads,
            activation: Activation::Silu,
            epsilon: fields.fraction(&["layer_norm_epsilon", "layer_norm_eps"], 1e-12)?,
            vocabulary: fields.number(&["vocab_size"], 30_528)?,
            types: fields.number(&["type_vocab_size"], 2)?,
            max_tokens,
            causal: false,
            places: everywhere(layers, &Rotary::new(base, hidden / heads)),
        })
    }

    fn gte(fields: &Fields<'_>) -> Result<Self> {
        for (key, read) in [
            ("position_embedding_type", Value::from("rope")),
            ("layer_norm_type", Value::from("layer_norm")),
            ("logn_attention_scale", Value::Bool(false)),
            ("pack_qkv", Value::Bool(true)),
        ] {
            fields.refuse_unless(key, &read)?;
        }
        let (hidden, heads) = (
            fields.number(&["hidden_size"], 768)?,
            fields.number(&["num_attention_heads"], 12)?,
        );
        divides(fields.path(), hidden, heads)?;
        let mut rotary = Rotary::new(fields.rotary_base("", "rope_theta", 160_000.0)?, hidden / heads);
        if let Some(scaling) = fields.value("rope_scaling") {
            rotary = stretched(fields, scaling, &rotary)?;
        }
        let layers = fields.number(&["num_hidden_layers"], 12)?;
        Ok(Self {
            family: TextFamily::Gte,
            hidden,
            inner: fields.number(&["intermediate_size"], 3072)?,
            heads,
            key_heads: heads,
            width: hidden / heads,
            activation: fields.activation("hidden_act", "gelu")?,
            epsilon: fields.fraction(&["layer_norm_eps"], 1e-12)?,
            vocabulary: fields.number(&["vocab_size"], 30_528)?,
            types: fields.number(&["type_vocab_size"], 0)?,
            max_tokens: fields.number(&["max_position_embeddings"], 8192)?,
            causal: false,
            places: everywhere(layers, &rotary),
        })
    }

    fn qwen3(fields: &Fields<'_>) -> Result<Self> {
        for key in ["attention_bias", "use_sliding_window"] {
            fields.refuse_unless(key, &Value::Bool(false))?;
        }
        fields.refuse_unless("rope_scaling", &Value::Null)?;
        let (hidden, heads) = (
            fields.number(&["hidden_size"], 4096)?,
            fields.number(&["num_attention_heads"], 32)?,
        );
        let width = fields.number(&["head_dim"], 128)?;
        let layers = fields.number(&["num_hidden_layers"], 32)?;
        let base = fields.rotary_base("", "rope_theta", 10_000.0)?;
        Ok(Self {
            family: TextFamily::Qwen3,
            hidden,
            inner: fields.number(&["intermediate_size"], 22_016)?,
            heads,
            key_heads: fields.number(&["num_key_value_heads"], heads)?,
            width,
            activation: fields.activation("hidden_act", "silu")?,
            epsilon: fields.fraction(&["rms_norm_eps"], 1e-6)?,
            vocabulary: fields.number(&["vocab_size"], 151_936)?,
            types: 0,
            max_tokens: fields.number(&["max_position_embeddings"], 32_768)?,
            causal: true,
            places: everywhere(layers, &Rotary::new(base, width)),
        })
    }

    fn gemma3(fields: &Fields<'_>) -> Result<Self> {
        if fields
            .value("use_bidirectional_attention")
            .and_then(Value::as_bool)
            != Some(true)
        {
            return Err(unsupported(
                fields.path(),
                "is of a Gemma 3 that writes texts: only one with `use_bidirectional_attention`, such as EmbeddingGemma, has \
                 vectors",
            ));
        }
        fields.refuse_unless("attention_bias", &Value::Bool(false))?;
        for key in ["attn_logit_softcapping", "rope_scaling"] {
            fields.refuse_unless(key, &Value::Null)?;
        }
        let (hidden, heads) = (
            fields.number(&["hidden_size"], 2304)?,
            fields.number(&["num_attention_heads"], 8)?,
        );
        let width = fields.number(&["head_dim"], 256)?;
        if fields.number(&["query_pre_attn_scalar"], 256)? != width {
            return Err(fields.unsupported("query_pre_attn_scalar"));
        }
        let layers = fields.number(&["num_hidden_layers"], 26)?;
        let every = fields.number(&["_sliding_window_pattern", "sliding_window_pattern"], 6)?;
        if every == 0 {
            return Err(fields.broken("sliding_window_pattern"));
        }
        let alternation = Alternation {
            is_local: fields.layer_types(layers, |layer| !(layer + 1).is_multiple_of(every))?,
            global_base: fields.rotary_base("full_attention", "rope_theta", 1_000_000.0)?,
            local_base: fields.rotary_base("sliding_attention", "rope_local_base_freq", 10_000.0)?,
            window: fields.number(&["sliding_window"], 4096)? / 2,
        };
        Ok(Self {
            family: TextFamily::Gemma3,
            hidden,
            inner: fields.number(&["intermediate_size"], 9216)?,
            heads,
            key_heads: fields.number(&["num_key_value_heads"], 4)?,
            width,
            activation: fields.activation("hidden_activation", "gelu_pytorch_tanh")?,
            epsilon: fields.fraction(&["rms_norm_eps"], 1e-6)?,
            vocabulary: fields.number(&["vocab_size"], 262_208)?,
            types: 0,
            max_tokens: fields.number(&["max_position_embeddings"], 131_072)?,
            causal: false,
            places: alternation.places(width),
        })
    }
}

impl Alternation {
    fn places(self, width: usize) -> Vec<Places> {
        let of = |is_local: bool| {
            let base = if is_local {
                self.local_base
            } else {
                self.global_base
            };
            Places {
                rotary: Some(Rotary::new(base, width)),
                window: is_local.then_some(self.window),
            }
        };
        self.is_local.iter().map(|&is_local| of(is_local)).collect()
    }
}

fn everywhere(layers: usize, rotary: &Rotary) -> Vec<Places> {
    let places = Places {
        rotary: Some(rotary.clone()),
        window: None,
    };
    vec![places; layers]
}

/// Stretches frequencies as `NTKScalingRotaryEmbedding` of GTE's own code does (`modeling.py` of `Alibaba-NLP/new-impl`).
fn stretched(fields: &Fields<'_>, scaling: &Value, rotary: &Rotary) -> Result<Rotary> {
    let kind = scaling.get("type").and_then(Value::as_str);
    let factor = scaling.get("factor").and_then(Value::as_f64);
    let mixed = scaling.get("mixed_b").is_some_and(|mixed| !mixed.is_null());
    let (Some("ntk"), Some(factor), false) = (kind, factor, mixed) else {
        return Err(fields.unsupported("rope_scaling"));
    };
    if factor <= 1.0 {
        return Ok(rotary.clone());
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "bases and factors are f32 in every model"
    )]
    let factor = factor as f32;
    let width = 2 * rotary.frequencies.len();
    let mut stretched = Rotary::new(rotary.base * factor, width);
    #[expect(clippy::cast_precision_loss, reason = "a head's width is exact in f32")]
    let divisor = factor.powf(2.0 / width as f32);
    stretched
        .frequencies
        .iter_mut()
        .for_each(|frequency| *frequency /= divisor);
    Ok(stretched)
}

impl Fields<'_> {
    fn activation(&self, key: &str, usual: &str) -> Result<Activation> {
        let name = self.value(key).and_then(Value::as_str).unwrap_or(usual);
        activation(self.path(), name)
    }

    /// Reads the base of rotary positions: of a kind of layers in transformers 5's `rope_parameters`, or under the key that
    /// older files have.
    fn rotary_base(&self, layers: &str, key: &str, usual: f32) -> Result<f32> {
        let Some(mut parameters) = self.value("rope_parameters") else {
            return self.fraction(&[key], usual);
        };
        if !layers.is_empty() {
            parameters = parameters.get(layers).unwrap_or(&Value::Null);
        }
        let kind = parameters.get("rope_type").and_then(Value::as_str);
        if kind.is_some_and(|kind| kind != "default") {
            return Err(self.unsupported("rope_parameters"));
        }
        Fields::new(self.path(), parameters).fraction(&["rope_theta"], usual)
    }

    /// Reads which layers see a window only.
    fn layer_types(&self, layers: usize, is_local: impl Fn(usize) -> bool) -> Result<Vec<bool>> {
        let Some(types) = self.value("layer_types") else {
            return Ok((0..layers).map(is_local).collect());
        };
        let types = types.as_array().filter(|types| types.len() == layers);
        let read = |kind: &Value| match kind.as_str() {
            Some("full_attention") => Ok(false),
            Some("sliding_attention") => Ok(true),
            Some(_) | None => Err(self.unsupported("layer_types")),
        };
        types
            .ok_or_else(|| self.broken("layer_types"))?
            .iter()
            .map(read)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use lucida_core::ErrorKind;
    use serde_json::json;

    use super::*;

    fn read(model_type: &str, config: &Value) -> Result<RotaryConfig> {
        RotaryConfig::read(Path::new("config.json"), model_type, config)
    }

    #[test]
    fn a_setting_that_no_engine_computes_is_refused_by_its_key() {
        for (model_type, key, value) in [
            ("modernbert", "norm_bias", json!(true)),
            ("modernbert", "layer_types", json!(["chunked_attention"])),
            ("nomic_bert", "prenorm", json!(true)),
            ("nomic_bert", "activation_function", json!("gelu")),
            ("nomic_bert", "moe_every_n_layers", json!(2)),
            ("new", "position_embedding_type", json!("absolute")),
            ("new", "rope_scaling", json!({"type": "yarn", "factor": 2.0})),
            ("qwen3", "use_sliding_window", json!(true)),
            (
                "qwen3",
                "rope_scaling",
                json!({"rope_type": "yarn", "factor": 4.0}),
            ),
        ] {
            let mut config = json!({"num_hidden_layers": 1});
            config[key] = value;
            let error = read(model_type, &config).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.message().contains(key), "{error}");
        }
    }

    #[test]
    fn a_gemma_that_writes_texts_is_refused() {
        let error = read("gemma3_text", &json!({})).unwrap_err();
        assert!(error.message().contains("EmbeddingGemma"), "{error}");
    }

    #[test]
    fn old_and_new_files_alternate_between_windows_and_everything_alike() {
        let old = json!({"global_rope_theta": 8.0, "local_rope_theta": 4.0, "num_hidden_layers": 4});
        let new = json!({
            "num_hidden_layers": 4,
            "layer_types": ["full_attention", "sliding_attention", "sliding_attention", "full_attention"],
            "rope_parameters": {
                "full_attention": {"rope_theta": 8.0, "rope_type": "default"},
                "sliding_attention": {"rope_theta": 4.0, "rope_type": "default"},
            },
        });
        let places = |config: &Value| {
            let places = read("modernbert", config).unwrap().places;
            let of = |places: Places| (places.rotary.unwrap().base, places.window);
            places.into_iter().map(of).collect::<Vec<_>>()
        };
        let (all, near) = ((8.0, None), (4.0, Some(64)));
        assert_eq!(places(&old), [all, near, near, all]);
        assert_eq!(places(&new), places(&old));
    }
}
