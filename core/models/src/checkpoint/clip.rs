//! CLIP: from transformers' `config.json` and its tensors' names to towers.

use std::path::Path;

use lucida_core::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

use super::activation::activation;
use super::tower::{
    Attention, Encoder, EncoderLayer, ImagePooling, ImageTower, NormPlacement, PatchEmbedding, Places,
    Pooling, TextFamily, TextTower, TokenEmbedding,
};
use super::weights::Weights;
use super::{broken, divides};

/// A CLIP model's configuration: either tower, or both.
#[derive(Debug, Clone)]
pub(super) struct ClipConfig {
    pub(super) vision: Option<VisionConfig>,
    pub(super) text: Option<TextConfig>,
    /// Whether the file says nothing of the towers, as beside exports for Transformers.js of models that aren't a CLIP of
    /// transformers, such as `Xenova/mobileclip_s0`: pictures have the size that their preprocessing gives them, and texts
    /// are filled up, since a tower may see what is behind them.
    pub(super) is_bare: bool,
}

/// What both towers say of their encoder. What a published file leaves out has the value that transformers gives it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct LayersConfig {
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) hidden_act: String,
    pub(super) layer_norm_eps: f32,
}

impl Default for LayersConfig {
    fn default() -> Self {
        Self {
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            hidden_act: "quick_gelu".to_owned(),
            layer_norm_eps: 1e-5,
        }
    }
}

/// The image tower's configuration.
#[derive(Debug, Clone)]
pub(super) struct VisionConfig {
    layers: LayersConfig,
    pub(super) image_size: usize,
    patch_size: usize,
    pub(super) projection_dim: usize,
}

/// The text tower's configuration.
#[derive(Debug, Clone)]
pub(super) struct TextConfig {
    layers: LayersConfig,
    vocab_size: usize,
    pub(super) max_position_embeddings: usize,
    eos_token_id: u32,
    pub(super) projection_dim: usize,
}

/// The length of a vector where a file does not say.
const DEFAULT_PROJECTION: usize = 512;

/// The end token that the first published files name, though their tokenizer has another; transformers then looks for the
/// largest id instead (`modeling_clip.py`, `CLIPTextTransformer.forward`).
const LEGACY_END_TOKEN: u32 = 2;

impl ClipConfig {
    /// Reads the `config.json` of a `clip`, `clip_vision_model` or `clip_text_model`.
    ///
    /// # Errors
    /// `Internal`, naming the file, for a value that can't be.
    pub(super) fn read(path: &Path, config: &Value) -> Result<Self> {
        let projection = number(config, "projection_dim");
        let (vision, text) = match config.get("model_type").and_then(Value::as_str) {
            Some("clip_vision_model") => (Some(config.clone()), None),
            Some("clip_text_model") => (None, Some(config.clone())),
            Some(_) | None => (
                Some(part(config, "vision_config")),
                Some(part(config, "text_config")),
            ),
        };
        let vision = vision.map(|value| VisionConfig::read(path, config, &value));
        let text = text.map(|value| {
            let or = |key: &str, default: usize| number(&value, key).unwrap_or(default);
            let end = number(&value, "eos_token_id").and_then(|id| u32::try_from(id).ok());
            Ok::<_, Error>(TextConfig {
                layers: layers(path, &value, [512, 2048, 12, 8])?,
                vocab_size: or("vocab_size", 49_408),
                max_position_embeddings: or("max_position_embeddings", 77),
                eos_token_id: end.unwrap_or(49_407),
                projection_dim: projection.unwrap_or(DEFAULT_PROJECTION),
            })
        });
        let says = |key: &str| config.get(key).is_some_and(|value| !value.is_null());
        let tables = [
            "vision_config",
            "text_config",
            "vision_config_dict",
            "text_config_dict",
        ];
        let has_both = vision.is_some() && text.is_some();
        Ok(Self {
            is_bare: has_both && !tables.into_iter().any(says),
            vision: vision.transpose()?,
            text: text.transpose()?,
        })
    }
}

impl VisionConfig {
    /// Reads the image tower's table of a model's configuration.
    ///
    /// # Errors
    /// `Internal`, naming the file, for a value that can't be.
    pub(super) fn read(path: &Path, config: &Value, vision: &Value) -> Result<Self> {
        let or = |key: &str, default: usize| number(vision, key).unwrap_or(default);
        Ok(Self {
            layers: layers(path, vision, VISION_DEFAULTS)?,
            image_size: or("image_size", 224),
            patch_size: or("patch_size", 32),
            projection_dim: number(config, "projection_dim").unwrap_or(DEFAULT_PROJECTION),
        })
    }
}

fn number(value: &Value, key: &str) -> Option<usize> {
    let number = value.get(key).and_then(Value::as_u64)?;
    usize::try_from(number).ok()
}

/// `hidden_size`, `intermediate_size`, `num_hidden_layers` and `num_attention_heads` of an image tower that says nothing.
const VISION_DEFAULTS: [usize; 4] = [768, 3072, 12, 12];

