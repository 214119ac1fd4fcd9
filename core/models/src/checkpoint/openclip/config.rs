//! `open_clip_config.json`: both towers, the tokenizer and the preprocessing.

use std::path::Path;

use lucida_core::Result;
use serde::Deserialize;
use serde_json::Value;

use super::preprocessing::Preprocessing;
use crate::checkpoint::{broken, divides, fast_vit, read_json, unsupported};

/// An OpenCLIP model's configuration.
#[derive(Debug, Clone)]
pub(in crate::checkpoint) struct OpenClipConfig {
    pub(in crate::checkpoint) dimensions: usize,
    pub(super) quick_gelu: bool,
    pub(super) vision: Vision,
    pub(super) text: Text,
    /// `preprocess_cfg`, where the file has it.
    pub(in crate::checkpoint) preprocessing: Preprocessing,
}

#[derive(Deserialize)]
struct File {
    model_cfg: ModelFile,
    #[serde(default)]
    preprocess_cfg: Preprocessing,
}

#[derive(Deserialize)]
struct ModelFile {
    embed_dim: usize,
    #[serde(default)]
    quick_gelu: bool,
    vision_cfg: Vision,
    text_cfg: Text,
    multimodal_cfg: Option<Value>,
}

/// `CLIPVisionCfg`, as far as it is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Vision {
    pub(super) layers: Value,
    pub(super) width: usize,
    pub(super) head_width: usize,
    pub(super) mlp_ratio: f64,
    pub(super) patch_size: usize,
    pub(super) image_size: Value,
    pub(super) no_ln_pre: bool,
    pub(super) final_ln_after_pool: bool,
    pub(super) pool_type: String,
    pub(super) timm_model_name: Option<String>,
    pub(super) timm_pool: Option<String>,
    pub(super) timm_proj: Option<String>,
    pub(super) act_kwargs: Option<ActivationOptions>,
    pub(super) norm_kwargs: Option<NormOptions>,
    #[serde(flatten)]
    pub(super) rest: serde_json::Map<String, Value>,
}

impl Default for Vision {
    fn default() -> Self {
        Self {
            layers: Value::from(12),
            width: 768,
            head_width: 64,
            mlp_ratio: 4.0,
            patch_size: 16,
            image_size: Value::from(224),
            no_ln_pre: false,
            final_ln_after_pool: false,
            pool_type: "tok".to_owned(),
            timm_model_name: None,
            timm_pool: None,
            timm_proj: None,
            act_kwargs: None,
            norm_kwargs: None,
            rest: serde_json::Map::new(),
        }
    }
}

