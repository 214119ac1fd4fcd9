//! The encoders of `ModernBERT`, nomic-bert and Qwen3-Embedding by candle-transformers' modules: their configuration, and
//! the names of their tensors.
//!
//! candle-transformers 0.11.1 has no GTE, and its Gemma 3 is causal and keeps its rows to itself: both run on the engine
//! `onnx`.

use candle_nn::Activation;
use candle_transformers::models::{modernbert, nomic_bert, qwen3};
use lucida_core::{Error, ErrorKind};
use lucida_models::checkpoint::{self, ROTARY_MAX_TOKENS, TextFamily, TextTower};

use crate::modules::Config;
use crate::named::Named;
use crate::plain;

/// For how many places the modules make their tables: as many as the longest text has tokens.
const POSITIONS: usize = ROTARY_MAX_TOKENS;

/// Returns the configuration of the module that computes a tower.
///
/// # Errors
/// `Unsupported`, naming the family, for one that has no module, or one whose module has no such layers.
pub(crate) fn config(tower: &TextTower) -> lucida_core::Result<Config> {
    match tower.family {
        TextFamily::Plain => plain::config(tower),
        TextFamily::ModernBert => modern_bert(tower),
        TextFamily::NomicBert => nomic_bert(tower),
        TextFamily::Qwen3 => qwen3(tower),
        TextFamily::Gte | TextFamily::Gemma3 => Err(refused(tower.family, "no such encoder")),
    }
}

fn refused(family: TextFamily, what: &str) -> Error {
    let message = format!(
        "candle-transformers has {what} for a {}: run it on the embedder type `onnx`",
        family.as_str()
    );
    Error::new(ErrorKind::Unsupported, message)
}

/// The sizes that every family has.
struct Sizes {
    vocabulary: usize,
    hidden: usize,
    inner: usize,
    base: f64,
    epsilon: f64,
}

impl Sizes {
    fn of(tower: &TextTower) -> lucida_core::Result<Self> {
        let layer = tower.encoder.layers.first();
        let rotary = layer.and_then(|layer| layer.places.rotary.as_ref());
        let (Some(layer), Some(rotary)) = (layer, rotary) else {
            return Err(refused(tower.family, "no module without layers"));
        };
        let table = tower.embedding.tokens.shape();
        Ok(Self {
            vocabulary: table[0],
            hidden: table[1],
            inner: layer.up.outputs(),
            base: rotary.base.into(),
            epsilon: layer.feed_forward_norm.epsilon.into(),
        })
    }
}

fn modern_bert(tower: &TextTower) -> lucida_core::Result<Config> {
    let sizes = Sizes::of(tower)?;
    let layers = &tower.encoder.layers;
    if tower.encoder.activation != checkpoint::Activation::Gelu {
        return Err(refused(tower.family, "no such activation"));
    }
    let windows: Vec<_> = layers.iter().map(|layer| layer.places.window).collect();
    // The module has every n-th layer see everything, the first among them.
    let next = windows.iter().skip(1).position(Option::is_none);
    let every = next.map_or(windows.len(), |next| next + 1);
    let is_regular = (0..windows.len()).all(|layer| windows[layer].is_some() != layer.is_multiple_of(every));
    let local = layers.iter().find(|layer| layer.places.window.is_some());
    let local_base = local.and_then(|layer| layer.places.rotary.as_ref());
    if !is_regular {
        return Err(refused(tower.family, "no such order of layers"));
    }
    Ok(Config::ModernBert(modernbert::Config {
        vocab_size: sizes.vocabulary,
        hidden_size: sizes.hidden,
        num_hidden_layers: layers.len(),
        num_attention_heads: tower.encoder.heads,
        intermediate_size: sizes.inner,
        max_position_embeddings: POSITIONS,
        layer_norm_eps: sizes.epsilon,
        pad_token_id: 0,
        global_attn_every_n_layers: every,
        global_rope_theta: sizes.base,
        local_attention: 2 * windows.iter().flatten().next().copied().unwrap_or_default(),
        local_rope_theta: local_base.map_or(sizes.base, |rotary| rotary.base.into()),
        classifier_config: None,
    }))
}

fn nomic_bert(tower: &TextTower) -> lucida_core::Result<Config> {
    let sizes = Sizes::of(tower)?;
    Ok(Config::NomicBert(nomic_bert::Config {
        vocab_size: sizes.vocabulary,
        n_embd: sizes.hidden,
        n_head: tower.encoder.heads,
        n_layer: tower.encoder.layers.len(),
        n_inner: sizes.inner,
        n_positions: POSITIONS,
        type_vocab_size: tower.embedding.types.as_ref().map_or(0, |types| types.shape()[0]),
        layer_norm_epsilon: sizes.epsilon,
        rotary_emb_base: sizes.base,
        ..nomic_bert::Config::default()
    }))
}