/// Returns a tower's table; the old `…_dict` beside it wins, as it does in transformers.
pub(super) fn part(config: &Value, key: &str) -> Value {
    let table = |key: &str| {
        config
            .get(key)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let mut merged = table(key);
    merged.extend(table(&format!("{key}_dict")));
    Value::Object(merged)
}

fn layers(
    path: &Path,
    value: &Value,
    [hidden, intermediate, count, heads]: [usize; 4],
) -> Result<LayersConfig> {
    let mut filled = serde_json::json!({
        "hidden_size": hidden, "intermediate_size": intermediate,
        "num_hidden_layers": count, "num_attention_heads": heads,
    });
    if let (Some(filled), Some(given)) = (filled.as_object_mut(), value.as_object()) {
        filled.extend(given.clone());
    }
    let layers: LayersConfig = serde_json::from_value(filled)
        .map_err(|error| broken(path, "has a value that can't be").with_source(error))?;
    divides(path, layers.hidden_size, layers.num_attention_heads)?;
    Ok(layers)
}

/// Locates the image tower's tensors.
///
/// # Errors
/// `Internal`, naming the tensor that is missing or of another shape, or the value that can't be.
pub(super) fn image_tower(config: &VisionConfig, weights: &Weights, path: &Path) -> Result<ImageTower> {
    let hidden = config.layers.hidden_size;
    divides(path, config.image_size, config.patch_size)?;
    let patches = (config.image_size / config.patch_size).pow(2);
    let patch = config.patch_size;
    let epsilon = config.layers.layer_norm_eps;
    let prefix = "vision_model";
    Ok(ImageTower {
        patches: PatchEmbedding {
            weight: weights.get(
                &format!("{prefix}.embeddings.patch_embedding.weight"),
                &[hidden, 3, patch, patch],
            )?,
            bias: None,
            class: Some(weights.get(&format!("{prefix}.embeddings.class_embedding"), &[hidden])?),
            positions: weights.get(
                &format!("{prefix}.embeddings.position_embedding.weight"),
                &[patches + 1, hidden],
            )?,
            image_size_pixels: config.image_size,
            patch_size_pixels: patch,
        },
        // The misspelling is in every published file.
        pre_norm: Some(weights.norm(&format!("{prefix}.pre_layrnorm"), hidden, epsilon)?),
        encoder: encoder(&config.layers, weights, prefix, false, path)?,
        rows_norm: None,
        pooling: ImagePooling::Class,
        post_norm: Some(weights.norm(&format!("{prefix}.post_layernorm"), hidden, epsilon)?),
        projection: Some(weights.linear("visual_projection", [config.projection_dim, hidden], false)?),
    })
}

/// Locates the text tower's tensors.
///
/// # Errors
/// Those of [`image_tower`].
pub(super) fn text_tower(config: &TextConfig, weights: &Weights, path: &Path) -> Result<TextTower> {
    let hidden = config.layers.hidden_size;
    let epsilon = config.layers.layer_norm_eps;
    let prefix = "text_model";
    let pooling = if config.eos_token_id == LEGACY_END_TOKEN {
        Pooling::LargestToken
    } else {
        Pooling::Token(config.eos_token_id)
    };
    Ok(TextTower {
        family: TextFamily::Plain,
        embedding: TokenEmbedding {
            tokens: weights.get(
                &format!("{prefix}.embeddings.token_embedding.weight"),
                &[config.vocab_size, hidden],
            )?,
            scale: None,
            positions: Some(weights.get(
                &format!("{prefix}.embeddings.position_embedding.weight"),
                &[config.max_position_embeddings, hidden],
            )?),
            first_position: 0,
            types: None,
            norm: None,
        },
        encoder: encoder(&config.layers, weights, prefix, true, path)?,
        final_norm: Some(weights.norm(&format!("{prefix}.final_layer_norm"), hidden, epsilon)?),
        pooling: vec![pooling],
        projection: Some(weights.linear("text_projection", [config.projection_dim, hidden], false)?),
        dense: Vec::new(),
    })
}

/// Locates the layers of a tower, whose tensors SigLIP names alike.
///
/// # Errors
/// Those of [`image_tower`].
pub(super) fn encoder(
    config: &LayersConfig,
    weights: &Weights,
    prefix: &str,
    causal: bool,
    path: &Path,
) -> Result<Encoder> {
    let (hidden, inner, epsilon) = (
        config.hidden_size,
        config.intermediate_size,
        config.layer_norm_eps,
    );
    let layer = |index: usize| {
        let place = format!("{prefix}.encoder.layers.{index}");
        let square =
            |name: &str| weights.linear(&format!("{place}.self_attn.{name}"), [hidden, hidden], true);
        Ok(EncoderLayer {
            attention: Attention {
                query: square("q_proj")?,
                key: square("k_proj")?,
                value: square("v_proj")?,
                output: square("out_proj")?,
                head_norms: None,
            },
            attention_norm: Some(weights.norm(&format!("{place}.layer_norm1"), hidden, epsilon)?),
            up: weights.linear(&format!("{place}.mlp.fc1"), [inner, hidden], true)?,
            gate: None,
            down: weights.linear(&format!("{place}.mlp.fc2"), [hidden, inner], true)?,
            feed_forward_norm: weights.norm(&format!("{place}.layer_norm2"), hidden, epsilon)?,
            output_norms: None,
            places: Places::default(),
        })
    };
    Ok(Encoder {
        layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?,
        heads: config.num_attention_heads,
        norm_placement: NormPlacement::Before,
        activation: activation(path, &config.hidden_act)?,
        causal,
        bias: None,
    })
}
