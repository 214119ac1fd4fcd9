//! Text encoders of the layers of BERT and CLIP by candle-transformers' modules, for graphics cards. On the processor this
//! crate's own encoder runs them.
//!
//! Its `bert` module computes BERT, `RoBERTa`, XLM-R and `DistilBERT` alike, given the rows of the positions that a family
//! begins with and zeros for the types that it doesn't have: the module for `DistilBERT` takes the approximation of gelu by
//! the hyperbolic tangent, and that for XLM-R counts padding. What the modules of version 0.11.1 get wrong or don't have is
//! refused: gelu with a causal mask (`clip` knows only quick-gelu, and `openclip` forgets the mask), MPNet, and jina-bert,
//! whose module holds heads × positions² numbers.

use candle_nn::Activation;
use candle_transformers::models::{bert, clip, openclip, siglip};
use lucida_core::Result;
use lucida_models::checkpoint::{
    self, EncoderLayer, LayerNorm, NormPlacement, Pooling, ScoreBias, Tensor, TextTower,
};

use crate::modules::{Config, refused_on_card};
use crate::named::Named;

/// The epsilon that the modules for CLIP and OpenCLIP have without being asked.
const CLIP_EPSILON: f32 = 1e-5;

/// Returns the configuration of the module that computes a tower.
///
/// # Errors
/// `Unsupported` for a tower that no module computes, with the engine that does.
pub(crate) fn config(tower: &TextTower) -> Result<Config> {
    let (embedding, encoder) = (&tower.embedding, &tower.encoder);
    match &encoder.bias {
        Some(ScoreBias::Buckets(_)) => return Err(refused_on_card("MPNet")),
        Some(ScoreBias::Slopes(_)) => return Err(refused_on_card("jina-bert for texts of any length")),
        None => {}
    }
    let (Some(layer), Some(positions)) = (encoder.layers.first(), &embedding.positions) else {
        return Err(refused_on_card("text encoder without layers or positions"));
    };
    if embedding.scale.is_some() || layer.gate.is_some() {
        return Err(refused_on_card("such text encoder"));
    }
    let sizes = Sizes::of(tower, layer, positions)?;
    match (encoder.norm_placement, encoder.causal) {
        (NormPlacement::After, false) => bert(tower, &sizes),
        (NormPlacement::Before, true) => clip(tower, &sizes),
        (NormPlacement::Before, false) if ends_in_siglips_head(tower) => siglip(tower, &sizes),
        (NormPlacement::Before, false) => open_clip(tower, &sizes),
        (NormPlacement::After, true) => Err(refused_on_card("causal BERT")),
    }
}

/// The sizes that every module is configured with.
struct Sizes {
    vocabulary: usize,
    hidden: usize,
    inner: usize,
    layers: usize,
    heads: usize,
    positions: usize,
    epsilon: f32,
}

impl Sizes {
    fn of(tower: &TextTower, layer: &EncoderLayer, positions: &Tensor) -> Result<Self> {
        let (embedding, encoder) = (&tower.embedding, &tower.encoder);
        let epsilon = layer.feed_forward_norm.epsilon;
        let in_layers = encoder
            .layers
            .iter()
            .flat_map(|layer| layer.attention_norm.iter().chain([&layer.feed_forward_norm]));
        let mut norms = in_layers.chain(&embedding.norm).chain(&tower.final_norm);
        if norms.any(|norm: &LayerNorm| norm.epsilon != epsilon) {
            return Err(refused_on_card(
                "text encoder whose norms have different epsilons",
            ));
        }
        Ok(Self {
            vocabulary: embedding.tokens.shape()[0],
            hidden: embedding.tokens.shape()[1],
            inner: layer.up.outputs(),
            layers: encoder.layers.len(),
            heads: encoder.heads,
            positions: positions.shape()[0].saturating_sub(embedding.first_position),
            epsilon,
        })
    }
}