fn qwen3(tower: &TextTower) -> lucida_core::Result<Config> {
    let sizes = Sizes::of(tower)?;
    let encoder = &tower.encoder;
    let hidden_act = match encoder.activation {
        checkpoint::Activation::Silu => Activation::Silu,
        checkpoint::Activation::Gelu => Activation::Gelu,
        checkpoint::Activation::GeluTanh => Activation::GeluPytorchTanh,
        checkpoint::Activation::Relu => Activation::Relu,
        checkpoint::Activation::Identity
        | checkpoint::Activation::QuickGelu
        | checkpoint::Activation::Tanh => return Err(refused(tower.family, "no such activation")),
    };
    let attention = encoder.layers.first().map(|layer| &layer.attention);
    let width = attention.map_or(0, |attention| attention.query.outputs() / encoder.heads);
    let key_heads = attention.map_or(0, |attention| attention.key.outputs() / width);
    Ok(Config::Qwen3(qwen3::Config {
        vocab_size: sizes.vocabulary,
        hidden_size: sizes.hidden,
        intermediate_size: sizes.inner,
        num_hidden_layers: encoder.layers.len(),
        num_attention_heads: encoder.heads,
        head_dim: width,
        attention_bias: false,
        num_key_value_heads: key_heads,
        max_position_embeddings: POSITIONS,
        sliding_window: None,
        max_window_layers: 0,
        tie_word_embeddings: true,
        rope_theta: sizes.base,
        rms_norm_eps: sizes.epsilon,
        use_sliding_window: false,
        hidden_act,
    }))
}

/// How a family's module names the tensors of a layer.
struct LayerNames {
    layers: &'static str,
    /// One matrix of all three, or one of each.
    attention: &'static [&'static str],
    output: &'static str,
    attention_norm: &'static str,
    /// The two matrices of the gated half, or one of both.
    gated: &'static [&'static str],
    down: &'static str,
    feed_forward_norm: &'static str,
}

const MODERN_BERT: LayerNames = LayerNames {
    layers: "model.layers",
    attention: &["attn.Wqkv"],
    output: "attn.Wo",
    attention_norm: "attn_norm",
    gated: &["mlp.Wi"],
    down: "mlp.Wo",
    feed_forward_norm: "mlp_norm",
};
const NOMIC_BERT: LayerNames = LayerNames {
    layers: "encoder.layers",
    attention: &["attn.Wqkv"],
    output: "attn.out_proj",
    attention_norm: "norm1",
    gated: &["mlp.fc12", "mlp.fc11"],
    down: "mlp.fc2",
    feed_forward_norm: "norm2",
};
const QWEN3: LayerNames = LayerNames {
    layers: "model.layers",
    attention: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    output: "self_attn.o_proj",
    attention_norm: "input_layernorm",
    gated: &["mlp.gate_proj", "mlp.up_proj"],
    down: "mlp.down_proj",
    feed_forward_norm: "post_attention_layernorm",
};

/// Gives the tower's tensors the names that the module asks for.
pub(crate) fn named(tower: &TextTower, config: &Config) -> Named {
    let (tokens, norm, last, names) = match config {
        Config::Bert(_) => return plain::bert_names(tower),
        Config::Clip(_) | Config::Siglip(_) => return plain::clip_names(tower),
        Config::OpenClip(_) => return plain::open_clip_names(tower),
        Config::ModernBert(_) => (
            "model.embeddings.tok_embeddings",
            "model.embeddings.norm",
            "model.final_norm",
            MODERN_BERT,
        ),
        Config::NomicBert(_) => ("embeddings.word_embeddings", "emb_ln", "", NOMIC_BERT),
        Config::Qwen3(_) => ("model.embed_tokens", "", "model.norm", QWEN3),
    };
    let mut named = Named::default();
    named.add(format!("{tokens}.weight"), &tower.embedding.tokens);
    if let Some(types) = &tower.embedding.types {
        named.add("embeddings.token_type_embeddings.weight", types);
    }
    for (name, norm) in [(norm, &tower.embedding.norm), (last, &tower.final_norm)] {
        if let Some(norm) = norm {
            named.norm(name, norm);
        }
    }
    for (index, layer) in tower.encoder.layers.iter().enumerate() {
        let place = |name: &str| format!("{}.{index}.{name}", names.layers);
        let attention = &layer.attention;
        let parts = [&attention.query, &attention.key, &attention.value];
        named.matrices(names.attention.iter().map(|name| place(name)), &parts);
        named.linear(&place(names.output), &attention.output);
        if let Some(norm) = &layer.attention_norm {
            named.norm(&place(names.attention_norm), norm);
        }
        let parts: Vec<_> = std::iter::once(&layer.up).chain(&layer.gate).collect();
        named.matrices(names.gated.iter().map(|name| place(name)), &parts);
        named.linear(&place(names.down), &layer.down);
        named.norm(&place(names.feed_forward_norm), &layer.feed_forward_norm);
        if let Some(norms) = &attention.head_norms {
            named.norm(&place("self_attn.q_norm"), &norms.query);
            named.norm(&place("self_attn.k_norm"), &norms.key);
        }
    }
    named
}
