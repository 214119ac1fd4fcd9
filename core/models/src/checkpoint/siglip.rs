//! SigLIP, and SigLIP 2 of a fixed resolution: from transformers' `config.json` and its tensors' names to towers
//! (`modeling_siglip.py` of transformers 5.24).

use std::path::Path;

use lucida_core::{Error, Result};
use serde_json::Value;

use super::activation::activation;
use super::clip::{LayersConfig, encoder, part};
use super::tower::{
    AttentionPool, ImagePooling, ImageTower, Layout, Linear, PatchEmbedding, Pooling, TextFamily, TextTower,
    TokenEmbedding,
};
use super::weights::Weights;
use super::{broken, divides, unsupported};

/// The models of this family, by `model_type`.
pub(super) const MODEL_TYPES: [&str; 4] = ["siglip", "siglip2", "siglip_vision_model", "siglip_text_model"];

/// A SigLIP's configuration: either tower, or both.
#[derive(Debug, Clone)]
pub(super) struct SiglipConfig {
    pub(super) vision: Option<VisionConfig>,
    pub(super) text: Option<TextConfig>,
}

/// The image tower's configuration.
#[derive(Debug, Clone)]
pub(super) struct VisionConfig {
    layers: LayersConfig,
    pub(super) image_size: usize,
    patch_size: usize,
}

/// The text tower's configuration.
#[derive(Debug, Clone)]
pub(super) struct TextConfig {
    layers: LayersConfig,
    vocab_size: usize,
    pub(super) max_position_embeddings: usize,
    pub(super) projection_size: usize,
}

impl VisionConfig {
    /// Returns the length of a picture's vector.
    pub(super) const fn dimensions(&self) -> usize {
        self.layers.hidden_size
    }
}

impl SiglipConfig {
    /// Reads the `config.json` of one of [`MODEL_TYPES`].
    ///
    /// # Errors
    /// `Internal`, naming the file, for a value that can't be; `Unsupported` for NaFlex and for a tower without its head.
    pub(super) fn read(path: &Path, config: &Value) -> Result<Self> {
        let kind = config
            .get("model_type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let (vision, text) = match kind {
            "siglip_vision_model" => (Some(config.clone()), None),
            "siglip_text_model" => (None, Some(config.clone())),
            _ => (
                Some(part(config, "vision_config")),
                Some(part(config, "text_config")),
            ),
        };
        let vision = vision.map(|value| vision_config(path, kind, &value));
        let text = text.map(|value| text_config(path, &value));
        Ok(Self {
            vision: vision.transpose()?,
            text: text.transpose()?,
        })
    }
}

fn vision_config(path: &Path, kind: &str, value: &Value) -> Result<VisionConfig> {
    // `Siglip2VisionConfig` has a number of patches in place of a size.
    if value.get("num_patches").is_some() || (kind == "siglip2" && value.get("image_size").is_none()) {
        return Err(unsupported(
            path,
            "is of a SigLIP 2 NaFlex, whose pictures have no fixed size; the nearest that this version reads is a \
             SigLIP 2 of a fixed resolution, such as `google/siglip2-base-patch16-256`",
        ));
    }
    if value.get("vision_use_head").and_then(Value::as_bool) == Some(false) {
        return Err(unsupported(
            path,
            "says `vision_use_head: false`: without its head a SigLIP has no vector for a picture",
        ));
    }
    let channels = number(path, value, "num_channels", 3)?;
    if channels != 3 {
        return Err(unsupported(
            path,
            &format!("takes pictures of {channels} channels; 3 are read"),
        ));
    }
    Ok(VisionConfig {
        layers: layers(path, value)?,
        image_size: number(path, value, "image_size", 224)?,
        patch_size: number(path, value, "patch_size", 16)?,
    })
}

fn text_config(path: &Path, value: &Value) -> Result<TextConfig> {
    let layers = layers(path, value)?;
    let hidden = layers.hidden_size;
    Ok(TextConfig {
        vocab_size: number(path, value, "vocab_size", 32_000)?,
        max_position_embeddings: number(path, value, "max_position_embeddings", 64)?,
        projection_size: number(path, value, "projection_size", hidden)?,
        layers,
    })
}

/// Reads a whole number; what is left out or null has the value that transformers gives it.
fn number(path: &Path, value: &Value, key: &str, usual: usize) -> Result<usize> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(usual),
        Some(given) => given
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| {
                broken(
                    path,
                    &format!("has {given} as `{key}`, which is not a whole number"),
                )
            }),
    }
}