fn bert(tower: &TextTower, sizes: &Sizes) -> Result<Config> {
    let hidden_act = match tower.encoder.activation {
        checkpoint::Activation::Gelu => bert::HiddenAct::Gelu,
        checkpoint::Activation::GeluTanh => bert::HiddenAct::GeluApproximate,
        checkpoint::Activation::Relu => bert::HiddenAct::Relu,
        checkpoint::Activation::Identity
        | checkpoint::Activation::QuickGelu
        | checkpoint::Activation::Silu
        | checkpoint::Activation::Tanh => return Err(refused_on_card("BERT with this activation")),
    };
    if tower.embedding.norm.is_none() || tower.final_norm.is_some() {
        return Err(refused_on_card("BERT with other norms"));
    }
    Ok(Config::Bert(bert::Config {
        vocab_size: sizes.vocabulary,
        hidden_size: sizes.hidden,
        num_hidden_layers: sizes.layers,
        num_attention_heads: sizes.heads,
        intermediate_size: sizes.inner,
        hidden_act,
        max_position_embeddings: sizes.positions,
        type_vocab_size: tower.embedding.types.as_ref().map_or(1, |types| types.shape()[0]),
        layer_norm_eps: sizes.epsilon.into(),
        model_type: None,
        ..bert::Config::default()
    }))
}

fn clip(tower: &TextTower, sizes: &Sizes) -> Result<Config> {
    if tower.encoder.activation != checkpoint::Activation::QuickGelu {
        return Err(refused_on_card(
            "text tower of a CLIP with another activation than quick-gelu",
        ));
    }
    check_clip_norms(tower, sizes)?;
    Ok(Config::Clip(clip::text_model::ClipTextConfig {
        vocab_size: sizes.vocabulary,
        embed_dim: sizes.hidden,
        activation: clip::text_model::Activation::QuickGelu,
        intermediate_size: sizes.inner,
        max_position_embeddings: sizes.positions,
        pad_with: None,
        num_hidden_layers: sizes.layers,
        num_attention_heads: sizes.heads,
        projection_dim: sizes.hidden,
    }))
}

fn open_clip(tower: &TextTower, sizes: &Sizes) -> Result<Config> {
    if tower.encoder.activation != checkpoint::Activation::Gelu {
        return Err(refused_on_card(
            "text tower without a causal mask and with another activation than gelu",
        ));
    }
    check_clip_norms(tower, sizes)?;
    Ok(Config::OpenClip(openclip::text_model::Config {
        vocab_size: sizes.vocabulary,
        embed_dim: sizes.hidden,
        intermediate_size: sizes.inner,
        max_position_embeddings: sizes.positions,
        pad_with: None,
        num_hidden_layers: sizes.layers,
        num_attention_heads: sizes.heads,
        projection_dim: sizes.hidden,
    }))
}

fn check_clip_norms(tower: &TextTower, sizes: &Sizes) -> Result<()> {
    let embedding = &tower.embedding;
    if tower.final_norm.is_none() || embedding.norm.is_some() || embedding.types.is_some() {
        return Err(refused_on_card(
            "text tower of a CLIP with other norms or with types",
        ));
    }
    if sizes.epsilon != CLIP_EPSILON {
        return Err(refused_on_card(
            "text tower of a CLIP with another epsilon than 1e-5",
        ));
    }
    Ok(())
}

/// Returns whether the last row goes through one square matrix with a bias, which is a part of the module for SigLIP.
fn ends_in_siglips_head(tower: &TextTower) -> bool {
    let head = tower.projection.as_ref();
    tower.pooling == [Pooling::Last]
        && tower.dense.is_empty()
        && head.is_some_and(|head| head.bias.is_some() && head.inputs() == head.outputs())
}