/// `CLIPTextCfg`, as far as it is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Text {
    pub(super) context_length: usize,
    pub(super) vocab_size: usize,
    pub(super) hf_tokenizer_name: Option<String>,
    pub(super) tokenizer_kwargs: Option<TokenizerOptions>,
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) layers: usize,
    pub(super) mlp_ratio: f64,
    pub(super) eos_id: u32,
    pub(super) no_causal_mask: bool,
    pub(super) pool_type: String,
    pub(super) proj_type: String,
    pub(super) proj_bias: bool,
    pub(super) act_kwargs: Option<ActivationOptions>,
    pub(super) norm_kwargs: Option<NormOptions>,
    pub(super) hf_model_name: Option<String>,
    pub(super) hf_proj_type: Option<String>,
    pub(super) hf_pooler_type: String,
    pub(super) tokenizer_mode: Option<String>,
    #[serde(flatten)]
    pub(super) rest: serde_json::Map<String, Value>,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            context_length: 77,
            vocab_size: 49_408,
            hf_tokenizer_name: None,
            tokenizer_kwargs: None,
            width: 512,
            heads: 8,
            layers: 12,
            mlp_ratio: 4.0,
            eos_id: 2,
            no_causal_mask: false,
            pool_type: "argmax".to_owned(),
            proj_type: "linear".to_owned(),
            proj_bias: false,
            act_kwargs: None,
            norm_kwargs: None,
            hf_model_name: None,
            hf_proj_type: Some("mlp".to_owned()),
            hf_pooler_type: "mean_pooler".to_owned(),
            tokenizer_mode: None,
            rest: serde_json::Map::new(),
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ActivationOptions {
    pub(super) approximate: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct NormOptions {
    pub(super) eps: Option<f32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct TokenizerOptions {
    clean: Option<String>,
    #[serde(default)]
    strip_sep_token: bool,
}

/// What changes a tower into one that isn't computed here.
const NOT_READ: [&str; 11] = [
    "ls_init_value",
    "attentional_pool",
    "qk_norm",
    "scaled_cosine_attn",
    "scale_heads",
    "scale_attn_inner",
    "scale_attn",
    "scale_fc",
    "embed_cls",
    "block_type",
    "use_pad_mask",
];

impl OpenClipConfig {
    /// Reads `open_clip_config.json`.
    ///
    /// # Errors
    /// `Internal`, naming the file, for a value that can't be; `Unsupported` for a tower that isn't read, by its name.
    pub(in crate::checkpoint) fn read(path: &Path) -> Result<Self> {
        let File {
            model_cfg,
            preprocess_cfg,
        } = read_json(path)?;
        let ModelFile {
            embed_dim,
            quick_gelu,
            vision_cfg,
            text_cfg,
            multimodal_cfg,
        } = model_cfg;
        if multimodal_cfg.is_some() {
            return Err(unsupported(
                path,
                "is of a CoCa, a generative model; this version reads OpenCLIP models with two towers",
            ));
        }
        let timm = vision_cfg.timm_model_name.as_deref();
        if let Some(name) = timm.filter(|name| !fast_vit::NAMES.contains(name)) {
            let instead = if name.contains("siglip") {
                "the same SigLIP is read from its transformers folder, such as `google/siglip2-base-patch16-256`"
            } else {
                "this version reads OpenCLIP's own ViT and fastvit_mci0 to 2 of MobileCLIP; another tower of timm runs from an ONNX export on the engine `onnx`, such as \
                 those below `immich-app/`"
            };
            return Err(unsupported(
                path,
                &format!("has the image tower `{name}` of timm: {instead}"),
            ));
        }
        if !vision_cfg.layers.is_u64() {
            return Err(unsupported(
                path,
                "has a ResNet as its image tower; this version reads OpenCLIP's ViT, and runs a ResNet from an ONNX export \
                 on the engine `onnx`, such as those below `immich-app/`",
            ));
        }
        for (tower, rest) in [("vision_cfg", &vision_cfg.rest), ("text_cfg", &text_cfg.rest)] {
            let is_set = |value: &&Value| !matches!(value, Value::Null | Value::Bool(false));
            if let Some(key) = NOT_READ
                .iter()
                .find(|key| rest.get(**key).as_ref().is_some_and(is_set))
            {
                return Err(unsupported(
                    path,
                    &format!("sets `{tower}.{key}`, which is not read"),
                ));
            }
        }
        if let Some(mode) = text_cfg.tokenizer_mode.as_deref().filter(|mode| !mode.is_empty()) {
            return Err(unsupported(
                path,
                &format!("has the tokenizer mode `{mode}`, which is not read"),
            ));
        }
        if text_cfg
            .tokenizer_kwargs
            .as_ref()
            .is_some_and(|options| options.strip_sep_token)
        {
            return Err(unsupported(path, "sets `strip_sep_token`, which is not read"));
        }
        divides(path, vision_cfg.width, vision_cfg.head_width)?;
        if text_cfg.hf_model_name.is_none() {
            divides(path, text_cfg.width, text_cfg.heads)?;
        }
        let config = Self {
            dimensions: embed_dim,
            quick_gelu,
            vision: vision_cfg,
            text: text_cfg,
            preprocessing: preprocess_cfg,
        };
        config.image_size(path)?;
        Ok(config)
    }

    /// Returns the side of the model's square pictures in pixels.
    ///
    /// # Errors
    /// `Unsupported` for one that isn't a square.
    pub(in crate::checkpoint) fn image_size(&self, path: &Path) -> Result<usize> {
        let number = |value: &Value| value.as_u64().and_then(|side| usize::try_from(side).ok());
        let side = if let Value::Array(sides) = &self.vision.image_size {
            match sides.as_slice() {
                [height, width] if height == width => number(height),
                _ => {
                    return Err(unsupported(
                        path,
                        &format!("takes pictures of {}; squares are read", self.vision.image_size),
                    ));
                }
            }
        } else {
            number(&self.vision.image_size)
        };
        side.filter(|&side| side > 0)
            .ok_or_else(|| broken(path, "has an `image_size` that can't be"))
    }

    /// Returns how many tokens a text has at most.
    pub(in crate::checkpoint) const fn context_length(&self) -> usize {
        self.text.context_length
    }

    /// Returns whether a text's punctuation is removed and its letters lowercased before it is split.
    pub(in crate::checkpoint) fn canonicalizes(&self) -> bool {
        let options = self.text.tokenizer_kwargs.as_ref();
        options.and_then(|options| options.clean.as_deref()) == Some("canonicalize")
    }

    /// Returns whether the text tower sees padding, so that every text is padded.
    pub(in crate::checkpoint) const fn sees_padding(&self) -> bool {
        self.text.hf_model_name.is_none() && self.text.no_causal_mask
    }

    /// Returns whether the tokenizer is OpenCLIP's own, which pads with 0, and not one of Hugging Face.
    pub(in crate::checkpoint) const fn has_own_tokenizer(&self) -> bool {
        self.text.hf_tokenizer_name.is_none()
    }
}