fn layers(path: &Path, value: &Value) -> Result<LayersConfig> {
    let word = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    #[expect(clippy::cast_possible_truncation, reason = "an epsilon has few digits")]
    let epsilon = value
        .get("layer_norm_eps")
        .and_then(Value::as_f64)
        .unwrap_or(1e-6) as f32;
    let layers = LayersConfig {
        hidden_size: number(path, value, "hidden_size", 768)?,
        intermediate_size: number(path, value, "intermediate_size", 3072)?,
        num_hidden_layers: number(path, value, "num_hidden_layers", 12)?,
        num_attention_heads: number(path, value, "num_attention_heads", 12)?,
        hidden_act: word("hidden_act").unwrap_or_else(|| "gelu_pytorch_tanh".to_owned()),
        layer_norm_eps: epsilon,
    };
    divides(path, layers.hidden_size, layers.num_attention_heads)?;
    Ok(layers)
}

/// Locates the image tower's tensors.
///
/// # Errors
/// `Internal`, naming the tensor that is missing or of another shape, or the value that can't be.
pub(super) fn image_tower(config: &VisionConfig, weights: &Weights, path: &Path) -> Result<ImageTower> {
    let (hidden, inner) = (config.layers.hidden_size, config.layers.intermediate_size);
    let (epsilon, patch) = (config.layers.layer_norm_eps, config.patch_size);
    divides(path, config.image_size, patch)?;
    let patches = (config.image_size / patch).pow(2);
    let prefix = "vision_model";
    let embeddings = format!("{prefix}.embeddings");
    let head = format!("{prefix}.head");
    let probe = weights.get(&format!("{head}.probe"), &[1, 1, hidden])?;
    let pool = AttentionPool {
        probe: probe.reshaped(&[hidden]).ok_or_else(|| unusable(path, "probe"))?,
        attention: weights.fused_attention(&format!("{head}.attention"), hidden)?,
        norm: weights.norm(&format!("{head}.layernorm"), hidden, epsilon)?,
        up: weights.linear(&format!("{head}.mlp.fc1"), [inner, hidden], true)?,
        down: weights.linear(&format!("{head}.mlp.fc2"), [hidden, inner], true)?,
        activation: activation(path, &config.layers.hidden_act)?,
    };
    Ok(ImageTower {
        patches: PatchEmbedding {
            weight: weights.get(
                &format!("{embeddings}.patch_embedding.weight"),
                &[hidden, 3, patch, patch],
            )?,
            bias: Some(weights.get(&format!("{embeddings}.patch_embedding.bias"), &[hidden])?),
            class: None,
            positions: weights.get(
                &format!("{embeddings}.position_embedding.weight"),
                &[patches, hidden],
            )?,
            image_size_pixels: config.image_size,
            patch_size_pixels: patch,
        },
        pre_norm: None,
        encoder: encoder(&config.layers, weights, prefix, false, path)?,
        rows_norm: Some(weights.norm(&format!("{prefix}.post_layernorm"), hidden, epsilon)?),
        pooling: ImagePooling::Attention(Box::new(pool)),
        post_norm: None,
        projection: None,
    })
}

/// Locates the text tower's tensors. Every text has the model's full length: SigLIP sees its padding.
///
/// # Errors
/// Those of [`image_tower`].
pub(super) fn text_tower(config: &TextConfig, weights: &Weights, path: &Path) -> Result<TextTower> {
    let hidden = config.layers.hidden_size;
    let prefix = "text_model";
    let embeddings = format!("{prefix}.embeddings");
    let head = Linear {
        weight: weights.get(
            &format!("{prefix}.head.weight"),
            &[config.projection_size, hidden],
        )?,
        bias: Some(weights.get(&format!("{prefix}.head.bias"), &[config.projection_size])?),
        layout: Layout::OutputsFirst,
    };
    Ok(TextTower {
        family: TextFamily::Plain,
        embedding: TokenEmbedding {
            tokens: weights.get(
                &format!("{embeddings}.token_embedding.weight"),
                &[config.vocab_size, hidden],
            )?,
            scale: None,
            positions: Some(weights.get(
                &format!("{embeddings}.position_embedding.weight"),
                &[config.max_position_embeddings, hidden],
            )?),
            first_position: 0,
            types: None,
            norm: None,
        },
        encoder: encoder(&config.layers, weights, prefix, false, path)?,
        final_norm: Some(weights.norm(
            &format!("{prefix}.final_layer_norm"),
            hidden,
            config.layers.layer_norm_eps,
        )?),
        pooling: vec![Pooling::Last],
        projection: Some(head),
        dense: Vec::new(),
    })
}

fn unusable(path: &Path, tensor: &str) -> Error {
    broken(path, &format!("has a `{tensor}` of another shape than its tower"))
}