fn siglip(tower: &TextTower, sizes: &Sizes) -> Result<Config> {
    let hidden_act = match tower.encoder.activation {
        checkpoint::Activation::Gelu => Activation::Gelu,
        checkpoint::Activation::GeluTanh => Activation::GeluPytorchTanh,
        checkpoint::Activation::Relu => Activation::Relu,
        checkpoint::Activation::Silu => Activation::Silu,
        checkpoint::Activation::Identity
        | checkpoint::Activation::QuickGelu
        | checkpoint::Activation::Tanh => {
            return Err(refused_on_card("text tower of a SigLIP with this activation"));
        }
    };
    let embedding = &tower.embedding;
    if tower.final_norm.is_none() || embedding.norm.is_some() || embedding.types.is_some() {
        return Err(refused_on_card(
            "text tower of a SigLIP with other norms or with types",
        ));
    }
    Ok(Config::Siglip(siglip::TextConfig {
        vocab_size: sizes.vocabulary,
        hidden_size: sizes.hidden,
        intermediate_size: sizes.inner,
        num_hidden_layers: sizes.layers,
        num_attention_heads: sizes.heads,
        max_position_embeddings: sizes.positions,
        hidden_act,
        layer_norm_eps: sizes.epsilon.into(),
        // The module reads no token: texts come with their padding.
        pad_token_id: 0,
        bos_token_id: 0,
        eos_token_id: 0,
    }))
}

/// Gives a tower's tensors the names that the `bert` module asks for.
pub(crate) fn bert_names(tower: &TextTower) -> Named {
    let embedding = &tower.embedding;
    let mut named = Named::default();
    named.add("embeddings.word_embeddings.weight", &embedding.tokens);
    if let Some(positions) = &embedding.positions {
        named.rows_from(
            "embeddings.position_embeddings.weight",
            positions,
            embedding.first_position,
        );
    }
    let types = "embeddings.token_type_embeddings.weight";
    match &embedding.types {
        Some(tensor) => named.add(types, tensor),
        None => named.zeros(types, embedding.tokens.shape()[1]),
    }
    if let Some(norm) = &embedding.norm {
        named.norm("embeddings.LayerNorm", norm);
    }
    for (index, layer) in tower.encoder.layers.iter().enumerate() {
        let place = |name: &str| format!("encoder.layer.{index}.{name}");
        let attention = &layer.attention;
        for (name, linear) in [
            ("attention.self.query", &attention.query),
            ("attention.self.key", &attention.key),
            ("attention.self.value", &attention.value),
            ("attention.output.dense", &attention.output),
            ("intermediate.dense", &layer.up),
            ("output.dense", &layer.down),
        ] {
            named.linear(&place(name), linear);
        }
        if let Some(norm) = &layer.attention_norm {
            named.norm(&place("attention.output.LayerNorm"), norm);
        }
        named.norm(&place("output.LayerNorm"), &layer.feed_forward_norm);
    }
    named
}

/// Gives a tower's tensors the names that the `clip` and `siglip` modules ask for, which are those of transformers.
pub(crate) fn clip_names(tower: &TextTower) -> Named {
    let embedding = &tower.embedding;
    let mut named = Named::default();
    named.add("embeddings.token_embedding.weight", &embedding.tokens);
    if let Some(positions) = &embedding.positions {
        named.rows_from(
            "embeddings.position_embedding.weight",
            positions,
            embedding.first_position,
        );
    }
    named.clip_layers("encoder.layers", &tower.encoder);
    if let Some(norm) = &tower.final_norm {
        named.norm("final_layer_norm", norm);
    }
    // Of SigLIP's module alone.
    if let Some(head) = &tower.projection {
        named.linear("head", head);
    }
    named
}

/// Gives a tower's tensors the names that the `openclip` module asks for.
pub(crate) fn open_clip_names(tower: &TextTower) -> Named {
    let embedding = &tower.embedding;
    let mut named = Named::default();
    named.add("token_embedding.weight", &embedding.tokens);
    if let Some(positions) = &embedding.positions {
        named.rows_from("positional_embedding", positions, embedding.first_position);
    }
    for (index, layer) in tower.encoder.layers.iter().enumerate() {
        let place = |name: &str| format!("transformer.resblocks.{index}.{name}");
        named.in_projection(&place("attn"), &layer.attention);
        named.linear(&place("attn.out_proj"), &layer.attention.output);
        named.linear(&place("mlp.c_fc"), &layer.up);
        named.linear(&place("mlp.c_proj"), &layer.down);
        if let Some(norm) = &layer.attention_norm {
            named.norm(&place("ln_1"), norm);
        }
        named.norm(&place("ln_2"), &layer.feed_forward_norm);
    }
    if let Some(norm) = &tower.final_norm {
        named.norm("ln_final", norm);
    }
    named
}
