//! Text encoders by candle-transformers' modules, family by family: `ModernBERT`, nomic-bert and Qwen3-Embedding.
//!
//! candle-transformers 0.11.1 has no MPNet and no GTE; its Gemma 3 is causal and keeps its rows to itself, and its jina-bert
//! holds a table of heads × positions² numbers, 3.2 GB for 8,192 positions. MPNet and jina-bert run on this crate's own
//! encoder, and the other two on the engine `onnx`.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::Activation;
use candle_transformers::models::modernbert::{self, ModernBert};
use candle_transformers::models::nomic_bert::{self, NomicBertModel};
use candle_transformers::models::qwen3;
use lucida_core::{Error, ErrorKind};
use lucida_models::Tower;
use lucida_models::checkpoint::{self, Pooling, ROTARY_MAX_TOKENS, TextFamily, TextTower, Tokens};
use rayon::ThreadPool;

use crate::columns::Columns;
use crate::encoder::Head;
use crate::error::per_input;
use crate::named::Named;
use crate::pooling::pool;

/// For how many places the modules make their tables: as many as the longest text has tokens.
const POSITIONS: usize = ROTARY_MAX_TOKENS;

/// The configuration of a module.
pub(crate) enum Config {
    ModernBert(modernbert::Config),
    NomicBert(nomic_bert::Config),
    Qwen3(qwen3::Config),
}

/// A module with its weights.
enum Module {
    ModernBert(ModernBert),
    NomicBert(NomicBertModel),
    Qwen3(qwen3::Model),
}

/// A text tower whose encoder is a module of candle-transformers.
pub struct FamilyTower {
    threads: Arc<ThreadPool>,
    device: Device,
    module: Module,
    vocabulary: usize,
    pooling: Vec<Pooling>,
    head: Head,
}

impl FamilyTower {
    /// Loads a tower; its weights are copied, as f32.
    ///
    /// # Errors
    /// `Internal` where loading fails, naming the tensor.
    pub(crate) fn load(
        tower: &TextTower,
        config: &Config,
        threads: Arc<ThreadPool>,
        device: &Device,
    ) -> lucida_core::Result<Self> {
        let named = named(tower);
        let vocabulary = tower.embedding.tokens.shape()[0];
        let builder = named.into_builder(device);
        let module = match config {
            Config::ModernBert(config) => ModernBert::load(builder, config).map(Module::ModernBert),
            Config::NomicBert(config) => NomicBertModel::load(builder, config).map(Module::NomicBert),
            Config::Qwen3(config) => qwen3::Model::new(config, builder).map(Module::Qwen3),
        };
        let module =
            module.map_err(|error| Error::internal("loading the text tower failed").with_source(error))?;
        Ok(Self {
            threads,
            device: device.clone(),
            module,
            vocabulary,
            pooling: tower.pooling.clone(),
            head: Head::new(tower.projection.as_ref(), &tower.dense),
        })
    }

    /// Computes one text by itself, so that its vector has the same bits whatever is beside it.
    fn vector(&self, tokens: &Tokens) -> Result<Vec<Vec<f32>>> {
        let ids = tokens.ids();
        let input = Tensor::new(ids, &self.device)?.unsqueeze(0)?;
        let rows = match &self.module {
            Module::ModernBert(module) => {
                let seen = Tensor::ones((1, ids.len()), DType::U32, &self.device)?;
                module.forward(&input, &seen)?
            }
            Module::NomicBert(module) => module.forward(&input, None, None)?,
            // The module remembers the texts that it has seen; a copy shares its weights, and remembers none.
            Module::Qwen3(module) => module.clone().forward(&input, 0)?,
        };
        let columns = Columns::of([ids.len()]);
        let rows = rows.squeeze(0)?.to_device(&Device::Cpu)?;
        let rows = rows.t()?.pad_with_zeros(1, 0, columns.width() - ids.len())?;
        let pooled = pool(&rows.contiguous()?, &columns, &self.pooling, &[tokens])?;
        self.head.vectors(&pooled, 1)
    }

    fn embed_one(&self, tokens: &Tokens) -> lucida_core::Result<Vec<f32>> {
        // A tokenizer may know more tokens than its model.
        if let Some(id) = tokens.ids().iter().find(|&&id| id as usize >= self.vocabulary) {
            let message = format!(
                "the tokenizer gives token {id}, and the model has {}",
                self.vocabulary
            );
            return Err(Error::internal(message));
        }
        let vectors = self.threads.install(|| self.vector(tokens));
        let missing = || Err(Error::internal("the text tower gave no vector"));
        per_input(vectors, 1, "running the text tower")
            .pop()
            .unwrap_or_else(missing)
    }
}

impl Tower for FamilyTower {
    type Input = Tokens;

    fn embed(&mut self, batch: &[Tokens]) -> Vec<lucida_core::Result<Vec<f32>>> {
        batch.iter().map(|tokens| self.embed_one(tokens)).collect()
    }

    fn cost(tokens: &Tokens) -> usize {
        tokens.ids().len()
    }

    fn token_count(tokens: &Tokens) -> Option<usize> {
        Some(tokens.unpadded())
    }
}

/// Returns the configuration of the module that runs a tower's family; `None` for a tower that this crate's own encoder runs.
///
/// # Errors
/// `Unsupported`, naming the family, for one that has no module, or one whose module has no such layers.
pub(crate) fn config(tower: &TextTower) -> lucida_core::Result<Option<Config>> {
    match tower.family {
        TextFamily::Plain => Ok(None),
        TextFamily::ModernBert => modern_bert(tower).map(Some),
        TextFamily::NomicBert => nomic_bert(tower).map(Some),
        TextFamily::Qwen3 => qwen3(tower).map(Some),
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
fn named(tower: &TextTower) -> Named {
    let (tokens, norm, last, names) = match tower.family {
        TextFamily::ModernBert => (
            "model.embeddings.tok_embeddings",
            "model.embeddings.norm",
            "model.final_norm",
            MODERN_BERT,
        ),
        TextFamily::NomicBert => ("embeddings.word_embeddings", "emb_ln", "", NOMIC_BERT),
        TextFamily::Qwen3 | TextFamily::Plain | TextFamily::Gte | TextFamily::Gemma3 => {
            ("model.embed_tokens", "", "model.norm", QWEN3)
        }
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
